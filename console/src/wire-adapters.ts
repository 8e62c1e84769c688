/**
 * What the gateway says of adapters (operator's wire, v1). As in wire.ts: the console shares nothing with the service
 * but this.
 */

export interface AdapterRecord {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of its weights and shape. */
  readonly digest: string;
  readonly base: string;
  readonly architecture?: string;
  readonly layers?: number;
  readonly rank: number;
  readonly alpha?: number;
  readonly target_modules?: readonly string[];
  readonly bytes: number;
  readonly gguf_bytes?: number;
  readonly licence: string | null;
  readonly training_run?: string | null;
  readonly notes: string | null;
  readonly source?: string;
  readonly added_by: string;
  /** Epoch milliseconds. */
  readonly added_at_ms: number;
}

/** One adapter at one engine. */
export interface Residency {
  readonly id: string;
  readonly engine_name: string;
  readonly stage: string;
  /** Lines that speak with it now. */
  readonly leases: number;
  readonly is_pinned: boolean;
  readonly bytes: number;
  /** Milliseconds since its last line, when this was told; null: none yet. */
  readonly idle_ms: number | null;
  readonly load_ms: number | null;
  readonly verify_ms: number | null;
  readonly failures: number;
  readonly reason: string | null;
}

export interface AdapterView {
  readonly record: AdapterRecord;
  /** `lich@7`. */
  readonly id: string;
  readonly tags: readonly string[];
  readonly is_published: boolean;
  readonly is_pinned: boolean;
  /** Why its last publish failed. */
  readonly failure: string | null;
  readonly replicas: readonly (Residency & { readonly engine: string })[];
}

export interface AdapterPage {
  readonly data: readonly AdapterView[];
  readonly next: string | null;
}

export interface ReplicaView {
  readonly engine: string;
  readonly base: string;
  readonly is_up: boolean;
  /** null: the engine does not say. */
  readonly slots: number | null;
  readonly slots_used: number;
  readonly bytes: number;
  readonly bytes_max: number | null;
  readonly swaps_last_minute: number;
  readonly is_thrashing: boolean;
  readonly adapters: readonly Residency[];
}

export interface ReplicaList {
  readonly data: readonly ReplicaView[];
}

export interface AddBody {
  readonly source: string;
  readonly name: string;
  readonly version: string;
  readonly base?: string;
  readonly licence?: string;
  readonly notes?: string;
}

/** Long work on one adapter; it goes on when nobody watches. */
export interface AdapterOperation {
  readonly id: string;
  readonly kind: string;
  /** `lich@7`. */
  readonly adapter: string;
  readonly stage: string;
  /** One sentence for people; of a success, what was done. */
  readonly detail: string;
  /** Of the stage. */
  readonly percent: number | null;
  /** Epoch milliseconds, as the other. */
  readonly started_at_ms: number;
  readonly ended_at_ms: number | null;
  readonly outcome: 'succeeded' | 'failed' | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
}
