/** What the dialogue cache tells of itself, and how operators reach it. */

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

/** What became of questions: counts. */
export interface RecallTally {
  /** Lines said again: `hit`, `shared_hit` and `meaning_hit`. */
  readonly hits: number;
  readonly joined: number;
  readonly misses: number;
  /** Lines that may not be cached: without words, without their adapter, operators' tries, personas that say so. */
  readonly bypassed: number;
}

/** What was saved by saying lines again. What joiners did not wait and pay is not in it: nobody measured it. */
export interface Saved extends RecallTally {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Integer micro-dollars. */
  readonly costMicroUsd: number;
  /** Milliseconds until the first sentence that nobody waited. */
  readonly waitMs: number;
}

/** Prompt tokens of generated lines, and how many of them an engine had in its prefix cache. */
export interface PrefixTokens {
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

/** The options that are in force. */
export interface RecallRules {
  readonly isEnabled: boolean;
  readonly memoryBytesMax: number;
  readonly variantsMax: number;
  readonly variantsMin: number;
  readonly ttlS: number;
  readonly joinEqual: boolean;
  readonly barksByMeaning: boolean;
  /** Milliseconds that a request waits for the shared tier; null: there is none. */
  readonly sharedWaitMs: number | null;
}

export interface RecallReport {
  readonly rules: RecallRules;
  readonly state: RecallState;
  /** The last minutes; `windowMs` is shorter right after the start. */
  readonly recent: RecallTally & { readonly windowMs: number };
  /** Since the start of this process. */
  readonly total: Saved;
  readonly prefix: PrefixTokens;
  /** Those who saved most first, as many as were asked for. */
  readonly npcs: readonly {
    readonly npcId: string;
    readonly saved: Saved;
    readonly prefix: PrefixTokens;
  }[];
  /** NPCs that were counted; it may be more than are listed. */
  readonly npcsKnown: number;
}

/** The dialogue cache as operators reach it. */
export interface RecallDesk {
  report(npcsMax: number): RecallReport;
  /**
   * Forgets what an NPC said (null: everybody), here and in the shared tier. Resolves to how many questions this process knew
   * answers to. Throws `unknown_npc` with near ids, and `store_unavailable` when the shared tier did not hear it: then
   * this process has forgotten, and it must be asked for again.
   */
  forget(npcId: string | null, signal: AbortSignal): Promise<number>;
}
