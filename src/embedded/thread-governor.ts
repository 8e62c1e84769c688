/**
 * How many threads a pass should use. The threads of a pass spin at some five hundred barriers per token; when another
 * program holds a core, each barrier waits for a scheduler's slice, and two threads on two busy cores were measured
 * 100 times slower than one (November 2026). So the count climbs when cores stand idle and more threads pay, and falls at
 * once when they do not. Pure: time, durations and idle cores come from the caller.
 */
import type { IdleCores } from './idle-cores.ts';

interface Level {
  readonly threads: number;
  /** Milliseconds per token by size class of the pass, smoothed. */
  readonly costs: Map<number, number>;
}

const SMOOTHING = 0.3;
/** More threads must be at least so much better per token to stay. */
const WORSE = 1.1;
/** One pass that is so much worse is enough. */
const DISASTER = 3;
const TRIAL_STEPS = 3;
const PROBE_MIN_MS = 250;
/** Share of the cores that more threads would take which must stand idle before it is tried. */
const IDLE_RATIO = 0.7;
const PROBE_MAX_MS = 8_000;
/** Who sees an idle core need not fear the trial: one hiccup must not cost a core for long. */
const PROBE_SEEING_MS = 500;

export class ThreadGovernor {
  readonly #levels: readonly Level[];
  #level = 0;
  #stepsHere = 0;
  #probeAtMs = 0;
  #probeWaitMs = PROBE_MIN_MS;
  #seesIdleCores = false;

  readonly #idleCores: IdleCores;

  /** Where `idleCores` gives null, more threads are tried without asking. */
  constructor(threadsMax: number, idleCores: IdleCores) {
    this.#idleCores = idleCores;
    const counts = new Set<number>([threadsMax]);
    for (let threads = 1; threads < threadsMax; threads *= 2) counts.add(threads);
    this.#levels = [...counts]
      .sort((a, b) => a - b)
      .map((threads) => ({ threads, costs: new Map<number, number>() }));
  }

  get threads(): number {
    return this.#levels[this.#level]?.threads ?? 1;
  }

  /** Tells how long a pass of `tokens` took with `threads`, and moves when it should. */
  observe(pass: { tokens: number; durationMs: number; nowMs: number }): void {
    const here = this.#levels[this.#level];
    if (here === undefined || pass.tokens < 1) return;
    const size = Math.floor(Math.log2(pass.tokens));
    const cost = pass.durationMs / pass.tokens;
    const known = here.costs.get(size);
    here.costs.set(size, known === undefined ? cost : known + SMOOTHING * (cost - known));
    this.#stepsHere += 1;
    const below = this.#levels[this.#level - 1];
    if (below !== undefined) {
      const isTried = this.#stepsHere >= TRIAL_STEPS;
      const same = below.costs.get(size);
      const isWorse = isTried && same !== undefined && (here.costs.get(size) ?? cost) > same * WORSE;
      if (isWorse || pass.durationMs > DISASTER * passBound(below.costs, size, pass.tokens)) {
        this.#move(-1);
        this.#probeAtMs = pass.nowMs + (this.#seesIdleCores ? PROBE_SEEING_MS : this.#probeWaitMs);
        this.#probeWaitMs = Math.min(PROBE_MAX_MS, this.#probeWaitMs * 2);
        return;
      }
      // Still worth it after a while: the next trouble is a new one.
      if (this.#stepsHere > 20 * TRIAL_STEPS) this.#probeWaitMs = PROBE_MIN_MS;
    }
    const above = this.#levels[this.#level + 1];
    if (above === undefined || this.#stepsHere < TRIAL_STEPS || pass.nowMs < this.#probeAtMs) return;
    const idle = this.#idleCores();
    this.#seesIdleCores = idle !== null;
    if (idle !== null && idle < (above.threads - here.threads) * IDLE_RATIO) {
      this.#probeAtMs = pass.nowMs + PROBE_MIN_MS;
      return;
    }
    // What was measured up there may be from harder times.
    above.costs.clear();
    this.#move(1);
  }

  #move(by: number): void {
    this.#level += by;
    this.#stepsHere = 0;
  }
}

/**
 * What a pass should take at most, from the closest size class that is known (ms). Small passes cost more per token, so
 * a larger class bounds by its whole pass, a smaller one by its cost per token. Infinite when nothing is known.
 */
function passBound(costs: ReadonlyMap<number, number>, size: number, tokens: number): number {
  let bound = Number.POSITIVE_INFINITY;
  let distance = Number.POSITIVE_INFINITY;
  for (const [known, cost] of costs) {
    if (Math.abs(known - size) >= distance) continue;
    distance = Math.abs(known - size);
    bound = cost * Math.max(tokens, 2 ** known);
  }
  return bound;
}
