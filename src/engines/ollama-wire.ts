/**
 * Ollama's native chat stream, read (engines.md §6.2): NDJSON lines, zero-valued counts left out, an error as a line of
 * its own after a 200, and no end but a line with `done: true`.
 */
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { type Account, count } from './account.ts';
import { cutShort, type Frame, gaveUp, type ReplyReader } from './reply-stream.ts';
import { errorText } from './wire-errors.ts';

interface ChatLine {
  readonly message?: { readonly content?: unknown } | null;
  readonly done?: unknown;
  readonly done_reason?: unknown;
  readonly prompt_eval_count?: unknown;
  readonly eval_count?: unknown;
  readonly error?: unknown;
}

export class OllamaReader implements ReplyReader {
  readonly #engine: string;
  readonly #account: Account;
  #doneReason: string | null = null;

  constructor(engine: string, account: Account) {
    this.#engine = engine;
    this.#account = account;
  }

  get isComplete(): boolean {
    return this.#doneReason !== null;
  }

  *take(frame: Frame): Generator<GenerateEvent> {
    const line: ChatLine = frame;
    if (line.error !== undefined) throw inBandError(this.#engine, frame);
    const text = line.message?.content;
    // A line is a token, unless a character took several.
    if (typeof text === 'string') yield* this.#account.heard(text, 1);
    if (line.done !== true) return;
    this.#doneReason = typeof line.done_reason === 'string' ? line.done_reason : 'stop';
    this.#account.reportCompletion({ completionTokens: count(line.eval_count) ?? 0 });
    // Left out when it is zero: then the whole prompt was in the cache, and how long it was is not told.
    const promptTokens = count(line.prompt_eval_count);
    if (promptTokens !== null) this.#account.reportPrompt({ promptTokens });
  }

  finish(): GenerateEvent {
    switch (this.#doneReason) {
      case null:
        throw cutShort(this.#engine, 'done: true');
      case 'stop':
      case 'length':
        return { type: 'finish', reason: this.#doneReason, usage: this.#account.usage };
      default:
        // `load` and `unload` answer requests without messages, which are not ours.
        throw gaveUp(this.#engine, this.#doneReason);
    }
  }
}

/** An `{"error": "…"}` line; the common words of a full context and a full queue keep their meaning. */
export function inBandError(engine: string, line: Frame): ServiceError {
  const text = errorText(line);
  const code = /context length|context size|exceeds the available context/i.test(text)
    ? 'context_length_exceeded'
    : /server busy|maximum pending requests/i.test(text)
      ? 'overloaded'
      : 'engine_error';
  return new ServiceError(code, `${engine}: ${text}`, { details: { engine } });
}
