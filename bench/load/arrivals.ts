/**
 * Load by schedule and load by turns. Open loop: requests start when the schedule says, whatever became of the earlier
 * ones, so that waiting is seen and not hidden. Closed loop: a fixed number of clients, each asking again when answered,
 * to find the rate a gateway can hold. Both are bounded in time and count.
 */

/** Random arrivals at a mean rate (Poisson), in milliseconds from the start, in order. */
export function poissonArrivals(ratePerSecond: number, durationMs: number, random: () => number): number[] {
  const arrivals: number[] = [];
  const gapMs = () => (-Math.log(1 - random()) * 1_000) / ratePerSecond;
  for (let atMs = gapMs(); atMs < durationMs; atMs += gapMs()) arrivals.push(atMs);
  return arrivals;
}

/** Arrivals one every `gapMs`, each up to half a gap late by chance, so that no two runs beat with a timer. */
export function evenArrivals(gapMs: number, count: number, random: () => number): number[] {
  return Array.from({ length: count }, (_none, index) => (index + random() / 2) * gapMs);
}

export interface LoopResult<T> {
  readonly answers: readonly T[];
  readonly failures: readonly string[];
  readonly elapsedMs: number;
  /** How late each start was against its schedule (ms); empty for a closed loop. */
  readonly latenessMs: readonly number[];
}

/** Starts `begin` at each arrival and waits until all have ended; `begin` itself bounds how long one may take. */
export async function openLoop<T>(
  arrivalsMs: readonly number[],
  begin: () => Promise<T>,
): Promise<LoopResult<T>> {
  const answers: T[] = [];
  const failures: string[] = [];
  const latenessMs: number[] = [];
  const running: Promise<void>[] = [];
  const startedMs = performance.now();
  for (const arrivalMs of arrivalsMs) {
    const waitMs = startedMs + arrivalMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    latenessMs.push(performance.now() - startedMs - arrivalMs);
    running.push(collect(begin(), answers, failures));
  }
  await Promise.all(running);
  return { answers, failures, elapsedMs: performance.now() - startedMs, latenessMs };
}

/** `width` clients until `durationMs` have passed or `countMax` requests were made. */
export async function closedLoop<T>(
  limits: { readonly width: number; readonly durationMs: number; readonly countMax: number },
  begin: () => Promise<T>,
): Promise<LoopResult<T>> {
  const answers: T[] = [];
  const failures: string[] = [];
  const startedMs = performance.now();
  let made = 0;
  const client = async () => {
    while (made < limits.countMax && performance.now() - startedMs < limits.durationMs) {
      made += 1;
      await collect(begin(), answers, failures);
    }
  };
  await Promise.all(Array.from({ length: limits.width }, client));
  return { answers, failures, elapsedMs: performance.now() - startedMs, latenessMs: [] };
}

async function collect<T>(work: Promise<T>, answers: T[], failures: string[]): Promise<void> {
  try {
    answers.push(await work);
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
}
