/**
 * One rung of the ladder: a replica of its pool is chosen and speaks, with the adapter of the persona where it is there.
 * One second try after a failure, one second roll after the guard; then the ladder goes down.
 */
import type { AssembledPrompt } from '../cast/prompt.ts';
import type { Cause, Source } from '../core/dialogue.ts';
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { timeBudget } from '../routing/budget.ts';
import { hedgeAfterMs } from '../routing/hedge.ts';
import { LAST_PATIENCE, type PickAsk } from '../routing/pick.ts';
import type { PlannedRung } from '../routing/plan.ts';
import type { Pool } from '../routing/pool.ts';
import type { Replica } from '../routing/replica.ts';
import { type HeldAdapter, holdAdapter, type WantedAdapter, wantAdapter } from './adapter-choice.ts';
import { attempt, causeOfFailure } from './attempt.ts';
import { hedged, type Speaker } from './hedged.ts';
import { causeOfRule } from './reply.ts';
import { type PromptLength, prefixKeyOf } from './script.ts';
import { type SpeechEnd, type SpokenSentence, speak } from './speak.ts';
import type { LadderParts, Walk } from './walk.ts';

/** Below this much time a second try would only be cut off. */
export const SECOND_TRY_MIN_MS = 400;

/**
 * Beside others at its engine, a line that is predicted to take more of its time than this gets a lean prompt: predictions err
 * by about half. Alone it has the engine for itself, and one cold line before it foretells too much.
 */
const LEAN_FROM_SHARE = 0.5;

/** Half of the lines that are given a place late still come in time. */
const PLACE_PERCENTILE = 0.5;

interface Chosen {
  readonly replica: Replica;
  readonly prompt: AssembledPrompt;
  readonly length: PromptLength;
  readonly ask: PickAsk;
  readonly wanted: WantedAdapter | null;
}

/** Null: the reply is whole; else why the next rung has to go on. */
export async function* climb(
  { pool, rung }: PlannedRung,
  rungsBelow: number,
  walk: Walk,
  parts: LadderParts,
  signal: AbortSignal,
): AsyncGenerator<SpokenSentence, Cause | null> {
  const { request, reply, told, leftMs } = walk;
  const failed = new Set<string>();
  let cause: Cause | null = null;
  let length: PromptLength | null = null;
  for (let roll = 0; ; ) {
    let end: SpeechEnd;
    let replica: Replica | null = null;
    let held: HeldAdapter | null = null;
    try {
      const chosen = await choose(pool, failed, rungsBelow, length, walk, parts, signal);
      if (typeof chosen === 'string') return cause ?? chosen;
      replica = chosen.replica;
      // What was read once is asked again word for word.
      length = chosen.length;
      held = holdAdapter(chosen.wanted, replica, parts);
      using _lease = held.lease;
      let source = sourceOf(replica, rung, held, length);
      const onWon = (winner: Replica, winnerHeld: HeldAdapter) =>
        (source = sourceOf(winner, rung, winnerHeld, chosen.length));
      reply.beginAttempt();
      end = yield* speaking(
        speak(ask(pool, chosen, held, rungsBelow, roll, walk, onWon, parts, signal), reply, () => {
          told.ttftMs ??= parts.clock.monotonicMs() - request.receivedMonoMs;
        }),
        () => (told.source = source),
      );
      if (end.kind === 'complete' && reply.committed.length > 0) {
        told.finishReason = end.reason;
        told.source ??= source;
        return null;
      }
    } catch (error) {
      const isFirst: boolean = cause === null;
      cause = causeOfFailure(error);
      parts.log[ServiceError.from(error).code === 'context_length_exceeded' ? 'warn' : 'debug'](
        'attempt.failed',
        {
          requestId: request.id,
          engine: replica?.name ?? pool.name,
          reason: ServiceError.from(error).message,
        },
      );
      if (cause === 'timeout' && told.ttftMs === null) parts.onCold(walk.scene.persona.id);
      if (replica === null || signal.aborted) return cause;
      // It was unloaded behind our back, or the engine was started anew: the base speaks until it is there again.
      const isLost = held?.lease != null && ServiceError.from(error).code === 'unknown_model';
      if (isLost) held?.lease?.lost();
      if (ServiceError.from(error).code === 'engine_unavailable') noteOrigin(replica, error, walk);
      if (!isLost && !isTransient(error)) failed.add(replica.name);
      if (!isFirst || !(isLost || mayTryAgain(error)) || leftMs() < SECOND_TRY_MIN_MS) return cause;
      length = null;
      continue;
    }
    if (end.kind === 'filtered') {
      reply.guardHits.push({ rule: 'content_filter', outcome: 'replaced' });
      return 'safety';
    }
    // Silence is a failure too: everything it said was a stage direction.
    const rule = end.kind === 'blocked' ? end.rule : 'empty';
    if (roll === 0 && leftMs() > SECOND_TRY_MIN_MS) {
      roll = 1;
      reply.guardHits.push({ rule, outcome: 'rerolled' });
      continue;
    }
    if (reply.committed.length > 0 && causeOfRule(rule) === 'repetition') {
      // It has said its piece and begins again: the sentences before stand well alone.
      reply.guardHits.push({ rule, outcome: 'dropped' });
      return null;
    }
    reply.guardHits.push({ rule, outcome: 'replaced' });
    return causeOfRule(rule);
  }
}

/**
 * The prompt, and the replica that takes it now; or why none does. `length`: as it was asked before; null: whole, unless
 * that would take too much of the time.
 */
async function choose(
  pool: Pool,
  failed: ReadonlySet<string>,
  rungsBelow: number,
  length: PromptLength | null,
  walk: Walk,
  parts: LadderParts,
  signal: AbortSignal,
): Promise<Chosen | Cause> {
  const { request, scene, script, deadOrigins } = walk;
  const counting = pool.replicas.find((each) => each.unusable() === null) ?? pool.replicas[0];
  if (counting === undefined) return 'disabled';
  const wanted = await wantAdapter(pool, walk, parts, signal);
  const adapter = wanted?.absence === null ? (wanted.resolved?.engineName ?? null) : null;
  const choice = async (of: PromptLength): Promise<Chosen | Cause> => {
    // Whichever replica takes it, the prompt and its answer fit.
    const limits = { counter: counting.counter, contextTokens: pool.contextTokens };
    const prompt = await script.prompt(limits, of);
    // A persona may have nothing to leave out.
    const isLean = of === 'lean' && prompt.likelyTokens < (await script.prompt(limits)).likelyTokens;
    const ask: PickAsk = {
      prefixKey: prefixKeyOf(scene, adapter),
      adapter,
      promptTokens: prompt.promptTokens,
      likelyTokens: prompt.likelyTokens,
      priority: request.priority,
      deadlineLeftMs: walk.sentenceLeftMs(),
      isLast: rungsBelow === 0,
      exclude: failed,
      excludeOrigins: deadOrigins,
      mayPay: !parts.spending.isOff,
    };
    const replica = pool.pick(ask);
    return typeof replica === 'string'
      ? replica
      : { replica, prompt, length: isLean ? 'lean' : 'full', ask, wanted };
  };
  const chosen = await choice(length ?? 'full');
  return length === null && isPressed(chosen) ? await choice('lean') : chosen;
}

/** Whether fewer words to read may be what brings the first sentence in time. */
function isPressed(chosen: Chosen | Cause): boolean {
  if (typeof chosen === 'string') return chosen === 'overload';
  const expectedMs = expectedSentenceMs(chosen);
  const share = chosen.replica.admission.running === 0 ? 1 : LEAN_FROM_SHARE;
  return expectedMs !== null && expectedMs > share * chosen.ask.deadlineLeftMs;
}

/** Milliseconds until the first sentence, as far as they are known. */
function expectedSentenceMs({ replica, prompt, ask }: Chosen): number | null {
  return replica.pace.predictFirstSentenceMs(
    replica.expectedPrefillTokens(ask.prefixKey, prompt.likelyTokens),
    replica.admission.predictedWaitMs(ask.priority),
  );
}

/** The events of one engine, or of the quicker of two. */
function ask(
  pool: Pool,
  chosen: Chosen,
  held: HeldAdapter,
  rungsBelow: number,
  roll: number,
  walk: Walk,
  onWon: (replica: Replica, held: HeldAdapter) => void,
  parts: LadderParts,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const { replica, prompt, ask, wanted } = chosen;
  const { clock, options, hedges, spending } = parts;
  const { request, scene, reply, told, script } = walk;
  const budgetOf = (chosen: Replica) =>
    timeBudget({
      leftMs: walk.leftMs(),
      rungsBelow,
      isWatched: !chosen.isPaid,
      firstTokenPercentileMs: chosen.pace.firstTokenPercentileMs(options.budgets.percentile),
      settings: options.budgets,
    });
  const saidBefore = reply.committed.length;
  const speak = (chosen: Replica, { lease }: HeldAdapter, within: AbortSignal) =>
    attempt(
      {
        replica: chosen,
        request: script.generateRequest(chosen, prompt, reply, roll, lease?.address ?? null),
        tier: scene.tier,
        promptTokens: prompt.promptTokens,
        likelyTokens: prompt.likelyTokens,
        prefixKey: ask.prefixKey,
        player: request.context.playerId ?? null,
        source: request.source ?? 'local',
        budget: budgetOf(chosen),
        deadlineMonoMs: clock.monotonicMs() + placeLeftMs(chosen, walk),
        patience: rungsBelow === 0 && !chosen.isPaid ? LAST_PATIENCE : 1,
        wantedByMonoMs: clock.monotonicMs() + walk.sentenceLeftMs(),
      },
      {
        clock,
        spending,
        onAdmitted: (waitedMs) => (told.queueMs += waitedMs),
        onFirstText: () => parts.onPrefix(ask.prefixKey, chosen.name),
        hasSaidSentence: () => reply.committed.length > saidBefore,
        onEnded: (record) => {
          told.attempts.push(record);
          reply.addSpent(record);
        },
      },
      within,
    );
  const expectedMs = expectedSentenceMs(chosen);
  if (expectedMs !== null && reply.committed.length === 0) told.onExpected(expectedMs);
  hedges.requested();
  const { firstTokenMs } = budgetOf(replica);
  const afterMs = hedgeAfterMs({ pace: replica.pace, firstTokenMs, settings: options.hedging });
  if (afterMs === null) return speak(replica, held, signal);
  const speaker = (chosen: Replica, chosenHeld: HeldAdapter): Speaker => ({
    speak: (within) => speak(chosen, chosenHeld, within),
    onWon: () => onWon(chosen, chosenHeld),
  });
  const second = () => {
    const other = pool.pick({ ...ask, exclude: new Set([...(ask.exclude ?? []), replica.name]) });
    if (typeof other === 'string') return null;
    const otherHeld = holdAdapter(wanted, other, parts);
    // The quicker of two must be the same voice.
    if ((otherHeld.lease === null) !== (held.lease === null) || !hedges.tryHedge(other)) {
      otherHeld.lease?.[Symbol.dispose]();
      return null;
    }
    const { speak: say, onWon: won } = speaker(other, otherHeld);
    return { speak: (within: AbortSignal) => leased(otherHeld, say(within)), onWon: won };
  };
  return hedged(speaker(replica, held), afterMs, second, clock, signal);
}

/** A place that comes later than this leaves no time for the first sentence, by what is learned of the engine. */
function placeLeftMs({ pace }: Replica, { sentenceLeftMs, reply }: Walk): number {
  const leftMs = sentenceLeftMs();
  if (reply.committed.length > 0) return leftMs;
  return leftMs - Math.min(leftMs, pace.firstTokenPercentileMs(PLACE_PERCENTILE) ?? 0);
}

/** Gives the lease back when the events have ended; they are begun at once. */
async function* leased(
  { lease }: HeldAdapter,
  events: AsyncGenerator<GenerateEvent>,
): AsyncGenerator<GenerateEvent> {
  using _lease = lease;
  yield* events;
}

/** Passes sentences on and tells at the first one, so that the source is known even when the stream breaks later. */
async function* speaking(
  sentences: AsyncGenerator<SpokenSentence, SpeechEnd>,
  onSpoken: () => void,
): AsyncGenerator<SpokenSentence, SpeechEnd> {
  try {
    for (;;) {
      const step = await sentences.next();
      if (step.done) return step.value;
      onSpoken();
      yield step.value;
    }
  } finally {
    await sentences.return({ kind: 'complete', reason: 'stop' });
  }
}

/** Whether another replica of the same model may do better (engines.md §10.6). What is wrong with the request is not. */
function mayTryAgain(error: unknown): boolean {
  const { code } = ServiceError.from(error);
  return (
    code === 'engine_unavailable' || code === 'engine_error' || code === 'overloaded' || code === 'not_ready'
  );
}

function noteOrigin({ origin }: Replica, error: unknown, { deadOrigins, droppedOrigins }: Walk): void {
  if (origin === null) return;
  if (!isTransient(error) || droppedOrigins.has(origin)) deadOrigins.add(origin);
  droppedOrigins.add(origin);
}

/** A connection that was kept too long, or a status that says "once more": the same replica may be asked again. */
function isTransient(error: unknown): boolean {
  const { code, details } = ServiceError.from(error);
  if (code === 'engine_unavailable') return TRANSIENT_REASONS.has(String(details['reason']));
  return code === 'engine_error' && TRANSIENT_STATUS.has(Number(details['status']));
}

const TRANSIENT_REASONS: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);
const TRANSIENT_STATUS: ReadonlySet<number> = new Set([408, 409, 500, 502, 504]);

function sourceOf(
  replica: Replica,
  rung: number,
  { lease, missing }: HeldAdapter,
  length: PromptLength,
): Source {
  return {
    kind: 'engine',
    engine: replica.name,
    model: replica.model,
    modelVersion: replica.modelVersion,
    adapter: lease?.adapter.id ?? null,
    ...(lease === null ? {} : { adapterGeneration: lease.adapter.generation }),
    ...(missing === null ? {} : { adapterMissing: missing }),
    ...(length === 'lean' ? { leanPrompt: true } : {}),
    rung,
  };
}
