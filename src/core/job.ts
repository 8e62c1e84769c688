/**
 * Work that nobody waits for with a game pad in hand: quests, stories, world events. A job is kept before it is accepted
 * and calls an engine at most once, whatever dies meanwhile.
 *
 *     queued → running → succeeded · failed        queued, running → cancelled
 *     running → queued        only while no engine was called for it
 */
import type { Tier } from './dialogue.ts';
import type { ChatMessage } from './engine.ts';
import type { ErrorCode } from './errors.ts';

export type JobStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';

export interface JobRequest {
  /** Whose voice it is to have; null: nobody's. */
  readonly npcId: string | null;
  readonly messages: readonly ChatMessage[];
  readonly tier: Tier;
  readonly maxTokens: number;
  readonly temperature: number | null;
  /** JSON schema that the whole answer follows, where the engine can. */
  readonly responseSchema: Readonly<Record<string, unknown>> | null;
}

export interface JobResult {
  readonly text: string;
  readonly finishReason: string;
  readonly engine: string;
  readonly model: string | null;
  readonly usage: {
    readonly promptTokens: number;
    readonly cachedTokens: number;
    readonly completionTokens: number;
    /** Integer micro-dollars. */
    readonly costMicroUsd: number;
  };
}

export interface JobFailure {
  readonly code: ErrorCode;
  /** `interrupted`: the process that worked on it ended, and what it had asked for may have been billed. */
  readonly reason: 'error' | 'deadline' | 'interrupted';
  readonly message: string;
}

export interface NewJob {
  readonly id: string;
  /** Who may see it; empty where keys are not in use. */
  readonly apiKeyId: string;
  readonly request: JobRequest;
  /** Where its end is told; null: nowhere. */
  readonly webhookUrl: string | null;
}

export interface Job extends NewJob {
  readonly status: JobStatus;
  readonly createdAtMs: number;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly result: JobResult | null;
  readonly failure: JobFailure | null;
  /** How its end was told; null where nobody is to be told. */
  readonly delivery: 'waiting' | 'delivered' | 'gave_up' | null;
}

/** What remains of a job when it has run. */
export type JobEnd =
  | { readonly status: 'succeeded'; readonly result: JobResult }
  | { readonly status: 'failed'; readonly failure: JobFailure };

export interface Delivery {
  readonly job: Job;
  /** This one included. */
  readonly attempt: number;
}

/**
 * Keeps jobs. What a method resolved survives `kill -9`; each throws `store_unavailable` when the store cannot be asked.
 * `owner` names one runner in one process. A runner that stops renewing loses its jobs when the lease ends.
 */
export interface JobStore {
  /**
   * False, and nothing kept, when there is a job of this id, or `queuedMax` wait already (some more may where many
   * gateways ask at one instant).
   */
  create(job: NewJob, queuedMax: number): Promise<boolean>;
  get(id: string): Promise<Job | null>;
  /** Takes the oldest job that is due; each job is given to one caller. Null: none is due. */
  claim(owner: string, leaseMs: number): Promise<Job | null>;
  /** Notes that an engine is about to be called: from now on it never is again. False: the job is the caller's no more. */
  begin(id: string, owner: string): Promise<boolean>;
  /** Prolongs the leases; gives the ids that are still the owner's. */
  renew(owner: string, ids: readonly string[], leaseMs: number): Promise<ReadonlySet<string>>;
  /** Back to the queue, unless an engine was called. False: it was, or the job is the caller's no more. */
  release(id: string, owner: string, notBeforeMs: number): Promise<boolean>;
  /** False: the job is the caller's no more. Kept for `keepMs` from now. */
  settle(id: string, owner: string, end: JobEnd, keepMs: number): Promise<boolean>;
  /** Ends a job that has not ended. The job as it is then; null when there is none. */
  cancel(id: string, keepMs: number): Promise<Job | null>;
  /** Settles what runners left behind whose lease has ended: back to the queue, or failed as interrupted. */
  reap(keepMs: number): Promise<{ readonly requeued: number; readonly interrupted: number }>;
  /** The next end that is due to be told; it is due again after `retryMs` unless `delivered` comes before. */
  claimDelivery(retryMs: number): Promise<Delivery | null>;
  /** Sets when to tell it again; null: never, it was told (`isDelivered`) or given up. */
  settleDelivery(id: string, isDelivered: boolean, againAtMs: number | null): Promise<void>;
  /** Removes ended jobs whose time is over; at most some hundred at once. */
  prune(): Promise<number>;
}

/** What a door needs of jobs. */
export interface Jobs {
  /**
   * Keeps a job; it is durable when this resolves. The same `onceKey` of the same API key gives the job that is there, as
   * long as it is kept. Throws `overloaded` when too many wait, `bad_request` for a webhook that the configuration does
   * not allow, `idempotency_conflict` for a key that came with another request, `store_unavailable`.
   */
  submit(job: Omit<NewJob, 'id'>, onceKey: string | null): Promise<Job>;
  /** Throws `unknown_job`; also for a job of another API key unless `apiKeyId` is null, which is the operator. */
  get(id: string, apiKeyId: string | null): Promise<Job>;
  /** Cancels what has not ended; the job as it is then. Throws as `get`. */
  cancel(id: string, apiKeyId: string | null): Promise<Job>;
  /** The job now and after each change of its status, up to its end. Throws as `get`; aborting rejects with the reason. */
  watch(id: string, apiKeyId: string | null, signal: AbortSignal): AsyncIterable<Job>;
}

export function hasEnded({ status }: Pick<Job, 'status'>): boolean {
  return status !== 'queued' && status !== 'running';
}
