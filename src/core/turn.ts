/** One finished turn, handed once to every sink after the end of a dialogue. Sinks never delay or fail a reply. */
import type { DialogueOutcome, DialogueRequest } from './dialogue.ts';
import type { ErrorCode } from './errors.ts';

export interface GuardHit {
  readonly rule: string;
  readonly outcome: 'rerolled' | 'replaced' | 'dropped' | 'cleaned';
}

export interface Turn {
  readonly request: DialogueRequest;
  readonly personaVersion: number;
  readonly kind: string;
  readonly outcome: DialogueOutcome | null;
  readonly error: ErrorCode | null;
  readonly guardHits: readonly GuardHit[];
  readonly attempts: readonly {
    readonly engine: string;
    readonly result: string;
    readonly durationMs: number;
  }[];
}

export interface TurnSink {
  record(turn: Turn): void;
}
