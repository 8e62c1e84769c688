/**
 * Windows: parts of the trace that are driven at one speed. A window is a stretch of the trace's own time, moved to 0 and
 * pressed together by the speed, so that it takes the same wall time at every speed and holds more lines at a higher one.
 * Which stretch it is never depends on the side: all sides are asked the same, and no start of a side is asked one twice.
 */
import type { SayEntry, TraceEntry } from '../npc-trace/trace.ts';
import type { JudgedLine } from './judge.ts';
import type { SideKey } from './side.ts';

export interface Stretch {
  /** On the trace's clock (ms). */
  readonly fromMs: number;
  readonly speed: number;
  /** Wall time of the window (ms). */
  readonly wallMs: number;
}

/** What was seen in one window. */
export interface Window {
  readonly side: SideKey;
  readonly part: string;
  readonly round: number;
  readonly speed: number;
  /** Wall time over which its lines were due (ms). */
  readonly wallMs: number;
  readonly lines: readonly JudgedLine[];
  /** It was ended because it could not hold any more; its figures are worth nothing but that. */
  readonly isCut: boolean;
  /** Hints that were refused or not answered. */
  readonly faults: readonly string[];
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

export interface Part {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Gives one stretch after the other out of a part of the trace. */
export class Cursor {
  readonly #part: Part;
  #atMs: number;

  /** Begins `offsetMs` into the part, as if the part were a ring. */
  constructor(part: Part, offsetMs: number) {
    this.#part = part;
    this.#atMs = part.fromMs + (offsetMs % (part.untilMs - part.fromMs));
  }

  /**
   * The next stretch. `isAgain`: it begins at the front of the part, where earlier stretches may have been, so whoever must
   * not hear a line twice starts anew. One longer than the part is cut by it.
   */
  next(speed: number, wallMs: number): { readonly stretch: Stretch; readonly isAgain: boolean } {
    const lengthMs = speed * wallMs;
    const isAgain = this.#atMs + lengthMs > this.#part.untilMs;
    const fromMs = isAgain ? this.#part.fromMs : this.#atMs;
    this.#atMs = fromMs + lengthMs;
    return {
      stretch: { fromMs, speed, wallMs: Math.min(wallMs, (this.#part.untilMs - fromMs) / speed) },
      isAgain,
    };
  }
}

/** The order of the sides in a round: each begins once in as many rounds, and who follows whom turns about. */
export function orderOf<T>(sides: readonly T[], round: number): T[] {
  const from = sides.length === 0 ? 0 : round % sides.length;
  const others = [...sides.slice(from + 1), ...sides.slice(0, from)];
  return [...sides.slice(from, from + 1), ...(round % 2 === 0 ? others : others.toReversed())];
}
