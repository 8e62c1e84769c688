/**
 * The shared base of every engine that speaks OpenAI's chat completions over SSE (engines.md §2): a request in,
 * GenerateEvent out, quirks as data. What comes back is read in `chat-stream.ts`, what is refused in `wire-errors.ts`.
 */
import { z } from 'zod';
import type { Engine, GenerateRequest } from '../core/engine.ts';
import type { Transport } from '../core/transport.ts';
import { createChatProbe } from './chat-probe.ts';
import { readChatStream } from './chat-stream.ts';
import { defineDriver } from './driver.ts';
import { estimateTokens } from './token-counter.ts';
import { notAStream, refusal } from './wire-errors.ts';

/** What one engine does differently from the common dialect. */
export interface Dialect {
  /** Fields beyond the common ones that this engine takes, from a request. */
  readonly extraBody?: (request: GenerateRequest) => Readonly<Record<string, unknown>>;
  /** Whether the engine can go on from an assistant message (`continue_final_message`). */
  readonly continuesAssistant: boolean;
  readonly honoursPriority: boolean;
  /** Whether every chunk can carry usage (`continuous_usage_stats`), so that a line cut early is accounted too. */
  readonly reportsRunningUsage: boolean;
}

export interface OpenAiCompatibleOptions {
  readonly name: string;
  readonly kind: string;
  /** Asked at each request: a supervised engine comes back on another port. */
  readonly transport: () => Transport;
  readonly dialect: Dialect;
}

export function createOpenAiCompatible({ name, kind, transport, dialect }: OpenAiCompatibleOptions): Engine {
  return {
    name,
    kind,
    isWritten: false,
    capabilities: {
      continuesAssistant: dialect.continuesAssistant,
      structuredOutput: 'schema',
      honoursPriority: dialect.honoursPriority,
    },
    async *generate(request, signal) {
      signal.throwIfAborted();
      const reply = await transport().exchange(
        {
          method: 'POST',
          path: '/v1/chat/completions',
          headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
          body: JSON.stringify(chatBody(request, dialect)),
        },
        signal,
      );
      const contentType = String(reply.headers['content-type'] ?? 'text/event-stream');
      const failure =
        reply.status !== 200
          ? await refusal(name, reply.status, reply.body)
          : /^text\/event-stream\b/i.test(contentType)
            ? null
            : await notAStream(name, contentType, reply.body);
      signal.throwIfAborted();
      if (failure !== null) throw failure;
      const promptTokens = () =>
        request.messages.reduce((sum, message) => sum + estimateTokens(message.content), 0);
      yield* readChatStream(name, reply.body, promptTokens, signal);
    },
  };
}

/** Any server of the dialect that has no driver of its own: only what all of them take is sent. */
export const openaiCompatible = defineDriver({
  kind: 'openai-compatible',
  title: 'Any server that speaks chat completions; nothing is sent beyond what all of them take',
  defaultBaseUrl: null,
  isPaid: false,
  options: z.strictObject({}),
  headers: bearer,
  create: ({ name, model, transport }) => ({
    engine: createOpenAiCompatible({
      name,
      kind: 'openai-compatible',
      transport,
      dialect: { continuesAssistant: false, honoursPriority: false, reportsRunningUsage: false },
    }),
    probe: createChatProbe({ name, model, transport, questions: { modelsPath: '/v1/models' } }),
    counter: { count: async (text) => estimateTokens(text) },
  }),
});

/** How most of the dialect is told the key. */
export function bearer(apiKey: string | null): Readonly<Record<string, string>> {
  return apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
}

/**
 * For an engine that cannot go on from an assistant message: it sees what it said, and is asked for the rest. It may
 * begin anew all the same; the guard against repetition then drops what was heard before.
 */
const GO_ON =
  'Go on from exactly where you stopped. Do not repeat anything of what you said, and do not mention this request.';

/** The whitelist body: nothing is sent that this engine is not known to take (engines.md §2.1). */
function chatBody(request: GenerateRequest, dialect: Dialect): Record<string, unknown> {
  const continues = request.assistantPrefix !== '' && dialect.continuesAssistant;
  const said = { role: 'assistant', content: request.assistantPrefix };
  return {
    model: request.model,
    messages: [
      ...request.messages,
      ...(request.assistantPrefix === '' ? [] : [said]),
      ...(request.assistantPrefix === '' || continues ? [] : [{ role: 'user', content: GO_ON }]),
    ],
    stream: true,
    stream_options: dialect.reportsRunningUsage
      ? { include_usage: true, continuous_usage_stats: true }
      : { include_usage: true },
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    ...(request.topP === undefined ? {} : { top_p: request.topP }),
    ...(request.seed === undefined ? {} : { seed: request.seed }),
    ...(request.stop.length === 0 ? {} : { stop: request.stop }),
    ...(request.responseSchema === undefined
      ? {}
      : {
          response_format: {
            type: 'json_schema',
            json_schema: { name: 'reply', schema: request.responseSchema, strict: true },
          },
        }),
    ...(continues ? { continue_final_message: true, add_generation_prompt: false } : {}),
    ...dialect.extraBody?.(request),
  };
}
