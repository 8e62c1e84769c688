/**
 * Beginnings of prompts that left the context, as copies of what a sequence held: bounded by bytes, the one used longest
 * ago goes first. Two kinds: a *prefix* is what many prompts begin with (a persona), a *talk* is what one conversation had
 * when another line took its sequence. Talks go before any prefix does, and never push one out. Pure but for disposing.
 *
 * Invariants: `bytes` is the sum over the entries and never above the limit; a copy is found only under the adapter that
 * computed it; an entry holds exactly its tokens.
 */
import { sharedLength } from './sequence-table.ts';

export type StoredKind = 'prefix' | 'talk';

export interface StoredCopy extends Disposable {
  readonly bytes: number;
}

export interface Stored<C extends StoredCopy> {
  readonly tokens: readonly number[];
  readonly adapter: number;
  readonly kind: StoredKind;
  readonly copy: C;
}

/** The longest beginning of a prompt that the store holds; `entry` null when none. */
export interface Found<C extends StoredCopy> {
  readonly entry: Stored<C> | null;
  readonly tokens: number;
}

const NOTHING = { entry: null, tokens: 0 } as const;

export class PrefixStore<C extends StoredCopy> {
  /** Used longest ago first. */
  #entries: Stored<C>[] = [];
  readonly #bytesMax: number;
  #bytes = 0;
  #evictions = 0;
  /** Of the largest copy so far: all of one model cost about the same. */
  #bytesPerToken = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Entries that went to make room, in all. */
  get evictions(): number {
    return this.#evictions;
  }

  entries(): readonly Stored<C>[] {
    return this.#entries;
  }

  /** What of `prompt` is here under `adapter`; of equal ones the prefix, else the one used last. */
  find(prompt: readonly number[], adapter: number, kind: StoredKind | null = null): Found<C> {
    let best: Found<C> = NOTHING;
    for (const entry of this.#entries) {
      if (entry.adapter !== adapter || (kind !== null && entry.kind !== kind)) continue;
      const tokens = sharedLength(entry.tokens, prompt);
      const isBetter =
        tokens > best.tokens ||
        (tokens === best.tokens && tokens > 0 && (entry.kind === 'prefix' || best.entry?.kind === 'talk'));
      if (isBetter) best = { entry, tokens };
    }
    return best;
  }

  touch(entry: Stored<C>): void {
    const at = this.#entries.indexOf(entry);
    if (at < 0) return;
    this.#entries.splice(at, 1);
    this.#entries.push(entry);
  }

  /** Whether a copy of so many tokens could be kept, as far as earlier ones tell. */
  hasRoomFor(tokens: number, kind: StoredKind): boolean {
    const bytes = tokens * this.#bytesPerToken;
    const fixed =
      kind === 'prefix'
        ? 0
        : this.#entries.reduce((sum, entry) => sum + (entry.kind === 'prefix' ? entry.copy.bytes : 0), 0);
    return this.#bytesMax > 0 && fixed + bytes <= this.#bytesMax;
  }

  /**
   * Takes the copy over, and lets go of what it makes superfluous: entries of its kind that are a beginning of it, and, to
   * stay in bounds, those used longest ago. False when it does not fit; then the copy is disposed.
   */
  put(tokens: readonly number[], adapter: number, kind: StoredKind, copy: C): boolean {
    if (tokens.length > 0) this.#bytesPerToken = Math.max(this.#bytesPerToken, copy.bytes / tokens.length);
    if (tokens.length === 0 || copy.bytes > this.#bytesMax || !this.hasRoomFor(tokens.length, kind)) {
      copy[Symbol.dispose]();
      return false;
    }
    for (const entry of [...this.#entries])
      if (
        entry.adapter === adapter &&
        (entry.kind === kind || entry.kind === 'talk') &&
        entry.tokens.length <= tokens.length &&
        sharedLength(entry.tokens, tokens) === entry.tokens.length
      )
        this.#remove(entry);
    while (this.#bytes + copy.bytes > this.#bytesMax) {
      const victim = this.#entries.find((entry) => entry.kind === 'talk') ?? this.#entries[0];
      if (victim === undefined) break;
      this.#remove(victim);
      this.#evictions += 1;
    }
    this.#entries.push({ tokens: [...tokens], adapter, kind, copy });
    this.#bytes += copy.bytes;
    return true;
  }

  /** Lets go of an entry that turned out to be of no use. */
  drop(entry: Stored<C>): void {
    if (this.#entries.includes(entry)) this.#remove(entry);
  }

  /** Lets go of all that an adapter computed. */
  forget(adapter: number): void {
    for (const entry of this.#entries.filter((each) => each.adapter === adapter)) this.#remove(entry);
  }

  clear(): void {
    for (const entry of [...this.#entries]) this.#remove(entry);
  }

  #remove(entry: Stored<C>): void {
    this.#entries = this.#entries.filter((each) => each !== entry);
    this.#bytes -= entry.copy.bytes;
    entry.copy[Symbol.dispose]();
  }
}
