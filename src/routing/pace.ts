/**
 * How fast one engine is, learned from its own finished lines: percentiles of the first token, and a straight line
 * through (tokens read, first-token time) whose slope is the prefill and whose foot is the rest. What is old no longer
 * counts, so an engine that was slow once is tried again: a prediction that shuts an engine out would never be corrected.
 */
import type { Clock } from '../core/runtime.ts';
import type { PaceOptions } from './options.ts';

export interface PaceSample {
  readonly firstTokenMs: number;
  readonly totalMs: number;
  readonly promptTokens: number;
  /** Of the prompt tokens, those read from a cache. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** Plain values of a moment; null where nothing is learned. */
export interface PaceSnapshot {
  /** First-token milliseconds of a prompt of no tokens. */
  readonly baseMs: number | null;
  readonly prefillMsPerToken: number | null;
  readonly decodeMsPerToken: number | null;
  /** Share (0..1) of a prompt that the engine's cache held. */
  readonly cachedRatio: number | null;
}

export const NOTHING_LEARNED: PaceSnapshot = {
  baseMs: null,
  prefillMsPerToken: null,
  decodeMsPerToken: null,
  cachedRatio: null,
};

/** Weight of the newest sample in the running means: about the last twenty lines count. */
const NEWEST_SHARE = 0.1;
/** A first sentence of ten words at 1.4 tokens a word (English). */
export const FIRST_SENTENCE_TOKENS = 14;

export class Pace {
  readonly #options: PaceOptions;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #firstTokenMs: Float64Array;
  readonly #atMonoMs: Float64Array;
  #count = 0;
  /** Sorted copy of the samples that count; null after a new one. */
  #sorted: Float64Array | null = null;
  #sortedUntilMonoMs = 0;
  // Sums of the straight line, each decayed by the same factor: weight, x, y, xx, xy.
  #weight = 0;
  #x = 0;
  #y = 0;
  #xx = 0;
  #xy = 0;
  #decodeMs: number | null = null;
  #cachedRatio: number | null = null;
  #lastMonoMs = Number.NEGATIVE_INFINITY;
  // The line through the sums, drawn anew with each sample.
  #baseMs = 0;
  #prefillMs = 0;
  #revision = 0;

  constructor(options: PaceOptions, parts: { readonly clock: Pick<Clock, 'monotonicMs'> }) {
    this.#options = options;
    this.#clock = parts.clock;
    this.#firstTokenMs = new Float64Array(options.samples);
    this.#atMonoMs = new Float64Array(options.samples);
  }

  /** Learns from one line that was served whole. A sample with a number that is not finite or negative is left out. */
  learn(sample: PaceSample): void {
    const { firstTokenMs, totalMs, promptTokens, cachedTokens, completionTokens } = sample;
    if (![firstTokenMs, totalMs, promptTokens, cachedTokens, completionTokens].every(isCount)) return;
    if (this.#isForgotten()) this.#forget();
    const nowMs = this.#clock.monotonicMs();
    this.#lastMonoMs = nowMs;
    const at = this.#count % this.#options.samples;
    this.#firstTokenMs[at] = firstTokenMs;
    this.#atMonoMs[at] = nowMs;
    this.#count += 1;
    this.#sorted = null;
    const readTokens = Math.max(0, promptTokens - cachedTokens);
    const keep = 1 - NEWEST_SHARE;
    this.#weight = this.#weight * keep + 1;
    this.#x = this.#x * keep + readTokens;
    this.#y = this.#y * keep + firstTokenMs;
    this.#xx = this.#xx * keep + readTokens * readTokens;
    this.#xy = this.#xy * keep + readTokens * firstTokenMs;
    if (promptTokens > 0)
      this.#cachedRatio = running(this.#cachedRatio, Math.min(1, cachedTokens / promptTokens));
    if (completionTokens >= 2)
      this.#decodeMs = running(this.#decodeMs, Math.max(0, totalMs - firstTokenMs) / (completionTokens - 1));
    this.#drawLine();
    this.#revision += 1;
  }

  /** Changes whenever something was learned. */
  get revision(): number {
    return this.#revision;
  }

  /** The monotonic time at which all is forgotten that is known now. */
  get forgottenAtMonoMs(): number {
    return this.#lastMonoMs + this.#options.forgetAfterMs;
  }

  /** The first-token time within which this share (0..1) of the recent lines began; null with too few of them. */
  firstTokenPercentileMs(percentile: number): number | null {
    const sorted = this.#recent();
    if (sorted.length < this.#options.minimumSamples) return null;
    return sorted[Math.max(0, Math.ceil(sorted.length * percentile) - 1)] ?? null;
  }

  /**
   * Milliseconds until the first token of a prompt that waits `waitMs` before it starts; null while nothing is learned.
   * `readTokens` are those that no cache holds: prompt tokens less what is expected to be cached.
   */
  predictFirstTokenMs(readTokens: number, waitMs: number): number | null {
    return this.#isForgotten() ? null : waitMs + this.#baseMs + this.#prefillMs * readTokens;
  }

  /** As `predictFirstTokenMs`, and the decoding of a first sentence. */
  predictFirstSentenceMs(readTokens: number, waitMs: number): number | null {
    const firstTokenMs = this.predictFirstTokenMs(readTokens, waitMs);
    return firstTokenMs === null ? null : firstTokenMs + FIRST_SENTENCE_TOKENS * (this.#decodeMs ?? 0);
  }

  snapshot(): PaceSnapshot {
    if (this.#isForgotten()) return NOTHING_LEARNED;
    return {
      baseMs: this.#baseMs,
      prefillMsPerToken: this.#prefillMs,
      decodeMsPerToken: this.#decodeMs,
      cachedRatio: this.#cachedRatio,
    };
  }

  /** Weighted least squares; a slope or foot below zero is noise and taken as none. */
  #drawLine(): void {
    const meanX = this.#x / this.#weight;
    const meanY = this.#y / this.#weight;
    const spread = this.#xx / this.#weight - meanX * meanX;
    const slope = (this.#xy / this.#weight - meanX * meanY) / spread;
    const foot = meanY - slope * meanX;
    // Prompts of one length say nothing about the slope: then all of it is taken as proportional to the length.
    const isProportional = spread < 1 || (slope > 0 && foot < 0);
    if (isProportional && meanX > 0) {
      this.#baseMs = 0;
      this.#prefillMs = meanY / meanX;
    } else if (isProportional || slope <= 0) {
      this.#baseMs = meanY;
      this.#prefillMs = 0;
    } else {
      this.#baseMs = foot;
      this.#prefillMs = slope;
    }
  }

  #recent(): Float64Array {
    const nowMs = this.#clock.monotonicMs();
    if (this.#sorted !== null && nowMs < this.#sortedUntilMonoMs) return this.#sorted;
    const held = Math.min(this.#count, this.#options.samples);
    const oldestMs = nowMs - this.#options.forgetAfterMs;
    const values = new Float64Array(held);
    let kept = 0;
    let nextForgottenMs = Number.POSITIVE_INFINITY;
    for (let at = 0; at < held; at++) {
      const atMs = this.#atMonoMs[at] ?? 0;
      if (atMs <= oldestMs) continue;
      nextForgottenMs = Math.min(nextForgottenMs, atMs + this.#options.forgetAfterMs);
      values[kept++] = this.#firstTokenMs[at] ?? 0;
    }
    this.#sortedUntilMonoMs = nextForgottenMs;
    this.#sorted = values.subarray(0, kept).sort();
    return this.#sorted;
  }

  #isForgotten(): boolean {
    return this.#clock.monotonicMs() >= this.forgottenAtMonoMs;
  }

  #forget(): void {
    this.#weight = 0;
    this.#x = 0;
    this.#y = 0;
    this.#xx = 0;
    this.#xy = 0;
    this.#decodeMs = null;
    this.#cachedRatio = null;
  }
}

function running(mean: number | null, value: number): number {
  return mean === null ? value : mean + (value - mean) * NEWEST_SHARE;
}

function isCount(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}
