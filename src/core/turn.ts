/** One finished turn, handed once to every sink after the end of a dialogue. Sinks never delay or fail a reply. */
import type { DialogueOutcome, DialogueRequest } from './dialogue.ts';
import type { ErrorCode } from './errors.ts';

export interface GuardHit {
  readonly rule: string;
  readonly outcome: 'rerolled' | 'replaced' | 'dropped' | 'cleaned';
}

/** One call of an engine, with what it cost. The sum over a turn is the turn's usage. */
export interface AttemptRecord {
  readonly engine: string;
  readonly model: string;
  /** How it ended: a finish reason, a cause, `left` when its reader wanted no more of it, `hedged` for the slower of two. */
  readonly result: string;
  readonly durationMs: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly costMicroUsd: number;
  /** Whether the engine told the tokens, or we counted what we saw. */
  readonly source: 'reported' | 'estimated';
}

export interface Turn {
  readonly request: DialogueRequest;
  readonly personaVersion: number;
  readonly kind: string;
  readonly outcome: DialogueOutcome | null;
  /** The sentences that went out, also where the player hung up and there is no outcome. */
  readonly heard?: readonly string[];
  readonly error: ErrorCode | null;
  readonly guardHits: readonly GuardHit[];
  readonly attempts: readonly AttemptRecord[];
}

export interface TurnSink {
  record(turn: Turn): void;
}
