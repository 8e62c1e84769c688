/**
 * The common half of both answer readers: status, refusals, server-sent events as JSON. What an event means is the
 * wire's own. Once something is wrong nothing after it is believed.
 */
import { SseDecoder } from '../../src/lib/sse.ts';
import { type AnswerReader, EVENT_BYTES_MAX, type Heard, NOTHING_HEARD, REFUSAL_CHARS_MAX } from './heard.ts';

export abstract class StreamReader implements AnswerReader {
  protected said: Heard = NOTHING_HEARD;
  protected isFinished = false;
  #status = 0;
  #refusal = '';
  #wrong: string | null = null;
  readonly #decoder = new SseDecoder({ maxEventBytes: EVENT_BYTES_MAX });

  /** Reads one event. What it throws is what is wrong with the answer. */
  protected abstract onEvent(event: string, data: string, atMs: number): void;

  onHead(status: number): void {
    this.#status = status;
  }

  onBody(bytes: Uint8Array, atMs: number): void {
    if (this.#wrong !== null) return;
    if (this.#status !== 200) {
      if (this.#refusal.length < REFUSAL_CHARS_MAX) this.#refusal += Buffer.from(bytes).toString('utf8');
      return;
    }
    try {
      for (const { event, data } of this.#decoder.push(bytes)) this.onEvent(event, data, atMs);
    } catch (error) {
      this.#wrong = error instanceof Error ? error.message : String(error);
    }
  }

  failure(): string | null {
    if (this.#status === 204 || this.said.isUnspoken) return null;
    if (this.#status !== 200) return `status ${this.#status}: ${this.#refusal.slice(0, REFUSAL_CHARS_MAX)}`;
    if (this.#wrong !== null) return this.#wrong;
    if (!this.isFinished) return 'the stream ended without saying that it was finished';
    return this.said.text.trim() === '' ? 'an empty answer' : null;
  }

  heard(): Heard {
    return this.#status === 204 ? { ...this.said, isUnspoken: true } : this.said;
  }
}

/** The fields of an event's data. Throws when it is no JSON object. */
export function fieldsOf(data: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw new Error(`an event that is no JSON: ${data.slice(0, REFUSAL_CHARS_MAX)}`);
  }
  if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  throw new Error(`an event that is no JSON object: ${data.slice(0, REFUSAL_CHARS_MAX)}`);
}

/** A count where one stands, else 0. */
export function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;
}
