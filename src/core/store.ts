/**
 * What is kept beyond one request, as contracts: who may call, which answers were already given, what was said.
 * Every method throws `store_unavailable` when the store cannot be reached; what a method resolved survives `kill -9`.
 */

import type { AdapterStore } from './adapter.ts';
import type { ConversationStore } from './conversation.ts';
import type { Tier } from './dialogue.ts';
import type { JobStore } from './job.ts';
import type { LearnedLineStore } from './learned-line.ts';

/** `game` may ask for dialogue; `operator` may also change the service. Neither contains the other. */
export const KEY_SCOPES = ['game', 'operator'] as const;
export type KeyScope = (typeof KEY_SCOPES)[number];

/** An API key as people may see it: never its secret. Times are epoch milliseconds. */
export interface ApiKey {
  readonly id: string;
  readonly label: string;
  readonly scopes: readonly KeyScope[];
  readonly createdAtMs: number;
  /** Within a minute of the truth: it is written seldom, so that a busy key costs nothing. */
  readonly lastUsedAtMs: number | null;
  readonly revokedAtMs: number | null;
}

export interface KeyStore {
  /** Makes a key. `token` is what the caller sends; it is given here once and kept nowhere. */
  create(options: {
    readonly label: string;
    readonly scopes: readonly KeyScope[];
  }): Promise<{ readonly key: ApiKey; readonly token: string }>;
  /** Every key, the revoked ones included, oldest first. */
  list(): Promise<readonly ApiKey[]>;
  /** Resolves to false when no key has this id. A revoked key stays revoked; its first time of revocation is kept. */
  revoke(id: string): Promise<boolean>;
  /** Whether any key is valid now: without one the service stays on loopback. */
  hasActive(): Promise<boolean>;
  /**
   * The key of this token, or null when it is none, unknown or revoked. Answers from memory, so that a request pays no
   * query and a store outage does not lock out known keys; a revocation elsewhere is seen within 5 seconds. Throws
   * `store_unavailable`, never null, when the token is not in memory and the store cannot be asked.
   */
  authenticate(token: string): Promise<ApiKey | null>;
}

/** One request that must be answered once. */
export interface IdempotentRequest {
  /** The client's Idempotency-Key: 1..255 characters. */
  readonly key: string;
  /** Whose key it is: two API keys never see one another's answers. Empty where keys are not in use. */
  readonly apiKeyId: string;
  /** A digest of all that shapes the answer. */
  readonly bodyDigest: string;
}

/** The right to answer, held by one caller at a time. Settle it once, with `complete` or `abandon`. */
export interface IdempotencyClaim {
  /**
   * Keeps the answer for 10 minutes. Resolves to false when the right was lost meanwhile (this process stood still for
   * longer than the lease); then another's answer counts.
   */
  complete(replyJson: string): Promise<boolean>;
  /** Gives the right back, so that a retry runs anew: for answers that failed. */
  abandon(): Promise<void>;
}

export type IdempotencyOutcome =
  | { readonly kind: 'run'; readonly claim: IdempotencyClaim }
  | { readonly kind: 'replay'; readonly replyJson: string };

export interface IdempotencyStore {
  /**
   * Either the right to answer, or the answer that was given. Waits while another caller, here or in another process,
   * is answering the same request; a caller that died is replaced within 10 seconds. Throws `idempotency_conflict` when
   * the key came with another body, `bad_request` for a key that is empty or over 255 characters. Aborting rejects with
   * the signal's reason and holds nothing.
   */
  claim(request: IdempotentRequest, signal: AbortSignal): Promise<IdempotencyOutcome>;
}

/** A short text of the turns 0..turns-1 of a timeline. */
export interface ConversationSummary {
  readonly text: string;
  readonly turns: number;
}

export interface SummaryStore {
  /** The longest-reaching summary that is true of this timeline: its own, or one of what it inherited. */
  loadSummary(conversationId: string, timelineId: string): Promise<ConversationSummary | null>;
  /** Keeps a summary unless one that reaches as far is there. */
  saveSummary(conversationId: string, timelineId: string, summary: ConversationSummary): Promise<void>;
}

/** Integer micro-dollars. Held: promised to calls that are not settled, or were not when their process died. */
export interface Amounts {
  readonly spentMicroUsd: number;
  readonly heldMicroUsd: number;
}

export interface DaySpending extends Amounts {
  /** UTC: `2026-11-21`. */
  readonly day: string;
  readonly tiers: Readonly<Record<Tier, Amounts>>;
}

export interface HeldAmount {
  readonly day: string;
  readonly tier: Tier;
  readonly microUsd: number;
}

export interface SpendingStore {
  /**
   * Holds the amount in one step unless spent and held together would pass a cap (null is no cap), or paid engines are
   * switched off, wherever that was done. False: nothing is held.
   */
  hold(
    held: HeldAmount,
    caps: { readonly total: number | null; readonly tier: number | null },
  ): Promise<boolean>;
  /** Gives a hold back and books what was spent. Called once for each hold. */
  settle(held: HeldAmount, spentMicroUsd: number): Promise<void>;
  day(day: string): Promise<DaySpending>;
  /** Whether paid engines are switched off. */
  isOff(): Promise<boolean>;
  switchOff(isOff: boolean): Promise<void>;
}

export interface StoreHealth {
  readonly kind: 'sqlite' | 'postgres';
  /** The file, or the address without its password. */
  readonly location: string;
  readonly isReachable: boolean;
  /** Milliseconds the probe took. */
  readonly probeMs: number;
  /** What fails at present and what to do: on a full disk writes fail while reads go on. */
  readonly failure: string | null;
}

export interface Store extends AsyncDisposable {
  readonly conversations: ConversationStore & SummaryStore;
  readonly keys: KeyStore;
  readonly idempotency: IdempotencyStore;
  readonly spending: SpendingStore;
  readonly jobs: JobStore;
  readonly adapters: AdapterStore;
  readonly learnedLines: LearnedLineStore;
  /** Asks the store for one row. Never throws. */
  health(): Promise<StoreHealth>;
}
