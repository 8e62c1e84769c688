/**
 * The engine behind every driver of the common dialect: chat completions over SSE (engines.md §2). A request in,
 * GenerateEvent out; what differs between engines is in their `Dialect`.
 */
import type { Engine, GenerateEvent, GenerateRequest } from '../core/engine.ts';
import type { Transport } from '../core/transport.ts';
import { refuseAnyAdapter, withAdapter } from './adapter-errors.ts';
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
  /**
   * For wires where it must be asked how an adapter is addressed now: the fields that go into this request, also into one
   * for the base. Throws `unknown_model` when the engine does not have it.
   */
  readonly address?: (
    request: GenerateRequest,
    signal: AbortSignal,
  ) => Promise<Readonly<Record<string, unknown>>>;
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
  { name, kind, transport, dialect, address }: ChatEngineOptions,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  signal.throwIfAborted();
  if (dialect.addressing === undefined && address === undefined)
    refuseAnyAdapter(name, kind, request.adapter);
  const addressed = await address?.(request, signal);
  const reply = await transport().exchange(
    {
      method: 'POST',
      path: dialect.chatPath ?? '/v1/chat/completions',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ ...chatBody(request, dialect), ...addressed }),
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
    try {
      yield* readChatStream(options, reply.body, signal);
    } catch (error) {
      throw withAdapter(error, request.adapter);
    }
    return;
  }
  const failure =
    reply.status === 200
      ? await notAStream(name, contentType, reply.body)
      : await refusal(name, reply.status, reply.body, reply.headers);
  signal.throwIfAborted();
  if (failure.details['isFiltered'] !== true) throw withAdapter(failure, request.adapter);
  // Refused for what the player or the persona says: no fault of the engine, and nothing to bill for.
  yield {
    type: 'finish',
    reason: 'content_filter',
    usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0, source: 'estimated' },
  };
}
