/**
 * What each sequence of the context holds, and which one a new line should take. Pure: it decides, the scheduler acts.
 * Sequences 0..lines-1 generate; the rest keep persona prefixes. A line that ended leaves its tokens for the next that
 * begins alike. Invariant: `held` is exactly what the native cache of that sequence holds, computed under `adapter`; what
 * one adapter computed is never another's, and an adapter that is loaded again under its old name is another.
 */

/** The base without an adapter; each loaded adapter has a number of its own, never used again. */
export const BASE = 0;

export interface SequenceState {
  readonly index: number;
  /** Tokens whose keys and values are in the cache, in order. */
  held: number[];
  /** Under which adapter `held` was computed. */
  adapter: number;
  /** Length of the last prompt it was taken for. */
  promptTokens: number;
  isBusy: boolean;
  /** Whether the line on it goes on from what it held, so that the rest of that is of no more use. */
  isContinued: boolean;
  /** The adapter of the line on it while it is busy; `held` is still another's until that line has looked at it. */
  runs: number;
  /** Counts up; the lowest was used longest ago. */
  usedAt: number;
}

/** Where a prompt's beginning is taken from: another sequence, the store, or null for the target's own tokens. */
export interface Reuse {
  readonly source: number | 'store' | null;
  readonly tokens: number;
}

/** Putting a copy back from the store takes less than evaluating this many tokens (docs/adr/0009-prefix-store.md). */
const RESTORE_GAIN_MIN = 4;

/** A kept prefix that shares so much serves as well. */
const SERVES_RATIO = 0.8;

export class SequenceTable {
  readonly #lines: SequenceState[];
  readonly #kept: SequenceState[];
  readonly #copyGainMin: number;
  #uses = 0;

  /** `copyGainMin`: tokens that a copy must save to be cheaper than evaluating them. */
  constructor(options: { lines: number; kept: number; copyGainMin: number }) {
    const make = (index: number): SequenceState => ({
      index,
      held: [],
      adapter: BASE,
      promptTokens: 0,
      isBusy: false,
      isContinued: false,
      runs: BASE,
      usedAt: 0,
    });
    this.#lines = Array.from({ length: options.lines }, (_none, index) => make(index));
    this.#kept = Array.from({ length: options.kept }, (_none, index) => make(options.lines + index));
    this.#copyGainMin = options.copyGainMin;
  }

  get hasFree(): boolean {
    return this.#lines.some((line) => !line.isBusy);
  }

  /** Tokens in the cache over all sequences. */
  get heldTokens(): number {
    return [...this.#lines, ...this.#kept].reduce((sum, sequence) => sum + sequence.held.length, 0);
  }

  /**
   * Takes a free sequence for a line. llama.cpp merges only a contiguous range of ids into one pass (four apart take a
   * quarter longer than four neighbours), so a hole in the range of its adapter's busy ones is filled first, then their
   * neighbours. Among those allowed the one wins whose tokens the prompt goes on from, then the one used longest ago: a
   * shared beginning is copied, so nobody else's conversation need go. `stored`: tokens of the prompt that the store has.
   */
  take(prompt: readonly number[], adapter: number, stored = 0): SequenceState | null {
    const allowed = this.#allowedFor(adapter);
    const continued = allowed
      .filter((line) => line.adapter === adapter)
      .map((line) => ({ line, shared: sharedLength(line.held, prompt) }))
      // With the whole last prompt in common, or more than personas have, this is the next turn of the same conversation.
      .filter(
        ({ line, shared }) =>
          shared >= Math.min(line.held.length, line.promptTokens) ||
          (stored > 0 && shared >= stored + this.#copyGainMin),
      )
      .sort((a, b) => b.shared - a.shared)[0]?.line;
    const best = continued ?? allowed.sort((a, b) => a.usedAt - b.usedAt)[0] ?? null;
    if (best !== null) {
      best.isBusy = true;
      best.isContinued = best === continued && best.held.length > 0;
      best.runs = adapter;
      best.promptTokens = prompt.length;
      this.touch(best);
    }
    return best;
  }

  #allowedFor(adapter: number): SequenceState[] {
    const free = this.#lines.filter((line) => !line.isBusy);
    const busy = this.#lines.filter((line) => line.isBusy);
    if (busy.length === 0) return free;
    const own = busy.filter((line) => line.runs === adapter);
    if (own.length === 0) return middleOfWidestGap(free);
    const low = Math.min(...own.map((line) => line.index));
    const high = Math.max(...own.map((line) => line.index));
    const holes = free.filter((line) => line.index > low && line.index < high);
    if (holes.length > 0) return holes;
    const below = gapFrom(free, low, -1);
    const above = gapFrom(free, high, 1);
    // Away from others' lines, which grow too; alone either side will do.
    const sides =
      own.length === busy.length ? [below, above] : below.length > above.length ? [below] : [above];
    const beside = sides.flatMap((gap) => gap.slice(0, 1));
    return beside.length > 0 ? beside : free;
  }

  release(sequence: SequenceState): void {
    sequence.isBusy = false;
    this.touch(sequence);
  }

  touch(sequence: SequenceState): void {
    this.#uses += 1;
    sequence.usedAt = this.#uses;
  }

  /** The most that any sequence holds of `prompt` under `adapter`. */
  mostShared(prompt: readonly number[], adapter: number): number {
    let most = 0;
    for (const sequence of [...this.#kept, ...this.#lines])
      if (sequence.adapter === adapter) most = Math.max(most, sharedLength(sequence.held, prompt));
    return most;
  }

  /**
   * The best beginning for `prompt` under `adapter` in `target`: its own, the `stored` tokens that the store has, or a copy
   * of another sequence's. Leaves one token to evaluate.
   */
  reuse(target: SequenceState, prompt: readonly number[], adapter: number, stored = 0): Reuse {
    const limit = prompt.length - 1;
    const own = target.adapter === adapter ? Math.min(sharedLength(target.held, prompt), limit) : 0;
    const restored = Math.min(stored, limit);
    const without: Reuse =
      restored >= own + RESTORE_GAIN_MIN
        ? { source: 'store', tokens: restored }
        : { source: null, tokens: own };
    let source: SequenceState | null = null;
    let shared = 0;
    for (const sequence of [...this.#kept, ...this.#lines]) {
      if (sequence === target || sequence.adapter !== adapter) continue;
      const length = Math.min(sharedLength(sequence.held, prompt), limit);
      if (length > shared) {
        source = sequence;
        shared = length;
      }
    }
    if (source === null || shared < without.tokens + this.#copyGainMin) return without;
    this.touch(source);
    return { source: source.index, tokens: shared };
  }

  /**
   * The sequence that should keep `prefix`, or null when it is kept already (as good as: a kept prefix that shares
   * most of it serves, so a system message with a changing end does not push the others out).
   */
  placeFor(prefix: readonly number[], adapter: number): SequenceState | null {
    if (prefix.length < this.#copyGainMin) return null;
    let oldest: SequenceState | null = null;
    for (const sequence of this.#kept) {
      const isSame = sequence.adapter === adapter;
      if (isSame && sharedLength(sequence.held, prefix) >= prefix.length * SERVES_RATIO) {
        this.touch(sequence);
        return null;
      }
      if (oldest === null || sequence.usedAt < oldest.usedAt) oldest = sequence;
    }
    if (oldest !== null) this.touch(oldest);
    return oldest;
  }

  /** Every sequence that holds what `adapter` computed. A line may have taken one and not looked at it yet. */
  heldUnder(adapter: number): readonly SequenceState[] {
    return [...this.#lines, ...this.#kept].filter((sequence) => sequence.adapter === adapter);
  }
}

/** The free sequences that follow one another from beside `index`. */
function gapFrom(free: readonly SequenceState[], index: number, step: 1 | -1): SequenceState[] {
  const gap: SequenceState[] = [];
  for (let at = index + step; ; at += step) {
    const next = free.find((line) => line.index === at);
    if (next === undefined) return gap;
    gap.push(next);
  }
}

/** Where the first line of an adapter leaves room for its next ones on both sides. */
function middleOfWidestGap(free: readonly SequenceState[]): SequenceState[] {
  let widest: SequenceState[] = [];
  let gap: SequenceState[] = [];
  for (const line of free) {
    gap = gap.at(-1)?.index === line.index - 1 ? [...gap, line] : [line];
    if (gap.length > widest.length) widest = gap;
  }
  return widest.slice(widest.length >> 1, (widest.length >> 1) + 1);
}

/** How many tokens two lists have in common from the start. */
export function sharedLength(a: readonly number[], b: readonly number[]): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length += 1;
  return length;
}
