/**
 * The rungs of one dialogue, from the first engine down to the written lines. Falls back at any sentence boundary: what
 * was committed is the assistant prefix of the next attempt. This is the one layer that retries, and it does so once.
 */
import type { Cause, DialogueRequest, Source } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import { linkSignals } from '../lib/abort.ts';
import { type LadderPlan, planLadder } from '../routing/plan.ts';
import type { Pool } from '../routing/pool.ts';
import type { Remembered } from './remembered.ts';
import type { Reply } from './reply.ts';
import { climb, SECOND_TRY_MIN_MS } from './rung.ts';
import type { Scene } from './scene.ts';
import { type SpokenSentence, speak } from './speak.ts';
import type { LadderParts, Told, Walk } from './walk.ts';

/** Engines stop this long before the deadline, so that a written line still leaves in time. */
const WRITTEN_RESERVE_MS = 12;
/** No engine says a word sooner: asking one would only cost it. */
const FIRST_TOKEN_MIN_MS = 5;

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
    remembered: Remembered,
    signal: AbortSignal,
  ): AsyncGenerator<SpokenSentence, void> {
    const { clock, spending } = this.#parts;
    const deadlineMonoMs = request.receivedMonoMs + scene.deadlineMs - WRITTEN_RESERVE_MS;
    const leftMs = () => deadlineMonoMs - clock.monotonicMs();
    const sentenceMonoMs = request.receivedMonoMs + scene.firstSentenceMs - WRITTEN_RESERVE_MS;
    const sentenceLeftMs = () =>
      (reply.committed.length === 0 ? sentenceMonoMs : deadlineMonoMs) - clock.monotonicMs();
    const plan = planLadder(scene.policy, this.poolsOf(request, scene), { mayPay: !spending.isOff });
    // A bark is what the written pools are made for: no player waits for a model to shout "Over there!".
    const isBark = scene.playerText === '';
    // What was left out below the rung that answers is not why it answers.
    const isFirst = plan.rungs[0]?.rung === 0;
    let cause: Cause | null = isBark || isFirst ? null : plan.cause;
    let isLate = false;
    if (!isBark && sentenceLeftMs() < FIRST_TOKEN_MIN_MS) cause = 'timeout';
    else if (!isBark && plan.rungs.length > 0) {
      using link = linkSignals(signal);
      using _deadline = clock.timer(leftMs(), () =>
        link.abort(
          new ServiceError('deadline_exceeded', `no whole answer within ${scene.deadlineMs} ms`, {
            details: { phase: 'total' },
          }),
        ),
      );
      using _sentence =
        scene.firstSentenceMs === scene.deadlineMs
          ? null
          : clock.timer(sentenceLeftMs(), () => {
              isLate = reply.committed.length === 0;
              if (isLate)
                link.abort(
                  new ServiceError('deadline_exceeded', `no sentence within ${scene.firstSentenceMs} ms`, {
                    details: { phase: 'sentence' },
                  }),
                );
            });
      const script = this.#parts.prompts.script(request, scene, remembered, link.signal);
      const walk: Walk = {
        request,
        scene,
        reply,
        told,
        script,
        leftMs,
        sentenceLeftMs,
        deadOrigins: new Set(),
        droppedOrigins: new Set(),
        hasWaited: false,
      };
      for (const [index, planned] of plan.rungs.entries()) {
        const fellBecause: Cause | null = cause;
        // The rung above was the attempt at this host, and its cause stands.
        if (fellBecause !== null && isDead(planned.pool, walk.deadOrigins)) continue;
        cause = yield* climb(planned, plan.rungs.length - 1 - index, walk, this.#parts, link.signal);
        // A lower rung that answers still says why the one above did not.
        if (cause === null && fellBecause !== null && told.source !== null)
          told.source = { ...told.source, cause: fellBecause };
        if (cause === null || link.signal.aborted) break;
      }
    }
    if (signal.aborted) throw signal.reason;
    if (cause === null && reply.committed.length > 0) return;
    // The sentence that an engine had begun when its time was up may have been whole: it stands alone.
    if (cause === 'timeout' && reply.committed.length > 0 && (isLate || leftMs() < SECOND_TRY_MIN_MS)) {
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

/** Whether every replica stands at a host that did not answer in this dialogue. */
function isDead(pool: Pool, deadOrigins: ReadonlySet<string>): boolean {
  return pool.replicas.every(({ origin }) => origin !== null && deadOrigins.has(origin));
}
