/**
 * Who speaks when, and with which adapter: Zipf's law over the adapters (the k-th is wanted 1/k as often as the first), each
 * line drawn anew. That is harder on slots than players are, who stay with one character for a while.
 */

export interface Asked {
  readonly atMs: number;
  /** 0-based rank of the adapter: 0 is wanted most. */
  readonly adapter: number;
}

/** Draws ranks 0..count-1 with weights 1/(rank+1)^exponent; exponent 0: all alike. */
export function zipf(count: number, exponent: number, random: () => number): () => number {
  const bounds: number[] = [];
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** exponent;
    bounds.push(sum);
  }
  return () => {
    const point = random() * sum;
    const rank = bounds.findIndex((bound) => point < bound);
    return rank === -1 ? count - 1 : rank;
  };
}

/** Arrivals of a Poisson process over `forMs`: players do not wait for one another. */
export function openLoop(
  options: {
    readonly adapters: number;
    readonly exponent: number;
    readonly linesPerSecond: number;
    readonly forMs: number;
  },
  random: () => number,
): readonly Asked[] {
  const draw = zipf(options.adapters, options.exponent, random);
  const lines: Asked[] = [];
  for (let atMs = 0; ; ) {
    atMs += (-Math.log(1 - random()) * 1_000) / options.linesPerSecond;
    if (atMs >= options.forMs) return lines;
    lines.push({ atMs, adapter: draw() });
  }
}
