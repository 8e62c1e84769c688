/**
 * What goes on inside a double of an engine: places, a queue before them, and three phases in which a request can be held
 * so that a test can hang up in each. Its counts are the engine's own word for whether work was left behind.
 */
import { once } from 'node:events';

export type Phase = 'queued' | 'prefill' | 'decoding';

export class EngineWork {
  readonly #places: number;
  readonly #held = new Map<Phase, PromiseWithResolvers<void>>();
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #waiting = 0;

  constructor(places: number) {
    this.#places = places;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Requests stay in this phase until the hold is disposed; those before it go on to it. */
  hold(phase: Phase): Disposable {
    const held = Promise.withResolvers<void>();
    this.#held.set(phase, held);
    return {
      [Symbol.dispose]: () => {
        this.#held.delete(phase);
        held.resolve();
      },
    };
  }

  /** Gives the pieces one by one, as a request that came just now; throws when `closed` aborts. */
  async *run(pieces: Iterable<string>, closed: AbortSignal): AsyncGenerator<string> {
    await this.#takePlace(closed);
    try {
      await this.#pass('prefill', closed);
      let isFirst = true;
      for (const piece of pieces) {
        yield piece;
        closed.throwIfAborted();
        if (isFirst) await this.#pass('decoding', closed);
        isFirst = false;
      }
    } finally {
      this.#running -= 1;
      this.#queue.shift()?.();
    }
  }

  async #takePlace(closed: AbortSignal): Promise<void> {
    closed.throwIfAborted();
    this.#waiting += 1;
    try {
      await this.#pass('queued', closed);
      while (this.#running >= this.#places) {
        const turn = Promise.withResolvers<void>();
        this.#queue.push(turn.resolve);
        await unlessClosed(turn.promise, closed).finally(() => {
          const index = this.#queue.indexOf(turn.resolve);
          if (index !== -1) this.#queue.splice(index, 1);
        });
      }
      this.#running += 1;
    } finally {
      this.#waiting -= 1;
    }
  }

  async #pass(phase: Phase, closed: AbortSignal): Promise<void> {
    const held = this.#held.get(phase);
    if (held !== undefined) await unlessClosed(held.promise, closed);
    closed.throwIfAborted();
  }
}

async function unlessClosed(promise: Promise<void>, closed: AbortSignal): Promise<void> {
  closed.throwIfAborted();
  const settled = new AbortController();
  try {
    await Promise.race([promise, once(closed, 'abort', { signal: settled.signal })]);
  } finally {
    settled.abort();
  }
  closed.throwIfAborted();
}
