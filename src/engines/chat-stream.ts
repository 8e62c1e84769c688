/**
 * Reads the stream of a chat completion (engines.md §2.2, §2.3): bytes in, GenerateEvent out. A stream is complete only
 * with a finish reason; `[DONE]` proves nothing. Every deviation that engines are known for is survived here.
 */
import type { EngineFinish, EngineUsage, GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { decodeSse } from '../lib/sse.ts';
import { errorText } from './wire-errors.ts';

/** One event of an engine may hold a long usage block, never megabytes. */
const EVENT_BYTES_MAX = 1_000_000;

interface Chunk {
  readonly choices?:
    | readonly ({
        readonly delta?: { readonly content?: unknown } | null;
        readonly finish_reason?: string | null;
      } | null)[]
    | null;
  readonly usage?: {
    readonly prompt_tokens?: number | null;
    readonly completion_tokens?: number | null;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number | null } | null;
  } | null;
  readonly error?: unknown;
}

/**
 * Text and usage as they come, then one `finish`. `estimatePromptTokens` is asked when the engine reported no usage.
 * Throws `engine_error` when the stream breaks, tells of an error, or ends without a good finish reason, and
 * `signal.reason` when aborted before the finish. The finish is yielded at `[DONE]`; the reader that asks once more lets
 * the body end, and so keeps the connection for the next line, the reader that leaves drops it.
 */
export async function* readChatStream(
  engine: string,
  body: AsyncIterable<Uint8Array>,
  estimatePromptTokens: () => number,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const state = new StreamState(engine);
  let isFinished = false;
  try {
    for await (const event of decodeSse(body, { maxEventBytes: EVENT_BYTES_MAX })) {
      if (isFinished) continue;
      // One chunk of bytes may hold many events; none of them is spoken once nobody listens.
      if (signal.aborted) throw signal.reason;
      if (event.data === '[DONE]') {
        const finish = state.finish(estimatePromptTokens);
        isFinished = true;
        yield finish;
        continue;
      }
      yield* state.take(parseChunk(engine, event.data));
    }
    if (isFinished) return;
    if (signal.aborted) throw signal.reason;
    yield state.finish(estimatePromptTokens);
  } catch (error) {
    // The line is whole: how its connection ends is nobody's failure.
    if (isFinished) return;
    if (signal.aborted) throw signal.reason;
    if (error instanceof ServiceError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ServiceError('engine_error', `${engine}: the stream broke: ${reason}`, { cause: error });
  }
}

class StreamState {
  readonly #engine: string;
  #reason: EngineFinish | null = null;
  #rawReason = '';
  #usage: EngineUsage | null = null;
  #pieces = 0;

  constructor(engine: string) {
    this.#engine = engine;
  }

  *take(chunk: Chunk): Generator<GenerateEvent> {
    if (chunk.error !== undefined && chunk.error !== null)
      throw new ServiceError('engine_error', `${this.#engine}: ${errorText(chunk)}`);
    if (chunk.usage) {
      this.#usage = {
        promptTokens: chunk.usage.prompt_tokens ?? 0,
        completionTokens: chunk.usage.completion_tokens ?? this.#pieces,
        cachedTokens: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0,
        source: 'reported',
      };
      yield { type: 'usage', usage: this.#usage };
    }
    const choice = chunk.choices?.[0];
    const text = choice?.delta?.content;
    if (typeof text === 'string' && text !== '') {
      this.#pieces += 1;
      yield { type: 'text', text };
    }
    // A failure stays one, whatever a later chunk says.
    if (choice?.finish_reason && !isFailure(this.#reason)) {
      this.#rawReason = choice.finish_reason;
      this.#reason = finishReason(choice.finish_reason);
    }
  }

  /** Throws `engine_error` unless the engine said that it had finished well. */
  finish(estimatePromptTokens: () => number): GenerateEvent {
    if (this.#reason === null)
      throw new ServiceError('engine_error', `${this.#engine}: the stream ended without a finish reason`);
    if (isFailure(this.#reason))
      throw new ServiceError('engine_error', `${this.#engine}: the engine gave up (${this.#rawReason})`, {
        details: { isDisowned: true },
      });
    const usage = this.#usage ?? {
      promptTokens: estimatePromptTokens(),
      cachedTokens: 0,
      completionTokens: this.#pieces,
      source: 'estimated',
    };
    return { type: 'finish', reason: this.#reason, usage };
  }
}

function isFailure(reason: EngineFinish | null): boolean {
  return reason === 'aborted' || reason === 'error';
}

function parseChunk(engine: string, data: string): Chunk {
  try {
    const chunk: unknown = JSON.parse(data);
    if (typeof chunk === 'object' && chunk !== null) return chunk;
  } catch (error) {
    throw new ServiceError('engine_error', `${engine}: an event is not JSON (${data.length} characters)`, {
      cause: error,
    });
  }
  throw new ServiceError('engine_error', `${engine}: an event is no JSON object (${data.length} characters)`);
}

/** engines.md §2.4: `abort` and `repetition` are failures of the attempt, never a good line. */
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
