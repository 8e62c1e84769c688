/** The few figures that a bench states: quantiles by nearest rank, and a median with its spread over rounds. */

/** The value at `part` (0..1) by nearest rank: always one that was measured. NaN of nothing. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;
}

/** The middle value; of an even count the mean of the two. NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? Number.NaN)) / 2 : upper;
}

export function round(value: number, digits: number): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}

/** The median under `name`, the least and greatest round beside it as `<name>Low` and `<name>High`. */
export function spread(name: string, rounds: readonly number[], digits: number): Record<string, number> {
  return {
    [name]: round(median(rounds), digits),
    [`${name}Low`]: round(Math.min(...rounds), digits),
    [`${name}High`]: round(Math.max(...rounds), digits),
  };
}
