/**
 * A side of the NPC comparison: something that can answer the trace, how it is started and what it is called. One side runs
 * at a time, from a fresh start to its end, so that none works or holds memory while another is measured.
 */
import type { Absent } from '../load/sides.ts';

/** Those of a run that is asked for none. */
export const SIDE_KEYS = ['a', 'b', 'c', 'd', 'e'] as const;
/** `f` is `a` with the copy of the weights that Greenroom's engine makes for itself. */
export type SideKey = (typeof SIDE_KEYS)[number] | 'f';

export interface RunningSide extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The name by which a chat client asks for the model. */
  readonly model: string;
}

export interface Side {
  readonly key: SideKey;
  readonly name: string;
  /** `chat`: POST /v1/chat/completions with the trace's messages. `dialogue`: POST /v1/dialogue with its context. */
  readonly door: 'chat' | 'dialogue';
  /** Whether its door is told which lines belong to one event. */
  readonly useEvents: boolean;
  /** What it is and how it is set, for the result file. */
  readonly settings: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Starts it on loopback and resolves once it generates. `folder` is for its files and ends with the bench. */
  start(folder: string, signal: AbortSignal): Promise<RunningSide>;
}

/** What stands for a side that cannot run here. */
export interface AbsentSide extends Absent {
  readonly key: SideKey;
  readonly name: string;
}

export type FoundSide = Side | AbsentSide;

export function isAbsent(side: FoundSide): side is AbsentSide {
  return 'reason' in side;
}

/** A side is stopped after this long whatever becomes of the bench. */
export const LIFE_MS = 1_800_000;
export const SLOTS = 8;
export const THREADS = 2;
