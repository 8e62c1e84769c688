/**
 * One HTTP exchange as undici drives it: what the socket gives is kept until the reader pulls it, and given in one piece.
 * undici's own `request` puts a Node stream between the two, which costs a third of a short exchange. Invariants: past
 * `BUFFERED_BYTES_MAX` the socket is paused until the reader comes; every way out but the body's end closes it.
 *
 *     asked → answered (head) → ended                 failed or left: from anywhere, once; the first cause stays
 */
import type { Dispatcher } from 'undici';
import type { WireResponse } from '../core/transport.ts';

/** Bytes kept for a reader that does not come; the last read of the socket (64 kB) may stand above it. */
const BUFFERED_BYTES_MAX = 65_536;
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

type Step = IteratorResult<Uint8Array, undefined>;

export interface ExchangeErrors {
  /** Makes the error of an exchange that broke; `isAnswered`: after its head had come. */
  broken(error: Error, isAnswered: boolean): Error;
}

export class Exchange implements Dispatcher.DispatchHandler, AsyncIterableIterator<Uint8Array, undefined> {
  readonly #head = Promise.withResolvers<WireResponse>();
  readonly #signal: AbortSignal;
  readonly #errors: ExchangeErrors;
  #controller: Dispatcher.DispatchController | null = null;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #isAnswered = false;
  #hasEnded = false;
  /** Boxed, because the reason of an abort may be anything, `undefined` too. */
  #failure: { readonly reason: unknown } | null = null;
  #reader: { readonly give: (step: Step) => void; readonly fail: (reason: unknown) => void } | null = null;

  /** The caller has looked that `signal` is not aborted yet. */
  constructor(signal: AbortSignal, errors: ExchangeErrors) {
    this.#signal = signal;
    this.#errors = errors;
    signal.addEventListener('abort', this);
  }

  /** Settles once: with the head of the reply, or the error that came instead. */
  get answered(): Promise<WireResponse> {
    return this.#head.promise;
  }

  /** The signal aborted. Not a listener of its own, so that an exchange makes no function. */
  handleEvent(): void {
    this.#break(this.#signal.reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Aborted while it waited for a connection: it must not reach the engine any more.
    if (this.#failure !== null) controller.abort(asError(this.#failure.reason));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    if (status < 200 || this.#failure !== null) return;
    this.#isAnswered = true;
    this.#head.resolve({ status, headers, body: this });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#failure !== null || chunk.length === 0) return;
    const reader = this.#reader;
    if (reader !== null) {
      this.#reader = null;
      reader.give({ done: false, value: chunk });
      return;
    }
    this.#kept.push(chunk);
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > BUFFERED_BYTES_MAX) controller.pause();
  }

  onResponseEnd(): void {
    this.#hasEnded = true;
    this.#unhook();
    this.#reader?.give(DONE);
    this.#reader = null;
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#failure === null) this.#break(this.#errors.broken(error, this.#isAnswered));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** What has come since the last time, or what comes next. One reader at a time. */
  next(): Promise<Step> {
    if (this.#signal.aborted && this.#failure === null) this.#break(this.#signal.reason);
    const [first] = this.#kept;
    if (first !== undefined) {
      const value = this.#kept.length === 1 ? first : Buffer.concat(this.#kept, this.#keptBytes);
      this.#kept = [];
      this.#keptBytes = 0;
      if (this.#controller?.paused === true) this.#controller.resume();
      return Promise.resolve({ done: false, value });
    }
    if (this.#failure !== null) return Promise.reject(this.#failure.reason as Error);
    if (this.#hasEnded) return Promise.resolve(DONE);
    return new Promise((give, fail) => {
      this.#reader = { give, fail };
    });
  }

  /** The reader leaves. A body that has not ended takes its connection along: that is how an engine learns to stop. */
  return(): Promise<Step> {
    this.#kept = [];
    if (!this.#hasEnded && this.#failure === null) this.#break(new Error('the reader left'));
    this.#hasEnded = true;
    this.#failure = null;
    return Promise.resolve(DONE);
  }

  #break(reason: unknown): void {
    this.#failure = { reason };
    this.#unhook();
    // What came before a break is still read; what came before an abort nobody wants.
    if (this.#signal.aborted) this.#kept = [];
    this.#reader?.fail(reason);
    this.#reader = null;
    if (!this.#isAnswered) this.#head.reject(reason);
    if (!this.#hasEnded) this.#controller?.abort(asError(reason));
  }

  #unhook(): void {
    this.#signal.removeEventListener('abort', this);
  }
}

type Headers = WireResponse['headers'];

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
