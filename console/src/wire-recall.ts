/** The dialogue cache as the gateway tells it. */

export interface RecallTally {
  /** Lines said again. */
  readonly hits: number;
  /** Lines shared with somebody who asked the same at that moment. */
  readonly joined: number;
  /** Lines that had to be generated. */
  readonly misses: number;
  /** Lines that may not be cached. */
  readonly bypassed: number;
  /** (hits + joined) / (hits + joined + misses); null while there is none. */
  readonly hit_share: number | null;
}

export interface RecallSaved extends RecallTally {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost_usd: number;
  /** Seconds until the first sentence that nobody waited. */
  readonly wait_s: number;
}

export interface RecallPrefix {
  /** Of generated lines. */
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly cached_share: number | null;
}

export interface RecallNpc extends RecallSaved {
  readonly npc_id: string;
  readonly prefix: RecallPrefix;
}

export interface RecallStatus {
  readonly enabled: boolean;
  readonly memory: {
    readonly bytes: number;
    readonly bytes_max: number;
    readonly keys: number;
    readonly variants: number;
    readonly evictions: number;
  };
  /** Answers being generated that an equal question would join. */
  readonly flights: number;
  readonly shared: 'none' | 'reachable' | 'unreachable';
  readonly recent: RecallTally & { readonly window_s: number };
  readonly total: RecallSaved;
  readonly prefix: RecallPrefix;
  readonly npcs: readonly RecallNpc[];
  /** NPCs that were counted; `npcs` has the first of them. */
  readonly npcs_known: number;
  readonly options: {
    readonly variants_max: number;
    readonly variants_min: number;
    readonly ttl_s: number;
    readonly join_equal: boolean;
    readonly barks_by_meaning?: boolean;
    readonly shared_wait_ms: number | null;
  };
}

export interface Forgotten {
  /** Null: everybody. */
  readonly npc_id: string | null;
  /** Questions that the gateway knew answers to. */
  readonly keys: number;
}
