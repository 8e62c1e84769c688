/**
 * How many words each player was told lately. Counted in slots of five seconds, so that a player costs a few bytes; the
 * figure covers the last minute and at most one slot more. Bounded: who heard nothing for longest is forgotten first.
 */
import type { Clock } from '../core/runtime.ts';

const SLOT_MS = 5_000;
/** A whole minute, and the slot that is being filled. */
const SLOTS = 60_000 / SLOT_MS + 1;
/** As many as heard-lines.ts remembers. */
const PLAYERS_MAX = 20_000;

interface Ear {
  readonly words: Uint16Array;
  /** The slot that was filled last, counted from the start of the clock. */
  slot: number;
}

export class WordsHeard {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #playersMax: number;
  readonly #ears = new Map<string, Ear>();

  constructor(clock: Pick<Clock, 'monotonicMs'>, playersMax = PLAYERS_MAX) {
    this.#clock = clock;
    this.#playersMax = playersMax;
  }

  /** How many players are remembered. */
  get playerCount(): number {
    return this.#ears.size;
  }

  note(player: string, words: number): void {
    const ear = this.#ears.get(player) ?? { words: new Uint16Array(SLOTS), slot: 0 };
    // Those who heard something last stand last.
    this.#ears.delete(player);
    this.#ears.set(player, ear);
    for (const oldest of this.#ears.keys()) {
      if (this.#ears.size <= this.#playersMax) break;
      this.#ears.delete(oldest);
    }
    const slot = this.#advance(ear);
    ear.words[slot % SLOTS] = Math.min(0xffff, (ear.words[slot % SLOTS] ?? 0) + words);
  }

  /** Words of the last 60 s, and of up to 5 s before. */
  inLastMinute(player: string): number {
    const ear = this.#ears.get(player);
    if (ear === undefined) return 0;
    this.#advance(ear);
    return ear.words.reduce((sum, words) => sum + words, 0);
  }

  /** Empties the slots that have passed since. The current slot. */
  #advance(ear: Ear): number {
    const slot = Math.floor(this.#clock.monotonicMs() / SLOT_MS);
    for (let at = Math.max(ear.slot + 1, slot - SLOTS + 1); at <= slot; at++) ear.words[at % SLOTS] = 0;
    ear.slot = Math.max(ear.slot, slot);
    return slot;
  }
}
