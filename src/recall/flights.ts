/**
 * Flights: one generation that equal requests of this process join. The leader tells each sentence as it is committed;
 * joiners hear it from the start whenever they come. A leader who leaves loses the flight: the joiner who asks first
 * afterwards leads a new one, from what they have all heard. Nothing here waits for a joiner.
 */
import { linkSignals } from '../lib/abort.ts';
import type { FlownSentence } from './shared-tier.ts';

export class Flight {
  readonly #sentences: FlownSentence[] = [];
  readonly #onEnd: () => void;
  #end: 'landed' | 'lost' | null = null;
  #joiners = 0;
  /** Whether what it says was to be forgotten while it was being said. */
  isForgotten = false;
  #changed = Promise.withResolvers<void>();

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  get joiners(): number {
    return this.#joiners;
  }

  said(sentence: FlownSentence): void {
    if (this.#end !== null) return;
    this.#sentences.push(sentence);
    this.#tell();
  }

  landed(): void {
    this.#finish('landed');
  }

  /** The leader left, or goes on with what is not for others. After `landed` it does nothing. */
  [Symbol.dispose](): void {
    this.#finish('lost');
  }

  /** The sentences from `from` on, as they are said. Throws the signal's reason only. */
  async *follow(from: number, signal: AbortSignal): AsyncGenerator<FlownSentence, 'landed' | 'lost'> {
    using link = linkSignals(signal);
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    link.signal.addEventListener('abort', () => leave(), { once: true });
    this.#joiners += 1;
    try {
      for (let next = from; ; ) {
        signal.throwIfAborted();
        const sentence = this.#sentences[next];
        if (sentence !== undefined) {
          next += 1;
          yield sentence;
        } else if (this.#end !== null) return this.#end;
        else await Promise.race([this.#changed.promise, left]);
      }
    } finally {
      this.#joiners -= 1;
      leave();
    }
  }

  /** Whether somebody who has heard `texts` can go on from here. */
  continues(texts: readonly string[]): boolean {
    return texts.every((text, index) => this.#sentences[index]?.text === text);
  }

  #finish(end: 'landed' | 'lost'): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#onEnd();
    this.#tell();
  }

  #tell(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}

export class Flights {
  readonly #flights = new Map<string, Flight>();

  /** Generations under way; at most as many as requests are answered. */
  get size(): number {
    return this.#flights.size;
  }

  /** The flight of this key; null: nobody generates it. */
  of(key: string): Flight | null {
    return this.#flights.get(key) ?? null;
  }

  /** What is being said for this NPC (null: for everybody) is not to be kept. */
  forget(npcId: string | null): void {
    for (const [key, flight] of this.#flights)
      if (npcId === null || key.startsWith(`${npcId}:`)) flight.isForgotten = true;
  }

  /** A new flight that the caller leads. Call only where `of` gave null, and dispose it. */
  begin(key: string): Flight {
    const flight = new Flight(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    this.#flights.set(key, flight);
    return flight;
  }
}
