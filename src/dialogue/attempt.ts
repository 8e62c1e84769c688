/**
 * One call of one engine: take a place, hold the money, stream within the time limits, give everything back. It never
 * repeats a request; what became of it is told once, at the end, to routing, to the ledger and to the walk.
 */
import type { Cause, Tier } from '../core/dialogue.ts';
import type { EngineUsage, GenerateEvent, GenerateRequest } from '../core/engine.ts';
import { type ErrorCode, ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { AttemptRecord } from '../core/turn.ts';
import { linkSignals } from '../lib/abort.ts';
import type { Place } from '../routing/admission.ts';
import type { TimeBudget } from '../routing/budget.ts';
import { type AttemptOutcome, outcomeOf } from '../routing/outcome.ts';
import type { Replica } from '../routing/replica.ts';
import type { Hold, Spending } from '../spending/spending.ts';
import { TimeLimits } from './time-limits.ts';

export interface AttemptAsk {
  readonly replica: Replica;
  readonly request: GenerateRequest;
  readonly tier: Tier;
  /** Not above this. */
  readonly promptTokens: number;
  /** Probably so many; left out: `promptTokens`. */
  readonly likelyTokens?: number;
  /** What shares a stable prefix with it; null: nothing that is known. */
  readonly prefixKey: string | null;
  readonly player: string | null;
  readonly source: string;
  readonly budget: TimeBudget;
  /** After it a place is of no use. */
  readonly deadlineMonoMs: number;
  /** As in `AdmissionAsk`. */
  readonly wantedByMonoMs?: number;
  readonly patience?: number;
}

export interface AttemptParts {
  readonly clock: Clock;
  readonly spending: Spending;
  readonly onAdmitted: (waitedMs: number) => void;
  /** Called at the first token: the prompt was read. */
  readonly onFirstText?: () => void;
  /** Whether a sentence of this attempt is out; left out: none before its end. */
  readonly hasSaidSentence?: () => boolean;
  /** Awaited with place and money in hand, right before the engine is asked; when it rejects, the engine is not. */
  readonly beforeAsking?: () => Promise<void>;
  /** Called once, when the place was given back and the money is settled; `result` is this call's own view. */
  readonly onEnded: (record: AttemptRecord) => void;
}

/** Why an attempt was ended from our side when another was quicker. */
export const HEDGED = new ServiceError('client_closed', 'another engine was quicker');

/**
 * Streams from the engine once admission gave a place. Leaving the loop or aborting stops the engine, frees the place and
 * settles the money. Throws what engine, admission and spending throw, and `deadline_exceeded` with details `phase`.
 */
export async function* attempt(
  ask: AttemptAsk,
  parts: AttemptParts,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const { replica, request } = ask;
  const { clock } = parts;
  const startedMonoMs = clock.monotonicMs();
  const told: Spent = { usage: null, pieces: 0, waitedMs: 0, firstTextMs: null, isSent: false };
  // Places are no part of an engine's pace.
  const workedMs = () => clock.monotonicMs() - startedMonoMs - told.waitedMs;
  const hasSaid = () => parts.hasSaidSentence?.() === true;
  let hold: Hold | null = null;
  let result = 'left';
  // What leaving the loop means: nothing, until words came, which prove the engine.
  let outcome: AttemptOutcome | null = null;
  let place: Place | null = null;
  let running: ReturnType<Replica['started']> = null;
  using link = linkSignals(signal);
  using limits = new TimeLimits(ask.budget, clock, (error) => link.abort(error));
  try {
    place = await replica.admission.acquire(
      {
        priority: request.priority,
        player: ask.player,
        source: ask.source,
        promptTokens: ask.promptTokens,
        expectedPrefillTokens:
          ask.prefixKey === null
            ? likelyTokensOf(ask)
            : replica.expectedPrefillTokens(ask.prefixKey, likelyTokensOf(ask)),
        maxTokens: request.maxTokens,
        deadlineMonoMs: Math.min(ask.deadlineMonoMs, startedMonoMs + ask.budget.admitWithinMs),
        ...(ask.wantedByMonoMs === undefined ? {} : { wantedByMonoMs: ask.wantedByMonoMs }),
        ...(ask.patience === undefined ? {} : { patience: ask.patience }),
      },
      link.signal,
    );
    told.waitedMs = place.waitedMs;
    limits.admitted();
    parts.onAdmitted(place.waitedMs);
    if (replica.isPaid)
      hold = await parts.spending.hold({ ...ask, ...request, model: replica.model }, link.signal);
    using _off = hold === null ? null : onAbort(hold.signal, () => link.abort(hold?.signal.reason));
    link.signal.throwIfAborted();
    running = replica.started();
    if (running === null) throw new ServiceError('not_ready', `${replica.name} was taken out a moment ago`);
    await parts.beforeAsking?.();
    link.signal.throwIfAborted();
    told.isSent = true;
    for await (const event of limits.watch(replica.engine.generate(request, link.signal))) {
      running.token();
      if (event.type === 'usage') told.usage = event.usage;
      else if (event.type === 'finish') {
        told.usage = event.usage;
        result = event.reason;
      } else {
        told.pieces += 1;
        if (told.firstTextMs === null) parts.onFirstText?.();
        told.firstTextMs ??= workedMs();
      }
      yield event;
      if (hasSaid()) place.spoke();
    }
    outcome = served(told, workedMs(), ask);
  } catch (error) {
    if (ServiceError.from(error).code === 'deadline_exceeded' && !hasSaid()) place?.late();
    if (told.usage === null && told.pieces === 0 && isTurnedAway(error)) told.isSent = false;
    outcome = signal.aborted ? { kind: 'left' } : outcomeOf(error);
    if (error === HEDGED) result = 'hedged';
    else if (ServiceError.from(error).code !== 'client_closed') result = causeOf(error);
    throw error;
  } finally {
    // What was whole before it was heard as a sentence was in time, too.
    if (hasSaid() || result === 'stop' || result === 'length') place?.spoke();
    place?.[Symbol.dispose]();
    const durationMs = clock.monotonicMs() - startedMonoMs;
    const isProven = told.firstTextMs !== null && !signal.aborted;
    running?.ended(outcome ?? (isProven ? served(told, workedMs(), ask) : { kind: 'left' }));
    if (ask.prefixKey !== null && told.usage?.source === 'reported')
      replica.prefixes.learn(ask.prefixKey, told.usage.cachedTokens);
    const usage = told.isSent ? spentOf(told, ask) : null;
    const costMicroUsd = hold !== null ? hold.settle(usage) : freeCost(usage, replica, parts);
    parts.onEnded({
      engine: replica.name,
      model: replica.model,
      result,
      durationMs: Math.round(durationMs),
      promptTokens: usage?.promptTokens ?? 0,
      cachedTokens: usage?.cachedTokens ?? 0,
      completionTokens: usage?.completionTokens ?? 0,
      costMicroUsd,
      source: usage?.source ?? 'reported',
    });
  }
}

/** Why the ladder goes down a rung after this failure. A hang-up is nobody's failure and is thrown on. */
export function causeOfFailure(error: unknown): Cause {
  if (ServiceError.from(error).code === 'client_closed') throw error;
  return causeOf(error);
}

function causeOf(error: unknown): Cause {
  switch (ServiceError.from(error).code) {
    case 'deadline_exceeded':
      return 'timeout';
    case 'overloaded':
    case 'draining':
      return 'overload';
    case 'not_ready':
      return 'offline';
    case 'budget_exceeded':
      return 'budget';
    case 'spending_off':
      return 'disabled';
    default:
      return 'backend_error';
  }
}

interface Spent {
  usage: EngineUsage | null;
  pieces: number;
  waitedMs: number;
  firstTextMs: number | null;
  /** Whether the engine may bill it. */
  isSent: boolean;
}

function likelyTokensOf({ promptTokens, likelyTokens }: AttemptAsk): number {
  return likelyTokens ?? promptTokens;
}

function served(told: Spent, totalMs: number, ask: AttemptAsk): AttemptOutcome {
  // A line that was left early may report nothing: then the cache held what it usually holds.
  const { usage } = told;
  const promptTokens = likelyTokensOf(ask);
  const cachedRatio = ask.replica.pace.snapshot().cachedRatio ?? 0;
  return {
    kind: 'served',
    firstTokenMs: told.firstTextMs ?? totalMs,
    totalMs,
    promptTokens: usage?.promptTokens ?? promptTokens,
    cachedTokens: usage?.cachedTokens ?? promptTokens * cachedRatio,
    completionTokens: usage?.completionTokens ?? told.pieces,
  };
}

/** Whether the engine was never reached, or refused the request unread: nobody bills that, and no cap is used up by it. */
function isTurnedAway(error: unknown): boolean {
  const { code, details } = ServiceError.from(error);
  if (code === 'engine_unavailable') return NEVER_CONNECTED.has(String(details['reason']));
  return TURNED_AWAY.has(code);
}

const TURNED_AWAY: ReadonlySet<ErrorCode> = new Set([
  'overloaded',
  'engine_account',
  'unknown_model',
  'bad_request',
  'context_length_exceeded',
  'not_ready',
]);
const NEVER_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** A stream that was cut reports nothing (engines.md §13.3): the bound of its prompt, so that caps hold, a token for each piece. */
function spentOf(told: Spent, ask: AttemptAsk): EngineUsage {
  const { usage, pieces } = told;
  if (usage === null)
    return { promptTokens: ask.promptTokens, cachedTokens: 0, completionTokens: pieces, source: 'estimated' };
  // One absurd figure would use up the money of a day, so nothing is believed that cannot have been.
  const promptMax = promptBytes(ask.request) + PROMPT_SPARE_TOKENS;
  const completionMax = COMPLETION_SLACK * Math.max(ask.request.maxTokens, pieces) + COMPLETION_SPARE_TOKENS;
  if (usage.promptTokens <= promptMax && usage.completionTokens <= completionMax) return usage;
  const promptTokens = Math.min(usage.promptTokens, promptMax);
  return {
    promptTokens,
    cachedTokens: Math.min(usage.cachedTokens, promptTokens),
    completionTokens: Math.min(usage.completionTokens, completionMax),
    source: 'estimated',
  };
}

/** A token is at least a byte, but for those that a chat template adds: a few a message, a system text of its own. */
function promptBytes({ messages, assistantPrefix }: GenerateRequest): number {
  return messages.reduce(
    (sum, { content }) => sum + Buffer.byteLength(content) + PROMPT_SPARE_TOKENS,
    Buffer.byteLength(assistantPrefix),
  );
}

const PROMPT_SPARE_TOKENS = 64;
/** Engines hold `maxTokens`; some do not count what was thought in it. */
const COMPLETION_SLACK = 4;
const COMPLETION_SPARE_TOKENS = 64;

/** An engine that is not held against a cap may have a price all the same: what a rented GPU is said to cost. */
function freeCost(usage: EngineUsage | null, replica: Replica, parts: AttemptParts): number {
  if (usage === null) return 0;
  return parts.spending.prices.costMicroUsd(replica.model, usage, parts.clock.nowMs());
}

function onAbort(signal: AbortSignal, listener: () => void): Disposable {
  if (signal.aborted) listener();
  else signal.addEventListener('abort', listener, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', listener) };
}
