/**
 * Words that barks were given for, found again by what they mean (issue 5, §2). A look-up never leaves its gate: persona,
 * trigger, mood and facts are equal by construction, and only the words may differ. It would rather miss: the threshold is
 * the calibrated one. For barks alone; conversation is never answered by likeness.
 * Invariant: at most `gatesMax` gates of at most `entriesPerGateMax` entries, the longest unused leave first.
 */
import { LruCache } from '../../lib/lru.ts';
import { CALIBRATED } from './calibrated.ts';
import { likeness } from './compare.ts';
import { frameOf } from './frame.ts';
import type { Frame } from './item.ts';

export interface MeaningIndexOptions {
  readonly gatesMax: number;
  readonly entriesPerGateMax: number;
}

export interface NearestMeaning {
  readonly key: string;
  /** From the threshold to 1, which is: nothing differs that the lists know of. */
  readonly score: number;
}

type Entries = LruCache<string, Frame>;

export class MeaningIndex {
  readonly #gates: LruCache<string, Entries>;
  readonly #entriesPerGateMax: number;
  /** In which gate a key lies; holds exactly the keys that are held. */
  readonly #gateOf = new Map<string, string>();

  constructor({ gatesMax, entriesPerGateMax }: MeaningIndexOptions) {
    this.#entriesPerGateMax = entriesPerGateMax;
    this.#gates = new LruCache({
      maxEntries: gatesMax,
      onEvict: (_gate, entries) => {
        for (const key of entries.keys()) this.#gateOf.delete(key);
      },
    });
  }

  /** Entries held in all gates. */
  get size(): number {
    return this.#gateOf.size;
  }

  /**
   * Remembers that `key` holds the bark for these words. False when nothing can be said about the words (none, over 240
   * characters, over 40 words, most of them in no list: another language): then the key is not held. A key that is held already moves to these words.
   */
  note(gate: string, words: string, key: string): boolean {
    this.forget(key);
    const frame = frameOf(words);
    if (frame === null) return false;
    let entries = this.#gates.get(gate);
    if (entries === undefined) {
      entries = new LruCache({
        maxEntries: this.#entriesPerGateMax,
        onEvict: (evicted) => this.#gateOf.delete(evicted),
      });
      this.#gates.set(gate, entries);
    }
    entries.set(key, frame);
    this.#gateOf.set(key, gate);
    return true;
  }

  /** What no longer serves is not found; unknown keys are ignored. */
  forget(key: string): void {
    const gate = this.#gateOf.get(key);
    if (gate === undefined) return;
    this.#gateOf.delete(key);
    const entries = this.#gates.get(gate);
    entries?.delete(key);
    if (entries?.size === 0) this.#gates.delete(gate);
  }

  /**
   * The entry of this gate whose words mean the same, the likest, of equals the one used last; null when none does. An
   * entry that is found counts as used.
   */
  nearest(gate: string, words: string): NearestMeaning | null {
    const entries = this.#gates.get(gate);
    if (entries === undefined) return null;
    const frame = frameOf(words);
    if (frame === null) return null;
    let best: NearestMeaning | null = null;
    for (const key of entries.keys()) {
      const other = entries.peek(key);
      if (other === undefined) continue;
      const atLeast = best?.score ?? CALIBRATED.threshold;
      const score = likeness(frame, other, atLeast);
      if (score >= atLeast) best = { key, score };
    }
    if (best !== null) entries.get(best.key);
    return best;
  }
}
