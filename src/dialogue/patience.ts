/**
 * When a player should hear that the NPC is thinking: as soon as the first sentence is known to come too late, and at
 * the latest when the tier's patience is over (npc-domain.md §3).
 */
import type { Clock } from '../core/runtime.ts';

export class Patience implements Disposable {
  readonly #clock: Clock;
  readonly #untilMonoMs: number;
  readonly #timer: Disposable;
  readonly #lost = Promise.withResolvers<'late'>();

  /** `patienceMs` counts from `sinceMonoMs`, when the request came. */
  constructor(clock: Clock, patienceMs: number, sinceMonoMs: number) {
    this.#clock = clock;
    this.#untilMonoMs = sinceMonoMs + patienceMs;
    const leftMs = Math.max(0, this.#untilMonoMs - clock.monotonicMs());
    this.#timer = clock.timer(leftMs, () => this.#lost.resolve('late'));
  }

  /** Resolves once the first sentence is late or known to be; never when it is disposed before. */
  get lost(): Promise<'late'> {
    return this.#lost.promise;
  }

  /** The first sentence is expected in so many milliseconds from now. */
  expect(firstSentenceMs: number): void {
    if (this.#clock.monotonicMs() + firstSentenceMs > this.#untilMonoMs) this.#lost.resolve('late');
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }
}
