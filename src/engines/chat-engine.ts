/**
 * The engine behind every driver of the common dialect: chat completions over SSE (engines.md §2). A request in,
 * GenerateEvent out; what differs between engines is in their `Dialect`.
 */
import type { Engine, GenerateEvent, GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Transport } from '../core/transport.ts';
import { refuseAnyAdapter } from './adapter-errors.ts';
import { chatBody, type Dialect, JSON_SCHEMA, stopsLeft } from './chat-dialect.ts';
import { readChatStream } from './chat-stream.ts';
import { cutAtStop } from './stop-strings.ts';
import { estimateTokens } from './token-counter.ts';
import { notAStream, refusal } from './wire-errors.ts';

export interface ChatEngineOptions {
  readonly name: string;
  readonly kind: string;
  /** Asked at each request: a supervised engine comes back on another port. */
  readonly transport: () => Transport;
  readonly dialect: Dialect;
}

export function createChatEngine(options: ChatEngineOptions): Engine {
  const { name, kind, dialect } = options;
  return {
    name,
    kind,
    isWritten: false,
    capabilities: {
      continuesAssistant: dialect.continuesAssistant,
      structuredOutput: (dialect.structuredOutput ?? JSON_SCHEMA).level,
      honoursPriority: dialect.honoursPriority,
    },
    generate: (request, signal) => {
      const events = answer(options, request, signal);
      const stops = stopsLeft(request, dialect);
      return stops.length === 0 ? events : cutAtStop(events, stops);
    },
  };
}

async function* answer(
  { name, kind, transport, dialect }: ChatEngineOptions,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  signal.throwIfAborted();
  if (dialect.addressing === undefined) refuseAnyAdapter(name, kind, request.adapter);
  const reply = await transport().exchange(
    {
      method: 'POST',
      path: dialect.chatPath ?? '/v1/chat/completions',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify(chatBody(request, dialect)),
    },
    signal,
  );
  const estimatePromptTokens = () =>
    request.messages.reduce(
      (sum, message) => sum + estimateTokens(message.content),
      estimateTokens(request.assistantPrefix),
    );
  const contentType = String(reply.headers['content-type'] ?? 'text/event-stream');
  if (reply.status === 200 && /^text\/event-stream\b/i.test(contentType)) {
    const options = { engine: name, estimatePromptTokens, maxTokens: request.maxTokens };
    yield* readChatStream(options, reply.body, signal);
    return;
  }
  const failure =
    reply.status === 200
      ? await notAStream(name, contentType, reply.body)
      : await refusal(name, reply.status, reply.body, reply.headers);
  signal.throwIfAborted();
  if (failure.details['isFiltered'] !== true) throw withAdapter(failure, request);
  // Refused for what the player or the persona says: no fault of the engine, and nothing to bill for.
  yield {
    type: 'finish',
    reason: 'content_filter',
    usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0, source: 'estimated' },
  };
}

/** Some refuse the name of an adapter that they do not have as a bad request: to the ladder it is an unknown model. */
const ABSENT_ADAPTER =
  /\b(?:lora|adapter)s?\b.*\b(?:not|never|unknown|un\w*loaded)\b|\b(?:not|unknown)\b.*\b(?:lora|adapter)/i;

/** Says which adapter was asked for, so that its keeper can look whether the engine has lost it. */
function withAdapter(failure: ServiceError, { adapter }: GenerateRequest): ServiceError {
  if (adapter === undefined) return failure;
  const isAbsent =
    (failure.code === 'bad_request' || failure.code === 'engine_error') &&
    ABSENT_ADAPTER.test(failure.message);
  return new ServiceError(isAbsent ? 'unknown_model' : failure.code, failure.message, {
    cause: failure.cause,
    details: { ...failure.details, adapter: adapter.engineName },
  });
}
