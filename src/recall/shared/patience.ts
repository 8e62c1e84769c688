/**
 * How long a request still waits for the shared tier: not at all once it was slow too often. A miss costs one point, an
 * answer in time gives back a quarter; at eight points it rests, so more than a fifth of slow answers is too many. Questions
 * that were open together miss together: that is one point, for one pause of ours or theirs makes them all late. A resting
 * tier is tried by pings that no request waits for.
 *
 *     awake ──eight points──▶ resting ──three pings in time──▶ awake
 *                               ▲──one late: rest doubled, at most 30 s──┘
 */
import type { Clock, Random } from '../../core/runtime.ts';

const POINTS_MAX = 8;
const POINTS_BACK = 0.25;
const PINGS_IN_TIME = 3;
const REST_MAX_MS = 30_000;
/** Rests are spread by this share either way: gateways that fell asleep together do not all wake together. */
const JITTER_RATIO = 0.2;

export class Patience implements Disposable {
  readonly #clock: Pick<Clock, 'timer' | 'monotonicMs'>;
  readonly #random: Pick<Random, 'next'>;
  readonly #restMs: number;
  readonly #ping: () => Promise<boolean>;
  readonly #onRest: () => void;
  readonly #onAwake: () => void;
  #points = 0;
  /** When a point was lost last. */
  #missedMonoMs = 0;
  #rests = 0;
  #timer: Disposable | null = null;
  #isResting = false;
  #isClosed = false;

  constructor(parts: {
    readonly clock: Pick<Clock, 'timer' | 'monotonicMs'>;
    readonly random: Pick<Random, 'next'>;
    readonly restMs: number;
    /** Whether it answered in time now. Never rejects. */
    readonly ping: () => Promise<boolean>;
    readonly onRest: () => void;
    readonly onAwake: () => void;
  }) {
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#restMs = parts.restMs;
    this.#ping = parts.ping;
    this.#onRest = parts.onRest;
    this.#onAwake = parts.onAwake;
  }

  get isResting(): boolean {
    return this.#isResting;
  }

  inTime(): void {
    this.#points = Math.max(0, this.#points - POINTS_BACK);
  }

  /** `askedMonoMs`: when the question was asked that was not answered in time. */
  missed(askedMonoMs: number): void {
    if (this.#isResting || this.#isClosed || askedMonoMs < this.#missedMonoMs) return;
    this.#missedMonoMs = this.#clock.monotonicMs();
    this.#points += 1;
    if (this.#points < POINTS_MAX) return;
    this.#isResting = true;
    this.#onRest();
    this.#rest();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #rest(): void {
    if (this.#isClosed) return;
    const spread = 1 + JITTER_RATIO * (2 * this.#random.next() - 1);
    const durationMs = Math.min(REST_MAX_MS, this.#restMs * 2 ** Math.min(this.#rests, 10)) * spread;
    this.#rests += 1;
    this.#timer = this.#clock.timer(durationMs, () => this.#try(PINGS_IN_TIME));
  }

  #try(left: number): void {
    void this.#ping().then((isInTime) => {
      if (this.#isClosed) return;
      if (!isInTime) this.#rest();
      else if (left > 1) this.#try(left - 1);
      else this.#wake();
    });
  }

  #wake(): void {
    this.#isResting = false;
    this.#points = 0;
    this.#rests = 0;
    this.#onAwake();
  }
}
