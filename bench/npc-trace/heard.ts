/** What a client hears of one answer, whatever wire it came by: the reading side of the two doors that can be driven. */
import type { SayOutcome } from './trace.ts';

export interface Heard {
  /** The machine's time at which bytes with the first text were read; null: none came. */
  readonly firstTextAtMs: number | null;
  readonly firstSentenceAtMs: number | null;
  readonly text: string;
  readonly source: SayOutcome['source'];
  readonly cause: string | null;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly costUsd: number;
  /** The server said that this line need not be spoken. */
  readonly isUnspoken: boolean;
}

/** Takes one answer as its bytes come. */
export interface AnswerReader {
  onHead(status: number): void;
  /** Throws nothing: what is wrong is kept for `failure`. */
  onBody(bytes: Uint8Array, atMs: number): void;
  /** What is wrong with the answer now that it has ended; null: nothing. */
  failure(): string | null;
  /** What was heard so far; also of an answer that was cut short. */
  heard(): Heard;
}

/** Longest event that is read; a sentence is a few hundred bytes, usage and timing not more. */
export const EVENT_BYTES_MAX = 262_144;
/** Of an answer that is refused, what is kept for the report. */
export const REFUSAL_CHARS_MAX = 300;

export const NOTHING_HEARD: Heard = {
  firstTextAtMs: null,
  firstSentenceAtMs: null,
  text: '',
  source: 'unknown',
  cause: null,
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  costUsd: 0,
  isUnspoken: false,
};
