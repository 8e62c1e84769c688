/**
 * Windows: parts of the trace that are driven at one speed. A window is a stretch of the trace's own time, moved to 0 and
 * pressed together by the speed, so that it takes the same wall time at every speed and holds more lines at a higher one.
 * Which stretch it is depends on the round and the place in it and never on the side: all sides are asked the same.
 */
import type { SayEntry, TraceEntry } from '../npc-trace/trace.ts';

export interface Stretch {
  /** On the trace's clock (ms). */
  readonly fromMs: number;
  readonly speed: number;
  /** Wall time of the window (ms). */
  readonly wallMs: number;
}

/** The entries of a stretch, at the times when they are due in its window. */
export function entriesOf(entries: readonly TraceEntry[], stretch: Stretch): TraceEntry[] {
  const untilMs = stretch.fromMs + stretch.wallMs * stretch.speed;
  return entries
    .filter(({ atMs }) => atMs >= stretch.fromMs && atMs < untilMs)
    .map((entry) => ({ ...entry, atMs: (entry.atMs - stretch.fromMs) / stretch.speed }));
}

export function saysOf(entries: readonly TraceEntry[]): SayEntry[] {
  return entries.filter((entry) => entry.kind === 'say');
}

/**
 * Where each of some stretches begins, one after the other, so that no two windows of a round ask for the same lines. A
 * stretch that would pass the end of the trace begins again behind the warm-up; one longer than the trace is cut by it.
 */
export function layOut(
  stretches: readonly Omit<Stretch, 'fromMs'>[],
  trace: { readonly beginMs: number; readonly durationMs: number },
  offsetMs: number,
): Stretch[] {
  const roomMs = trace.durationMs - trace.beginMs;
  let atMs = trace.beginMs + (offsetMs % roomMs);
  return stretches.map((stretch) => {
    const lengthMs = stretch.wallMs * stretch.speed;
    if (atMs + lengthMs > trace.durationMs) atMs = trace.beginMs;
    const fromMs = atMs;
    atMs += lengthMs;
    return { ...stretch, fromMs };
  });
}

/** The order of the sides in a round: each begins once, and who followed whom turns about. */
export function orderOf<T>(sides: readonly T[], round: number): T[] {
  const from = sides.length === 0 ? 0 : round % sides.length;
  const turned = [...sides.slice(from), ...sides.slice(0, from)];
  return round % 2 === 0 ? turned : turned.toReversed();
}
