/** What the dialogue cache tells of itself. */

/** What became of one question. `joined`: its answer was being generated for another; `bypass`: it may not be cached. */
export type RecallOutcome = 'hit' | 'shared_hit' | 'meaning_hit' | 'joined' | 'miss' | 'bypass';

export interface RecallEvent {
  readonly outcome: RecallOutcome;
  readonly npcId: string;
  /** The NPC's monster type. */
  readonly kind: string;
  /** What the line that is said again took to generate; null where none is. */
  readonly saved: GenerationCost | null;
}

/** What it took to generate a line. */
export interface GenerationCost {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Integer micro-dollars. */
  readonly costMicroUsd: number;
  /** Milliseconds until the first sentence. */
  readonly ttfsMs: number;
}

export interface RecallState {
  /** Of the lines kept in this process. */
  readonly bytes: number;
  readonly keys: number;
  readonly variants: number;
  /** Lines that had to make room since the start. */
  readonly evictions: number;
  /** Generations under way that an equal question would join. */
  readonly flights: number;
  /** Whether the shared tier answers; null: there is none. */
  readonly isSharedReachable: boolean | null;
}
