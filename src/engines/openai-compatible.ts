/**
 * The shared base of every engine that speaks OpenAI's chat completions over SSE (engines.md §2): wire types in,
 * GenerateEvent out, quirks as data. A stream is complete only with a finish reason; `[DONE]` proves nothing.
 */
import type { Engine, EngineFinish, EngineUsage, GenerateEvent, GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Transport } from '../core/transport.ts';
import { readBody } from '../core/transport.ts';
import { decodeSse } from '../lib/sse.ts';

/** What one engine does differently from the common dialect. */
export interface Dialect {
  /** Fields beyond the common ones that this engine takes, from a request. */
  readonly extraBody?: (request: GenerateRequest) => Readonly<Record<string, unknown>>;
  /** Whether the engine can go on from an assistant message (`continue_final_message`). */
  readonly continuesAssistant: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One SSE event of an engine may hold a long usage block, never megabytes. */
const MAX_EVENT_BYTES = 1_000_000;
const MAX_ERROR_BODY_BYTES = 64_000;

interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens?: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  } | null;
  readonly error?: unknown;
}

export interface OpenAiCompatibleOptions {
  readonly name: string;
  readonly kind: string;
  readonly transport: () => Transport;
  readonly dialect: Dialect;
}

export function createOpenAiCompatible({ name, kind, transport, dialect }: OpenAiCompatibleOptions): Engine {
  return {
    name,
    kind,
    isWritten: false,
    async *generate(request, signal) {
      const reply = await transport().exchange(
        {
          method: 'POST',
          path: '/v1/chat/completions',
          headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...dialect.headers },
          body: JSON.stringify(chatBody(request, dialect)),
        },
        signal,
      );
      if (reply.status !== 200) throw await refusal(name, reply.status, reply.body);
      yield* readChunks(name, reply.body, signal);
    },
  };
}

/** The whitelist body: nothing is sent that this engine is not known to take (engines.md §2.1). */
function chatBody(request: GenerateRequest, dialect: Dialect): Record<string, unknown> {
  const continues = request.assistantPrefix !== '' && dialect.continuesAssistant;
  return {
    model: request.model,
    messages: continues
      ? [...request.messages, { role: 'assistant', content: request.assistantPrefix }]
      : request.messages,
    stream: true,
    stream_options: { include_usage: true },
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

async function* readChunks(
  name: string,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  let reason: EngineFinish | null = null;
  let usage: EngineUsage | null = null;
  let pieces = 0;
  try {
    for await (const event of decodeSse(body, { maxEventBytes: MAX_EVENT_BYTES })) {
      if (event.data === '[DONE]') break;
      const chunk = parseChunk(name, event.data);
      if (chunk.error !== undefined) throw new ServiceError('engine_error', `${name}: ${errorText(chunk)}`);
      const choice = chunk.choices?.[0];
      const text = choice?.delta?.content;
      if (text !== undefined && text !== null && text !== '') {
        pieces += 1;
        yield { type: 'text', text };
      }
      if (choice?.finish_reason) reason = finishReason(choice.finish_reason);
      if (chunk.usage) {
        usage = {
          promptTokens: chunk.usage.prompt_tokens ?? 0,
          completionTokens: chunk.usage.completion_tokens ?? pieces,
          cachedTokens: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0,
          source: 'reported',
        };
      }
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof ServiceError) throw error;
    throw new ServiceError(
      'engine_error',
      `${name}: the stream broke: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  }
  if (signal.aborted) throw signal.reason;
  if (reason === null)
    throw new ServiceError('engine_error', `${name}: the stream ended without a finish reason`);
  if (reason === 'aborted' || reason === 'error')
    throw new ServiceError('engine_error', `${name}: the engine gave up (${reason})`);
  yield {
    type: 'finish',
    reason,
    usage: usage ?? { promptTokens: 0, cachedTokens: 0, completionTokens: pieces, source: 'estimated' },
  };
}

function parseChunk(name: string, data: string): Chunk {
  try {
    return JSON.parse(data) as Chunk;
  } catch (error) {
    throw new ServiceError('engine_error', `${name}: an event is not JSON: ${data.slice(0, 80)}`, {
      cause: error,
    });
  }
}

function finishReason(raw: string): EngineFinish {
  switch (raw) {
    case 'stop':
    case 'stop_sequence':
    case 'tool_calls':
      return 'stop';
    case 'length':
      return 'length';
    case 'content_filter':
      return 'content_filter';
    case 'abort':
    case 'aborted':
    case 'repetition':
      return 'aborted';
    default:
      return 'error';
  }
}

/** Reads any of the four error shapes of engines.md §2.5. */
function errorText(body: unknown): string {
  if (typeof body !== 'object' || body === null) return String(body);
  const { error, message } = body as { error?: unknown; message?: unknown };
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return String(error ?? message ?? JSON.stringify(body));
}

/** Turns a reply that is not 200 into the error of the catalogue that the ladder understands. */
export async function refusal(
  name: string,
  status: number,
  body: AsyncIterable<Uint8Array>,
): Promise<ServiceError> {
  let text = '';
  try {
    const raw = (await readBody(body, MAX_ERROR_BODY_BYTES)).toString('utf8');
    text = raw;
    text = errorText(JSON.parse(raw));
  } catch {
    text = text.slice(0, 200);
  }
  const details = { engine: name, status };
  const message = `${name} answered ${status}: ${text}`;
  if (status === 429 || status === 503 || status === 529)
    return new ServiceError('overloaded', message, { details });
  if (status === 404) return new ServiceError('unknown_model', message, { details });
  if (status === 400 && /context|too long|maximum.*tokens/i.test(text)) {
    return new ServiceError('context_length_exceeded', message, { details });
  }
  return new ServiceError(status === 400 ? 'bad_request' : 'engine_error', message, { details });
}
