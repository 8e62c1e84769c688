/**
 * How often something is used lately, in uses a second: a counter that halves every half-life (the exponentially decayed
 * counter of Cohen and Strauss, "Maintaining time-decaying stream aggregates", 2006). Two numbers, whatever the traffic.
 */

/** Long enough to remember a talk with its pauses, short enough to forget an NPC that the player has left. */
const HALF_LIFE_MS = 30_000;

export class UseRate {
  #count = 0;
  #atMonoMs = 0;

  used(nowMonoMs: number): void {
    this.#count = this.#countAt(nowMonoMs) + 1;
    this.#atMonoMs = nowMonoMs;
  }

  /** As many uses a second as were expected before the first one is counted here. */
  expect(usesPerSecond: number, nowMonoMs: number): void {
    this.#count = (usesPerSecond * HALF_LIFE_MS) / (Math.LN2 * 1_000);
    this.#atMonoMs = nowMonoMs;
  }

  /** Uses a second. */
  at(nowMonoMs: number): number {
    return (this.#countAt(nowMonoMs) * Math.LN2 * 1_000) / HALF_LIFE_MS;
  }

  #countAt(nowMonoMs: number): number {
    return this.#count * 2 ** -(Math.max(0, nowMonoMs - this.#atMonoMs) / HALF_LIFE_MS);
  }
}
