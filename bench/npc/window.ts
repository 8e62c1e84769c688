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

/** A stretch is taken where its lines are as many as the trace's mean says, give or take this share of them. */
const TYPICAL_SHARE = 0.15;
/** How far it is looked for, and in which steps (ms of the trace). */
const LOOK_AHEAD_MS = 120_000;
const STEP_MS = 500;

/**
 * Gives one stretch after the other out of a part of the trace. The trace has bursts and lulls longer than a window: taken
 * as they come, they would say more of a window than the speed does. So it passes over time until it stands before a
 * typical stretch; what is within that is the trace's own.
 */
export class Cursor {
  readonly #part: Part;
  readonly #saidAtMs: readonly number[];
  #atMs: number;

  /** Begins `offsetMs` into the part, as if the part were a ring. */
  constructor(part: Part, offsetMs: number, entries: readonly TraceEntry[]) {
    this.#part = part;
    this.#saidAtMs = saysOf(entries).map(({ atMs }) => atMs);
    this.#atMs = part.fromMs + (offsetMs % (part.untilMs - part.fromMs));
  }

  /**
   * The next stretch. `isAgain`: it begins at the front of the part, where earlier stretches may have been, so whoever must
   * not hear a line twice starts anew. One longer than the part is cut by it.
   */
  next(speed: number, wallMs: number): { readonly stretch: Stretch; readonly isAgain: boolean } {
    const { fromMs: frontMs, untilMs } = this.#part;
    const lengthMs = Math.min(speed * wallMs, untilMs - frontMs);
    const isAgain = this.#atMs + lengthMs > untilMs;
    const fromMs = this.#typicalFrom(isAgain ? frontMs : this.#atMs, lengthMs);
    this.#atMs = fromMs + lengthMs;
    return { stretch: { fromMs, speed, wallMs: lengthMs / speed }, isAgain };
  }

  /** The first typical stretch from `atMs` on, else that which comes nearest to it. */
  #typicalFrom(atMs: number, lengthMs: number): number {
    const { fromMs: frontMs, untilMs } = this.#part;
    const expected = (this.#count(frontMs, untilMs) * lengthMs) / (untilMs - frontMs);
    const lastMs = Math.min(atMs + LOOK_AHEAD_MS, untilMs - lengthMs);
    let nearest = { fromMs: atMs, off: Number.POSITIVE_INFINITY };
    for (let fromMs = atMs; fromMs <= lastMs && nearest.off > TYPICAL_SHARE; fromMs += STEP_MS) {
      const off = Math.abs(this.#count(fromMs, fromMs + lengthMs) / expected - 1);
      if (off < nearest.off) nearest = { fromMs, off };
    }
    return nearest.fromMs;
  }

  #count(fromMs: number, untilMs: number): number {
    return this.#saidAtMs.filter((atMs) => atMs >= fromMs && atMs < untilMs).length;
  }
}

/** The order of the sides in a round: each begins once in as many rounds, and who follows whom turns about. */
export function orderOf<T>(sides: readonly T[], round: number): T[] {
  const from = sides.length === 0 ? 0 : round % sides.length;
  const others = [...sides.slice(from + 1), ...sides.slice(0, from)];
  return [...sides.slice(from, from + 1), ...(round % 2 === 0 ? others : others.toReversed())];
}
