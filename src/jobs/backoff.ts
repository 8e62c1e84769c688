/** Waits that grow: exponential, bounded, without chance, since one runner asks. */

/** The wait in milliseconds after `failures` earlier ones, 0 for the first. */
export function backoffMs(
  waits: { readonly firstMs: number; readonly factor: number; readonly maxMs: number },
  failures: number,
): number {
  return Math.min(waits.maxMs, waits.firstMs * waits.factor ** failures);
}
