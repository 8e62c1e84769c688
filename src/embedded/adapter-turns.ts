/**
 * Which adapter's lines the next pass serves. A pass is computed under one adapter, and a change makes llama.cpp plan its
 * graph anew: with 20 adapters loaded 3 ms of processor time where they change q and v, some 10 where they change every
 * matrix, against 14 for a pass of one line (SmolLM2-135M, one thread, November 2026; it grows with what is loaded). A
 * context per adapter needs no change, but its own cache and buffers: 50 to 60 MB for three sequences of 512 tokens. So
 * there is one context, and an adapter keeps its turn for some passes. Pure: durations come from the caller.
 *
 * Bound: between two turns of an adapter with lines, each other one has a turn at most once, and at most OVERTAKES_MAX
 * newcomers go before: their players wait for a first word. A turn has at most TURN_PASSES_MAX passes.
 */

/** A turn that lasted so long (ms) ends: the change is a twentieth to a sixth of it. A large model changes each pass. */
const TURN_MS = 60;
export const TURN_PASSES_MAX = 8;
export const OVERTAKES_MAX = 2;

interface Waiting {
  readonly adapter: number;
  /** Came after the turn of the one that runs had begun, and had none yet. */
  isNew: boolean;
  overtaken: number;
}

export class AdapterTurns {
  #current: number | null = null;
  #passes = 0;
  #spentMs = 0;
  /** Longest waiting first. */
  #waiting: Waiting[] = [];

  /**
   * The adapter of the next pass, out of those that have lines; at least one. With one alone nothing is counted: the way
   * without adapters costs nothing.
   */
  choose(live: ReadonlySet<number>): number {
    const [only] = live;
    if (live.size === 1 && only !== undefined) {
      if (this.#waiting.length > 0) this.#waiting = [];
      if (only !== this.#current) this.#begin(only);
      return only;
    }
    this.#waiting = this.#waiting.filter((each) => live.has(each.adapter));
    for (const adapter of live)
      if (adapter !== this.#current && !this.#waiting.some((each) => each.adapter === adapter))
        this.#waiting.push({ adapter, isNew: true, overtaken: 0 });
    const isOver = this.#passes >= TURN_PASSES_MAX || this.#spentMs >= TURN_MS;
    if (this.#current !== null && live.has(this.#current) && !isOver) return this.#current;
    const next = this.#takeNext();
    if (this.#current !== null && live.has(this.#current))
      this.#waiting.push({ adapter: this.#current, isNew: false, overtaken: 0 });
    this.#begin(next);
    return next;
  }

  /** Tells how long the pass of the chosen adapter took. */
  observe(durationMs: number): void {
    this.#passes += 1;
    this.#spentMs += durationMs;
  }

  #begin(adapter: number): void {
    this.#current = adapter;
    this.#passes = 0;
    this.#spentMs = 0;
  }

  #takeNext(): number {
    const first = this.#waiting[0];
    const newcomer = this.#waiting.findIndex((each) => each.isNew);
    const index = newcomer > 0 && (first?.overtaken ?? 0) < OVERTAKES_MAX ? newcomer : 0;
    for (const passed of this.#waiting.slice(0, index)) passed.overtaken += 1;
    return this.#waiting.splice(index, 1)[0]?.adapter ?? 0;
  }
}
