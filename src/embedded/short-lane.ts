/**
 * The lane of short work inside the engine: embeddings share the processor with generation, part by part. Between two
 * passes of generation at most one part of short work is done, and while short work is about, passes of generation are
 * kept short too. So neither waits for more than one part of the other, however long the other's queue is (issue 3, §7).
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';

/** Work that is done in parts; the last resolves to true. A part should take about `budgetMs`. */
export interface ShortTask {
  advance(budgetMs: number): Promise<boolean>;
}

/** Milliseconds that a part of short work may take: what a token of a line may be late by, with slack under 20. */
export const LANE_PART_MS = 16;
/**
 * Milliseconds that a pass of generation may take while short work is about. An embedding of a sentence is one or two
 * parts, so it waits for one or two of these. Shorter costs more: every pass reads all weights.
 */
export const LANE_PASS_MS = 8;
/** How long passes stay short after the last short work: they cost a third of the tokens a second (bench:lanes). */
const LANE_MEMORY_MS = 10_000;

interface Waiting {
  readonly task: ShortTask;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  hasEnded: boolean;
}

export interface ShortLaneOptions {
  /** Tasks that may wait or run; one more is `overloaded`. */
  readonly queueMax: number;
  readonly clock: Clock;
  /** Called when there is something to do. */
  readonly wake: () => void;
}

export class ShortLane {
  readonly #options: ShortLaneOptions;
  readonly #queue: Waiting[] = [];
  #lastMonoMs = Number.NEGATIVE_INFINITY;

  constructor(options: ShortLaneOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#queue.length;
  }

  /** Whether short work is about, so that passes of generation should be short too. */
  get isInUse(): boolean {
    return this.#queue.length > 0 || this.#options.clock.monotonicMs() - this.#lastMonoMs < LANE_MEMORY_MS;
  }

  /**
   * Runs a task to its end, first come first served. Rejects with `overloaded` at once when the lane is full, with
   * `signal.reason` as soon as it aborts (a part in flight ends first, unheard), else as the task does.
   */
  run(task: ShortTask, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const { queueMax, clock } = this.#options;
    if (this.#queue.length >= queueMax)
      return Promise.reject(
        new ServiceError(
          'overloaded',
          `${this.#queue.length} short tasks wait for the engine, which takes no more`,
          {
            details: { waiting: this.#queue.length, queueMax },
          },
        ),
      );
    this.#lastMonoMs = clock.monotonicMs();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = {
      task,
      signal,
      resolve,
      reject,
      hasEnded: false,
      onAbort: () => this.#end(waiting, () => reject(signal.reason as Error)),
    };
    signal.addEventListener('abort', waiting.onAbort, { once: true });
    this.#queue.push(waiting);
    this.#options.wake();
    return promise;
  }

  /** Does one part: as much as fits its time, of one task or of several short ones. Never rejects. */
  async work(): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    for (;;) {
      const [next] = this.#queue;
      if (next === undefined) return;
      const leftMs = LANE_PART_MS - (clock.monotonicMs() - startedMs);
      if (leftMs <= 0) return;
      try {
        if (await next.task.advance(leftMs)) this.#end(next, next.resolve);
      } catch (error) {
        this.#end(next, () => next.reject(error));
      }
      this.#lastMonoMs = clock.monotonicMs();
    }
  }

  /** Ends all that wait. */
  close(reason: unknown): void {
    for (const waiting of [...this.#queue]) this.#end(waiting, () => waiting.reject(reason));
  }

  #end(waiting: Waiting, settle: () => void): void {
    if (waiting.hasEnded) return;
    waiting.hasEnded = true;
    waiting.signal.removeEventListener('abort', waiting.onAbort);
    const at = this.#queue.indexOf(waiting);
    if (at >= 0) this.#queue.splice(at, 1);
    settle();
  }
}

/** How many lines one pass of decoding may serve, learned from how long passes took. */
export class DecodeWidth {
  #width = 1;

  get lines(): number {
    return this.#width;
  }

  /** Learns from a pass of `lines` lines. Grows slowly, shrinks at once. */
  observe(lines: number, durationMs: number): void {
    if (durationMs > LANE_PASS_MS) this.#width = Math.max(1, Math.min(this.#width, lines - 1));
    else if (lines >= this.#width && durationMs < LANE_PASS_MS * 0.7) this.#width += 1;
  }
}
