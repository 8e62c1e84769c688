/**
 * Leaves a failing engine alone for a while. It counts outcomes of whole attempts, so a stream that dies half-way is a
 * failure although it began well. Time moves it, no timer: reading the state after the open time finds `half_open`.
 *
 *     closed ──ratio or run of failures──▶ open ──openMs──▶ half_open ──probe served──▶ closed
 *                                            ▲────probe failed (openMs doubled, at most openMaxMs)──┘
 */
import type { Clock, Random } from '../core/runtime.ts';
import type { BreakerOptions } from './options.ts';

export type BreakerState = 'closed' | 'open' | 'half_open';
export type Probe = 'traffic' | 'canary';

/** Leave to try once. Its verdict counts only while the state is the one it was given in. */
export interface BreakerPass {
  readonly generation: number;
  readonly isProbe: boolean;
}

const BUCKETS = 10;
/** Open times are spread by this share either way, so that many gateways do not probe at one moment. */
const JITTER_RATIO = 0.2;

export class Breaker {
  readonly #options: BreakerOptions;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #random: Pick<Random, 'next'>;
  readonly #bucketMs: number;
  readonly #served = new Uint32Array(BUCKETS);
  readonly #failed = new Uint32Array(BUCKETS);
  /** The running number of the newest bucket; bucket n lives at n % BUCKETS. */
  #bucket = 0;
  #failuresInRow = 0;
  #isOpen = false;
  #openUntilMonoMs = 0;
  #timesReopened = 0;
  /** Rises with every change between closed and open: an outcome of an earlier state says nothing about this one. */
  #generation = 0;
  #probeStartedMonoMs: number | null = null;

  constructor(
    options: BreakerOptions,
    parts: { readonly clock: Pick<Clock, 'monotonicMs'>; readonly random: Pick<Random, 'next'> },
  ) {
    this.#options = options;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#bucketMs = Math.max(1, options.windowMs / BUCKETS);
  }

  get state(): BreakerState {
    return this.stateAt(this.#clock.monotonicMs());
  }

  /** As `state`, for a caller that has read the clock. */
  stateAt(nowMonoMs: number): BreakerState {
    if (!this.#isOpen) return 'closed';
    return nowMonoMs < this.#openUntilMonoMs ? 'open' : 'half_open';
  }

  /** Milliseconds until a probe is let through; 0 unless open. */
  get openForMs(): number {
    return this.#isOpen ? Math.max(0, this.#openUntilMonoMs - this.#clock.monotonicMs()) : 0;
  }

  /** Whether `tryStart` would give a pass now. */
  mayStart(probe: Probe = 'traffic', nowMs = this.#clock.monotonicMs()): boolean {
    if (!this.#isOpen) return true;
    const opensToMs = this.#openUntilMonoMs + (probe === 'traffic' ? this.#options.trafficProbeAfterMs : 0);
    if (nowMs < opensToMs) return false;
    // A probe whose end was never told must not close the engine for ever.
    return this.#probeStartedMonoMs === null || nowMs - this.#probeStartedMonoMs >= this.#options.openMaxMs;
  }

  /** Leave to try once, null when there is none. Half open, it is the one probe until its verdict. */
  tryStart(probe: Probe = 'traffic'): BreakerPass | null {
    if (!this.mayStart(probe)) return null;
    if (this.#isOpen) {
      this.#generation += 1;
      this.#probeStartedMonoMs = this.#clock.monotonicMs();
    }
    return { generation: this.#generation, isProbe: this.#isOpen };
  }

  served(pass: BreakerPass): void {
    if (pass.generation !== this.#generation) return;
    if (pass.isProbe) {
      this.reset();
      return;
    }
    this.#failuresInRow = 0;
    this.#count(this.#served);
  }

  failed(pass: BreakerPass): void {
    if (pass.generation !== this.#generation) return;
    if (pass.isProbe) {
      this.#timesReopened += 1;
      this.#open();
      return;
    }
    this.#failuresInRow += 1;
    this.#count(this.#failed);
    if (this.#failuresInRow >= this.#options.consecutiveFailures || this.#isOverRatio()) this.#open();
  }

  /** The attempt ended without saying anything about the engine; a probe's place is free again. */
  abandoned(pass: BreakerPass): void {
    if (pass.isProbe && pass.generation === this.#generation) this.#probeStartedMonoMs = null;
  }

  /** Opens at once, as after a canary line that failed. Open already: starts the open time again. */
  trip(): void {
    if (this.#isOpen) this.#timesReopened += 1;
    this.#open();
  }

  /** Closed and with nothing counted, as after a new warm-up. */
  reset(): void {
    this.#generation += 1;
    this.#isOpen = false;
    this.#timesReopened = 0;
    this.#probeStartedMonoMs = null;
    this.#clearCounts();
  }

  #open(): void {
    const { openMs, openMaxMs } = this.#options;
    const jitter = 1 + (this.#random.next() * 2 - 1) * JITTER_RATIO;
    const pauseMs = Math.min(openMaxMs, openMs * 2 ** Math.min(this.#timesReopened, 30) * jitter);
    this.#generation += 1;
    this.#isOpen = true;
    this.#openUntilMonoMs = this.#clock.monotonicMs() + pauseMs;
    this.#probeStartedMonoMs = null;
    this.#clearCounts();
  }

  #clearCounts(): void {
    this.#failuresInRow = 0;
    this.#served.fill(0);
    this.#failed.fill(0);
  }

  #count(counts: Uint32Array): void {
    this.#turnOver();
    const at = this.#bucket % BUCKETS;
    counts[at] = (counts[at] ?? 0) + 1;
  }

  /** Empties the buckets whose time has passed. */
  #turnOver(): void {
    const bucket = Math.floor(this.#clock.monotonicMs() / this.#bucketMs);
    const passed = Math.min(BUCKETS, bucket - this.#bucket);
    for (let step = 1; step <= passed; step++) {
      const at = (bucket - passed + step) % BUCKETS;
      this.#served[at] = 0;
      this.#failed[at] = 0;
    }
    this.#bucket = Math.max(this.#bucket, bucket);
  }

  #isOverRatio(): boolean {
    let served = 0;
    let failed = 0;
    for (let at = 0; at < BUCKETS; at++) {
      served += this.#served[at] ?? 0;
      failed += this.#failed[at] ?? 0;
    }
    const all = served + failed;
    return all >= this.#options.minimumOutcomes && failed >= all * this.#options.failureRatio;
  }
}
