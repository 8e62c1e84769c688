/**
 * The rungs of one dialogue, from the first engine down to the written lines. Falls back at any sentence boundary: what
 * was committed is the assistant prefix of the next attempt. This is the one layer that retries, and it does so once.
 */
import type { AssembledPrompt } from '../cast/prompt.ts';
import type { Cause, DialogueRequest, FinishReason, Source } from '../core/dialogue.ts';
import type { Engine, GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import type { AttemptRecord } from '../core/turn.ts';
import { linkSignals } from '../lib/abort.ts';
import { timeBudget } from '../routing/budget.ts';
import { type HedgeAllowance, hedgeAfterMs } from '../routing/hedge.ts';
import type { BudgetOptions, HedgingOptions } from '../routing/options.ts';
import type { PickAsk } from '../routing/pick.ts';
import { type LadderPlan, type PlannedRung, planLadder } from '../routing/plan.ts';
import type { Pool } from '../routing/pool.ts';
import type { Replica } from '../routing/replica.ts';
import type { ModelVersions } from '../routing/versions.ts';
import type { Spending } from '../spending/spending.ts';
import { attempt, causeOfFailure } from './attempt.ts';
import { hedged, type Speaker } from './hedged.ts';
import { causeOfRule, type Reply } from './reply.ts';
import type { Scene } from './scene.ts';
import { type Prompts, prefixKeyOf, type Script } from './script.ts';
import { type SpeechEnd, type SpokenSentence, speak } from './speak.ts';

export interface LadderParts {
  readonly pools: ReadonlyMap<string, Pool>;
  readonly versions: ModelVersions;
  readonly written: Engine;
  readonly prompts: Prompts;
  readonly spending: Spending;
  readonly hedges: HedgeAllowance;
  readonly options: { readonly budgets: BudgetOptions; readonly hedging: HedgingOptions };
  readonly clock: Clock;
  readonly log: Logger;
}

/** What the walk learns while the ladder speaks. */
export interface Told {
  queueMs: number;
  ttftMs: number | null;
  source: Source | null;
  finishReason: FinishReason;
  /** The number that this turn will have in its conversation; null until the memory was asked. */
  nextTurn: number | null;
  readonly attempts: AttemptRecord[];
  /** Called with the milliseconds until the first sentence, whenever a new engine is about to be asked. */
  readonly onExpected: (firstSentenceMs: number) => void;
}

/** Engines stop this long before the deadline, so that a written line still leaves in time. */
const WRITTEN_RESERVE_MS = 12;
/** Below this much time a second try would only be cut off. */
const SECOND_TRY_MIN_MS = 400;

/** One dialogue on its way down. */
interface Walk {
  readonly request: DialogueRequest;
  readonly scene: Scene;
  readonly reply: Reply;
  readonly told: Told;
  readonly script: Script;
  readonly deadlineMonoMs: number;
  readonly leftMs: () => number;
  /** Hosts that did not answer: a lower rung at the same host is not tried. */
  readonly deadOrigins: Set<string>;
  /** Hosts that dropped one connection, which may be one that was kept too long; a second one is no accident. */
  readonly droppedOrigins: Set<string>;
}

interface Chosen {
  readonly replica: Replica;
  readonly prompt: AssembledPrompt;
  readonly ask: PickAsk;
}

export class Ladder {
  readonly #parts: LadderParts;

  constructor(parts: LadderParts) {
    this.#parts = parts;
  }

  /**
   * The pools that the rungs of this request mean. Throws `unknown_model`, with what exists, when the request names a
   * version that no rung of its tier has.
   */
  poolsOf(request: DialogueRequest, scene: Scene): ReadonlyMap<string, Pool> {
    const { pools, versions } = this.#parts;
    const { modelVersion } = request;
    if (modelVersion === undefined) return pools;
    const chosen = new Map(pools);
    let refusal: unknown = null;
    let isFound = false;
    for (const rung of scene.policy.rungs) {
      const pool = pools.get(rung);
      if (pool === undefined) continue;
      try {
        chosen.set(rung, versions.resolve(pool.model ?? pool.name, modelVersion));
        isFound = true;
      } catch (error) {
        // The rungs below keep their own model: a version of one must not take the ladder away.
        refusal ??= error;
      }
    }
    if (!isFound && refusal !== null) throw refusal;
    return chosen;
  }

  /**
   * Yields committed sentences until the reply is whole, and fills `told`. Throws only when the client hung up; any other
   * failure ends in a written line before `scene.deadlineMs` has passed since the request came.
   */
  async *tell(
    request: DialogueRequest,
    scene: Scene,
    reply: Reply,
    told: Told,
    signal: AbortSignal,
  ): AsyncGenerator<SpokenSentence, void> {
    const { clock, spending } = this.#parts;
    const deadlineMonoMs = request.receivedMonoMs + scene.deadlineMs - WRITTEN_RESERVE_MS;
    const leftMs = () => deadlineMonoMs - clock.monotonicMs();
    const plan = planLadder(scene.policy, this.poolsOf(request, scene), { mayPay: !spending.isOff });
    // A bark is what the written pools are made for: no player waits for a model to shout "Over there!".
    const isBark = scene.playerText === '';
    // What was left out below the rung that answers is not why it answers.
    const isFirst = plan.rungs[0]?.rung === 0;
    let cause: Cause | null = isBark || isFirst ? null : plan.cause;
    if (!isBark && leftMs() <= 0) cause = 'timeout';
    else if (!isBark && plan.rungs.length > 0) {
      using link = linkSignals(signal);
      using _deadline = clock.timer(leftMs(), () =>
        link.abort(
          new ServiceError('deadline_exceeded', `no whole answer within ${scene.deadlineMs} ms`, {
            details: { phase: 'total' },
          }),
        ),
      );
      const onTurn = (nextTurn: number) => (told.nextTurn = nextTurn);
      const script = this.#parts.prompts.script(request, scene, onTurn, link.signal);
      const walk: Walk = {
        request,
        scene,
        reply,
        told,
        script,
        deadlineMonoMs,
        leftMs,
        deadOrigins: new Set(),
        droppedOrigins: new Set(),
      };
      for (const [index, planned] of plan.rungs.entries()) {
        const fellBecause: Cause | null = cause;
        // The rung above was the attempt at this host, and its cause stands.
        if (fellBecause !== null && isDead(planned.pool, walk.deadOrigins)) continue;
        cause = yield* this.#climb(planned, plan.rungs.length - 1 - index, walk, link.signal);
        // A lower rung that answers still says why the one above did not.
        if (cause === null && fellBecause !== null && told.source !== null)
          told.source = { ...told.source, cause: fellBecause };
        if (cause === null || link.signal.aborted) break;
      }
    }
    if (signal.aborted) throw signal.reason;
    if (cause === null && reply.committed.length > 0) return;
    if (cause === 'timeout' && reply.committed.length > 0 && leftMs() < SECOND_TRY_MIN_MS) {
      told.finishReason = 'deadline';
      told.source = { ...(told.source as Source), cause };
      return;
    }
    yield* this.#written(
      request,
      scene,
      reply,
      told,
      plan,
      isBark ? null : (cause ?? 'backend_error'),
      signal,
    );
  }

  /** One rung: one second try after a failure, one second roll after the guard. Null: the reply is whole. */
  async *#climb(
    { pool, rung }: PlannedRung,
    rungsBelow: number,
    walk: Walk,
    signal: AbortSignal,
  ): AsyncGenerator<SpokenSentence, Cause | null> {
    const { request, reply, told, leftMs } = walk;
    const failed = new Set<string>();
    let cause: Cause | null = null;
    for (let roll = 0; ; ) {
      let end: SpeechEnd;
      let replica: Replica | null = null;
      try {
        const chosen = await this.#choose(pool, failed, rungsBelow, walk);
        if (typeof chosen === 'string') return cause ?? chosen;
        replica = chosen.replica;
        let source = sourceOf(replica, rung);
        const onWon = (winner: Replica) => (source = sourceOf(winner, rung));
        reply.beginAttempt();
        end = yield* speaking(
          speak(this.#ask(pool, chosen, rungsBelow, roll, walk, onWon, signal), reply, () => {
            told.ttftMs ??= this.#parts.clock.monotonicMs() - request.receivedMonoMs;
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
        this.#parts.log[ServiceError.from(error).code === 'context_length_exceeded' ? 'warn' : 'debug'](
          'attempt.failed',
          {
            requestId: request.id,
            engine: replica?.name ?? pool.name,
            reason: ServiceError.from(error).message,
          },
        );
        if (replica === null || signal.aborted) return cause;
        if (ServiceError.from(error).code === 'engine_unavailable') noteOrigin(replica, error, walk);
        if (!isTransient(error)) failed.add(replica.name);
        if (!isFirst || !mayTryAgain(error) || leftMs() < SECOND_TRY_MIN_MS) return cause;
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

  /** The prompt, and the replica that takes it now; or why none does. */
  async #choose(
    pool: Pool,
    failed: ReadonlySet<string>,
    rungsBelow: number,
    walk: Walk,
  ): Promise<Chosen | Cause> {
    const { request, scene, script, deadOrigins } = walk;
    const counting = pool.replicas.find((each) => each.unusable() === null) ?? pool.replicas[0];
    if (counting === undefined) return 'disabled';
    // Whichever replica takes it, the prompt and its answer fit.
    const prompt = await script.prompt({ counter: counting.counter, contextTokens: pool.contextTokens });
    const ask: PickAsk = {
      prefixKey: prefixKeyOf(scene),
      adapter: null,
      promptTokens: prompt.promptTokens,
      priority: request.priority,
      deadlineLeftMs: walk.leftMs(),
      isLast: rungsBelow === 0,
      exclude: failed,
      excludeOrigins: deadOrigins,
      mayPay: !this.#parts.spending.isOff,
    };
    const replica = pool.pick(ask);
    return typeof replica === 'string' ? replica : { replica, prompt, ask };
  }

  /** The events of one engine, or of the quicker of two. */
  #ask(
    pool: Pool,
    { replica, prompt, ask }: Chosen,
    rungsBelow: number,
    roll: number,
    walk: Walk,
    onWon: (replica: Replica) => void,
    signal: AbortSignal,
  ): AsyncGenerator<GenerateEvent> {
    const { clock, options, hedges, spending } = this.#parts;
    const { request, scene, reply, told, script } = walk;
    const budgetOf = (chosen: Replica) =>
      timeBudget({
        leftMs: walk.leftMs(),
        rungsBelow,
        isWatched: !chosen.isPaid,
        firstTokenPercentileMs: chosen.pace.firstTokenPercentileMs(options.budgets.percentile),
        settings: options.budgets,
      });
    const speak = (chosen: Replica, within: AbortSignal) =>
      attempt(
        {
          replica: chosen,
          request: script.generateRequest(chosen, prompt, reply, roll),
          tier: scene.tier,
          promptTokens: prompt.promptTokens,
          player: request.context.playerId ?? null,
          source: request.source ?? 'local',
          budget: budgetOf(chosen),
          deadlineMonoMs: walk.deadlineMonoMs,
        },
        {
          clock,
          spending,
          onAdmitted: (waitedMs) => (told.queueMs += waitedMs),
          onEnded: (record) => {
            told.attempts.push(record);
            reply.addSpent(record);
          },
        },
        within,
      );
    const expectedMs = replica.pace.predictFirstSentenceMs(
      prompt.promptTokens * (1 - (replica.pace.snapshot().cachedRatio ?? 0)),
      replica.admission.predictedWaitMs(request.priority),
    );
    if (expectedMs !== null && reply.committed.length === 0) told.onExpected(expectedMs);
    hedges.requested();
    const { firstTokenMs } = budgetOf(replica);
    const afterMs = hedgeAfterMs({ pace: replica.pace, firstTokenMs, settings: options.hedging });
    if (afterMs === null) return speak(replica, signal);
    const speaker = (chosen: Replica): Speaker => ({
      speak: (within) => speak(chosen, within),
      onWon: () => onWon(chosen),
    });
    const second = () => {
      const other = pool.pick({ ...ask, exclude: new Set([...(ask.exclude ?? []), replica.name]) });
      return typeof other === 'string' || !hedges.tryHedge(other) ? null : speaker(other);
    };
    return hedged(speaker(replica), afterMs, second, clock, signal);
  }

  /** The end of the ladder: it cannot fail, and takes well under a millisecond. */
  async *#written(
    request: DialogueRequest,
    scene: Scene,
    reply: Reply,
    told: Told,
    plan: LadderPlan,
    cause: Cause | null,
    signal: AbortSignal,
  ): AsyncGenerator<SpokenSentence, void> {
    const { written } = this.#parts;
    told.source = {
      kind: 'written',
      engine: written.name,
      model: null,
      modelVersion: null,
      adapter: null,
      rung: plan.writtenRung,
      ...(cause === null ? {} : { cause }),
    };
    told.finishReason = 'written';
    const events = written.generate(
      {
        requestId: request.id,
        model: '',
        messages: [],
        assistantPrefix: reply.assistantPrefix,
        maxTokens: request.maxTokens,
        temperature: 0,
        stop: [],
        priority: request.priority,
        scene: scene.spoken(cause, reply.committed),
      },
      signal,
    );
    yield* speak(events, reply, () => {});
  }
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

/** Whether every replica stands at a host that did not answer in this dialogue. */
function isDead(pool: Pool, deadOrigins: ReadonlySet<string>): boolean {
  return pool.replicas.every(({ origin }) => origin !== null && deadOrigins.has(origin));
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

function sourceOf(replica: Replica, rung: number): Source {
  return {
    kind: 'engine',
    engine: replica.name,
    model: replica.model,
    modelVersion: replica.modelVersion,
    adapter: null,
    rung,
  };
}
