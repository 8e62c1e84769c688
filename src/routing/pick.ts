/**
 * Which replica of a pool takes one request: filter, score, pick over plain snapshots. Pure: the same snapshots and the
 * same ask give the same replica. The score is milliseconds: when the first sentence would be out, and what else a choice
 * costs said in the same unit. No replica goes over the load bound of affinity.ts.
 */
import type { Cause, Priority } from '../core/dialogue.ts';
import { hashOf, loadCap, weightOf } from './affinity.ts';
import { FIRST_SENTENCE_TOKENS } from './pace.ts';
import type { ReplicaSnapshot } from './replica.ts';

export interface PickAsk {
  /** What shares a stable prefix: persona, tier and adapter. */
  readonly prefixKey: string;
  readonly adapter: string | null;
  /** Not above this, for limits. */
  readonly promptTokens: number;
  /** Probably so many, for predictions; left out: `promptTokens`. */
  readonly likelyTokens?: number;
  readonly priority: Priority;
  /** Milliseconds in which a first sentence must be out. */
  readonly deadlineLeftMs: number;
  /** Whether no engine stands below: one that is idle is tried then however late it is predicted, any other if it may come. Left out: no. */
  readonly isLast?: boolean;
  /** Names of replicas that were tried already. */
  readonly exclude?: ReadonlySet<string>;
  /** Hosts that did not answer in this dialogue: a second rung to the same dead host is not tried. */
  readonly excludeOrigins?: ReadonlySet<string>;
  /** Whether a paid replica may be taken; left out: yes. */
  readonly mayPay?: boolean;
}

/** What a cold prefix costs at another replica while nothing is learned of prefill. */
const PREFIX_MS = 50;
/** Share of a prompt that the home replica has cached, while nothing is learned. */
const CACHED_RATIO = 0.5;
/** Loading an adapter of rank 16 over PCIe and its first use (engines.md §3.6: hundreds of milliseconds). */
const ADAPTER_LOAD_MS = 500;
/** A paid replica is taken when the free ones are this much slower. */
const PAID_MS = 300;
/**
 * Where nobody stands below, a line that is predicted to be late waits all the same while it may still come: predictions
 * are off by such a factor, and a place that is waited for costs the engine nothing.
 */
export const LAST_PATIENCE = 2;
/** A full batch decodes slower than an empty one. */
const FULL_BATCH_MS = 100;

/** The mildest first: an engine that is only busy explains more than one that was switched off. */
const CAUSE_ORDER = {
  overload: 0,
  timeout: 1,
  backend_error: 2,
  budget: 3,
  disabled: 4,
  offline: 5,
  safety: 6,
  repetition: 7,
} as const satisfies Record<Cause, number>;

/** The cause that explains most, of one so far and another. */
export function mildest(one: Cause | null, other: Cause): Cause {
  return one === null || CAUSE_ORDER[other] < CAUSE_ORDER[one] ? other : one;
}

/** The index of the replica that takes the request, or why none does. */
export function pickReplica(replicas: readonly ReplicaSnapshot[], ask: PickAsk): number | Cause {
  let cause: Cause | null = null;
  let load = 0;
  let capacity = 0;
  let fastestMs = Number.POSITIVE_INFINITY;
  const keyHash = hashOf(ask.prefixKey);
  const likelyTokens = ask.likelyTokens ?? ask.promptTokens;
  for (const replica of replicas) {
    const reason = refusal(replica, ask);
    if (reason !== null) {
      cause = mildest(cause, reason);
      continue;
    }
    load += replica.running + replica.waiting;
    capacity += replica.maxInFlight;
    if (replica.baseMs !== null) fastestMs = Math.min(fastestMs, firstSentenceMs(replica, likelyTokens));
  }
  if (capacity === 0) return cause ?? 'disabled';
  if (fastestMs === Number.POSITIVE_INFINITY) fastestMs = 0;

  let home = -1;
  let homeWeight = -1;
  for (let index = 0; index < replicas.length; index++) {
    const replica = replicas[index];
    if (replica === undefined || !mayTake(replica, ask, load, capacity)) continue;
    const weight = weightOf(keyHash, replica.hash);
    if (weight > homeWeight) {
      home = index;
      homeWeight = weight;
    }
  }

  let best = -1;
  let bestScore = Number.POSITIVE_INFINITY;
  for (let index = 0; index < replicas.length; index++) {
    const replica = replicas[index];
    if (replica === undefined || !mayTake(replica, ask, load, capacity)) continue;
    const waitMs = ask.priority === 'interactive' ? replica.interactiveWaitMs : replica.ambientWaitMs;
    const isHome = index === home;
    const readTokens = isHome ? likelyTokens * (1 - (replica.cachedRatio ?? CACHED_RATIO)) : likelyTokens;
    const sentenceMs = waitMs + (replica.baseMs === null ? fastestMs : firstSentenceMs(replica, readTokens));
    // What one slow line foretold is put right by the next one, and an idle engine has nothing better to do.
    const isHoped = ask.isLast === true && !replica.isPaid;
    const patience = isHoped ? LAST_PATIENCE : 1;
    const isTrial = isHoped && replica.running === 0;
    if (sentenceMs > ask.deadlineLeftMs * patience && !isTrial) continue;
    let score = sentenceMs + (FULL_BATCH_MS * replica.running) / replica.maxInFlight;
    if (!isHome) score += PREFIX_MS;
    if (ask.adapter !== null && !replica.residentAdapters.has(ask.adapter)) score += ADAPTER_LOAD_MS;
    if (replica.isPaid) score += PAID_MS;
    if (score < bestScore) {
      best = index;
      bestScore = score;
    }
  }
  return best === -1 ? 'overload' : best;
}

/** Why this replica cannot take the request at all; null when it can. */
function refusal(replica: ReplicaSnapshot, ask: PickAsk): Cause | null {
  if (replica.unusable !== null) return replica.unusable;
  if (ask.exclude?.has(replica.name) === true) return 'backend_error';
  if (replica.origin !== null && ask.excludeOrigins?.has(replica.origin) === true) return 'offline';
  if (replica.isPaid && ask.mayPay === false) return 'disabled';
  if (replica.contextTokens !== null && ask.promptTokens >= replica.contextTokens) return 'backend_error';
  if (replica.maxPromptTokens !== null && ask.promptTokens > replica.maxPromptTokens) return 'backend_error';
  const isFull = replica.running >= replica.maxInFlight && replica.waiting >= replica.maxQueued;
  return isFull ? 'overload' : null;
}

/** Whether it can take the request and stays within the load bound with it. */
function mayTake(replica: ReplicaSnapshot, ask: PickAsk, load: number, capacity: number): boolean {
  const isBelowCap = replica.running + replica.waiting < loadCap(load, replica.maxInFlight, capacity);
  return isBelowCap && refusal(replica, ask) === null;
}

function firstSentenceMs(replica: ReplicaSnapshot, readTokens: number): number {
  return (
    (replica.baseMs ?? 0) +
    (replica.prefillMsPerToken ?? 0) * readTokens +
    (replica.decodeMsPerToken ?? 0) * FIRST_SENTENCE_TOKENS
  );
}
