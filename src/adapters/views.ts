/** What people and doors see of adapters: plain values of one moment. */
import type { AdapterRecord, AdapterTag } from '../core/adapter.ts';

export const ADAPTER_STAGES = [
  'staged',
  'loading',
  'verifying',
  'resident',
  'draining',
  'gone',
  'failed',
] as const;
export type AdapterStage = (typeof ADAPTER_STAGES)[number];

/** One adapter at one replica. */
export interface ResidencyView {
  /** `lich@7`. */
  readonly id: string;
  readonly engineName: string;
  readonly stage: AdapterStage;
  /** Lines that speak with it now. */
  readonly leases: number;
  readonly isPinned: boolean;
  /** Predicted bytes in the engine's memory. */
  readonly bytes: number;
  /** Milliseconds since its last line; null: none yet. */
  readonly idleMs: number | null;
  /** Milliseconds of its last load and of its verification. */
  readonly loadMs: number | null;
  readonly verifyMs: number | null;
  readonly failures: number;
  /** Why it failed or waits. */
  readonly reason: string | null;
}

export interface ReplicaView {
  readonly engine: string;
  readonly base: string;
  readonly isUp: boolean;
  readonly slots: number | null;
  readonly slotsUsed: number;
  readonly bytes: number;
  readonly bytesMax: number | null;
  /** Loads that pushed another adapter out, in the last minute. */
  readonly swapsLastMinute: number;
  readonly isThrashing: boolean;
  readonly adapters: readonly ResidencyView[];
}

export interface AdapterView {
  readonly record: AdapterRecord;
  readonly id: string;
  readonly tags: readonly AdapterTag[];
  readonly isPublished: boolean;
  readonly isPinned: boolean;
  /** Why its last publish failed; null when it did not. */
  readonly failure: string | null;
  readonly replicas: readonly (ResidencyView & { readonly engine: string })[];
}

/** A step of a long operation, for people: `fetching 41 %`, `loading on gpu-1`, `verifying on gpu-1`. */
export interface AdapterProgress {
  readonly stage: 'fetching' | 'staging' | 'loading' | 'verifying' | 'switching' | 'draining' | 'done';
  readonly detail: string;
  readonly percent?: number;
}
