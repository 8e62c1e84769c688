/** One clock for all processes of a bench: the machine's monotonic time, which every process on it reads alike. */

/** Milliseconds with a fraction since the machine started (CLOCK_MONOTONIC); comparable between processes. */
export function machineMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}
