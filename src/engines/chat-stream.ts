/**
 * Reads the stream of a chat completion (engines.md §2.2, §2.3): bytes in, GenerateEvent out. A stream is complete only
 * with a finish reason; `[DONE]` proves nothing. Every deviation that engines are known for is survived here.
 */
import type { EngineFinish, EngineUsage, GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { decodeSse } from '../lib/sse.ts';
import { readUsage } from './chat-usage.ts';
import { streamedError } from './wire-errors.ts';

/** One event of an engine may hold a long usage block, never megabytes. */
const EVENT_BYTES_MAX = 1_000_000;
/** The longest tokens of the vocabularies in use are runs of some hundred spaces; words have four characters. */
const CHARACTERS_PER_TOKEN_MAX = 128;
const CHARACTERS_SPARE = 4_096;

interface Delta {
  readonly content?: unknown;
  readonly reasoning?: unknown;
  readonly reasoning_content?: unknown;
}

interface Chunk {
  readonly choices?:
    | readonly ({
        readonly delta?: Delta | null;
        readonly finish_reason?: string | null;
      } | null)[]
    | null;
  readonly usage?: unknown;
  readonly error?: unknown;
}

export interface ChatStreamOptions {
  /** The engine's name, for messages. */
  readonly engine: string;
  /** Asked at most once, while the engine has not reported what the prompt took. */
  readonly estimatePromptTokens: () => number;
  /** What the engine was told; one that speaks on far beyond it is cut off. */
  readonly maxTokens: number;
}

/**
 * Text and usage as they come, then one `finish`; until the engine reports usage, an estimate goes before each text, so
 * that a line that is cut off is accounted too. Throws `engine_error` when the stream breaks, never ends, or ends without
 * a good finish reason, what an error in the stream means, and `signal.reason` when aborted before the finish. The finish
 * is yielded at `[DONE]`; the reader that asks once more lets the body end, and so keeps the connection for the next
 * line, the reader that leaves drops it.
 */
export async function* readChatStream(
  options: ChatStreamOptions,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const { engine } = options;
  const state = new StreamState(options);
  let isFinished = false;
  try {
    for await (const event of decodeSse(body, { maxEventBytes: EVENT_BYTES_MAX })) {
      if (isFinished) continue;
      // One chunk of bytes may hold many events; none of them is spoken once nobody listens.
      if (signal.aborted) throw signal.reason;
      // trtllm-serve leaves a space behind it (engines.md §2.3).
      if (event.data.trimEnd() === '[DONE]') {
        const finish = state.finish();
        isFinished = true;
        yield finish;
        continue;
      }
      yield* state.take(parseChunk(engine, event.data));
    }
    if (isFinished) return;
    if (signal.aborted) throw signal.reason;
    yield state.finish();
  } catch (error) {
    // The line is whole: how its connection ends is nobody's failure.
    if (isFinished) return;
    if (signal.aborted) throw signal.reason;
    if (error instanceof ServiceError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ServiceError('engine_error', `${engine}: the stream broke: ${reason}`, {
      cause: error,
      details: { engine },
    });
  }
}

class StreamState {
  readonly #options: ChatStreamOptions;
  readonly #charactersMax: number;
  #reason: EngineFinish | null = null;
  #rawReason = '';
  #reported: EngineUsage | null = null;
  #promptTokens: number | null = null;
  #heardTokens = 0;
  #thoughtTokens = 0;
  #characters = 0;
  #hasText = false;

  constructor(options: ChatStreamOptions) {
    this.#options = options;
    this.#charactersMax = options.maxTokens * CHARACTERS_PER_TOKEN_MAX + CHARACTERS_SPARE;
  }

  *take(chunk: Chunk): Generator<GenerateEvent> {
    if (chunk.error !== undefined && chunk.error !== null) throw streamedError(this.#options.engine, chunk);
    const usage = readUsage(chunk.usage, () => this.#estimate());
    if (usage !== null) {
      this.#reported = usage;
      yield { type: 'usage', usage };
    }
    const choice = chunk.choices?.[0];
    this.#think(choice?.delta);
    const text = choice?.delta?.content;
    if (typeof text === 'string' && text !== '') {
      this.#heardTokens += this.#count(text);
      this.#hasText = true;
      if (this.#reported === null) yield { type: 'usage', usage: this.#estimate() };
      yield { type: 'text', text };
    }
    // A failure stays one, whatever a later chunk says.
    if (
      typeof choice?.finish_reason === 'string' &&
      choice.finish_reason !== '' &&
      !isFailure(this.#reason)
    ) {
      this.#rawReason = choice.finish_reason;
      this.#reason = finishReason(choice.finish_reason);
    }
  }

  /** Thinking is never heard, but paid. vLLM says `reasoning`, the others `reasoning_content`. */
  #think(delta: Delta | null | undefined): void {
    const thought = delta?.reasoning ?? delta?.reasoning_content;
    if (typeof thought === 'string' && thought !== '') this.#thoughtTokens += this.#count(thought);
  }

  /** Engines send a token a piece, clouds several: a piece is one at least, and four bytes are about one. */
  #count(text: string): number {
    this.#characters += text.length;
    if (this.#characters > this.#charactersMax)
      throw new ServiceError(
        'engine_error',
        `${this.#options.engine}: more than ${this.#charactersMax} characters came, though ${this.#options.maxTokens} tokens were asked for`,
        { details: { engine: this.#options.engine, isDisowned: true } },
      );
    return Math.max(1, Math.floor(Buffer.byteLength(text) / 4));
  }

  #estimate(): EngineUsage {
    this.#promptTokens ??= this.#options.estimatePromptTokens();
    return {
      promptTokens: this.#promptTokens,
      cachedTokens: 0,
      completionTokens: this.#heardTokens + this.#thoughtTokens,
      ...(this.#thoughtTokens === 0 ? {} : { reasoningTokens: this.#thoughtTokens }),
      source: 'estimated',
    };
  }

  /** Throws unless the engine said that it had finished well. */
  finish(): GenerateEvent {
    const { engine } = this.#options;
    if (this.#reason === null)
      throw new ServiceError('engine_error', `${engine}: the stream ended without a finish reason`, {
        details: { engine },
      });
    if (isFailure(this.#reason)) {
      // DeepSeek out of places, SGLang's full queue in older builds (engines.md §4.3): busy, not broken.
      const isBusy =
        this.#rawReason === 'insufficient_system_resource' || (this.#rawReason === 'abort' && !this.#hasText);
      throw new ServiceError(
        isBusy ? 'overloaded' : 'engine_error',
        `${engine}: the engine gave up (${this.#rawReason})`,
        { details: { engine, isDisowned: true } },
      );
    }
    return { type: 'finish', reason: this.#reason, usage: this.#reported ?? this.#estimate() };
  }
}

function isFailure(reason: EngineFinish | null): boolean {
  return reason === 'aborted' || reason === 'error';
}

function parseChunk(engine: string, data: string): Chunk {
  const refuse = (what: string, cause?: unknown) =>
    new ServiceError('engine_error', `${engine}: an event is ${what} (${data.length} characters)`, {
      cause,
      details: { engine },
    });
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch (error) {
    throw refuse('not JSON', error);
  }
  if (typeof chunk !== 'object' || chunk === null || Array.isArray(chunk)) throw refuse('no JSON object');
  const { choices } = chunk as Chunk;
  if (choices != null && !Array.isArray(choices)) throw refuse('JSON without a list of choices');
  return chunk;
}

/** engines.md §2.4: `abort` and `repetition` are failures of the attempt, never a good line. */
function finishReason(raw: string): EngineFinish {
  switch (raw) {
    case 'stop':
    case 'stop_sequence':
    case 'eos_token':
    case 'tool_calls':
    case 'function_call':
      return 'stop';
    case 'length':
      return 'length';
    case 'content_filter':
      return 'content_filter';
    case 'abort':
    case 'aborted':
    case 'repetition':
    case 'insufficient_system_resource':
      return 'aborted';
    default:
      return 'error';
  }
}
