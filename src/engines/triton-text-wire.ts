/**
 * The stream of Triton's generate extension, read (engines.md §9.1): each event an object of output tensors, about a token
 * each, an `error` event after a 200, and no end but that of the body.
 */
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { type Account, count } from './account.ts';
import { cutShort, type Frame, gaveUp, type ReplyReader } from './reply-stream.ts';
import type { TritonFields } from './triton-text-options.ts';
import { errorText } from './wire-errors.ts';

export class TritonTextReader implements ReplyReader {
  readonly #engine: string;
  readonly #account: Account;
  readonly #fields: TritonFields;
  readonly #tokensMax: number;
  #hasAnswer = false;
  #finishReason = '';
  /** The vLLM backend tells how many tokens each event added. */
  #reportedTokens = 0;
  /** The body's end says so, which a broken connection cannot pretend: its last chunk is missing then. */
  readonly isComplete = false;

  constructor(engine: string, account: Account, fields: TritonFields, tokensMax: number) {
    this.#engine = engine;
    this.#account = account;
    this.#fields = fields;
    this.#tokensMax = tokensMax;
  }

  *take(frame: Frame): Generator<GenerateEvent> {
    if (frame['error'] !== undefined) throw streamedFailure(this.#engine, frame);
    this.#hasAnswer = true;
    const text = tensor(frame, this.#fields.text);
    if (typeof text === 'string') yield* this.#account.heard(text, 1);
    const reason = tensor(frame, this.#fields.finishReason);
    if (typeof reason === 'string' && reason !== '' && reason !== 'None') this.#finishReason = reason;
    const promptTokens = count(tensor(frame, this.#fields.promptTokens));
    if (promptTokens !== null && promptTokens > 0) this.#account.reportPrompt({ promptTokens });
    const newTokens = count(tensor(frame, this.#fields.completionTokens));
    if (newTokens === null) return;
    this.#reportedTokens += newTokens;
    this.#account.reportCompletion({ completionTokens: this.#reportedTokens });
  }

  /** Where no tensor says why it ended: as many tokens as were allowed mean that it was cut. */
  finish(): GenerateEvent {
    const { usage } = this.#account;
    if (!this.#hasAnswer) throw cutShort(this.#engine, 'an answer');
    switch (this.#finishReason) {
      case '': {
        if (this.#fields.finishReason !== null)
          throw cutShort(this.#engine, `a ${this.#fields.finishReason}`);
        const reason = this.#account.heardTokens >= this.#tokensMax ? 'length' : 'stop';
        return { type: 'finish', reason, usage };
      }
      case 'stop':
      case 'length':
        return { type: 'finish', reason: this.#finishReason, usage };
      default:
        throw gaveUp(this.#engine, this.#finishReason);
    }
  }
}

/** A tensor of one element comes bare or as a list of one, by version. */
function tensor(frame: Frame, name: string | null): unknown {
  if (name === null) return undefined;
  const value = frame[name];
  return Array.isArray(value) ? (value as readonly unknown[])[0] : value;
}

function streamedFailure(engine: string, frame: Frame): ServiceError {
  const text = errorText(frame);
  const code = /maximum queue size/i.test(text)
    ? 'overloaded'
    : /input length|max_input_len|max_seq_len|context/i.test(text)
      ? 'context_length_exceeded'
      : 'engine_error';
  return new ServiceError(code, `${engine}: ${text}`, { details: { engine } });
}
