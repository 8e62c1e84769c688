/**
 * The rungs of one dialogue, from the first engine down to the written lines. Falls back at any sentence boundary: what
 * was committed is the assistant prefix of the next attempt. A stopped sentence is rolled again once, then replaced.
 */

import type { Cast } from '../cast/cast.ts';
import type { ConversationMemory } from '../cast/memory.ts';
import type { AssembledPrompt, PromptAssembler } from '../cast/prompt.ts';
import type { Cause, DialogueRequest, FinishReason, HistoryTurn, Source } from '../core/dialogue.ts';
import type { Engine, GenerateRequest, TokenCounter } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import { type EngineEntry, type Plan, type PlannedAttempt, planAttempts } from '../routing/plan.ts';
import { attempt, causeOfFailure } from './attempt.ts';
import { causeOfRule, type Reply } from './reply.ts';
import type { Scene } from './scene.ts';
import { type SpeechEnd, type SpokenSentence, speak } from './speak.ts';

export interface LadderParts {
  readonly cast: Cast;
  readonly engines: ReadonlyMap<string, EngineEntry>;
  readonly written: Engine;
  readonly counter: TokenCounter;
  readonly assembler: PromptAssembler;
  readonly memory: ConversationMemory;
  readonly clock: Clock;
  readonly log: Logger;
  /** Tokens of prompt and answer together that the smallest engine takes. */
  readonly contextTokens: number;
  readonly defaultTemperature: number;
}

/** What the walk learns while the ladder speaks. */
export interface Told {
  queueMs: number;
  ttftMs: number | null;
  source: Source | null;
  finishReason: FinishReason;
  /** The number that this turn will have in its conversation; null until the memory was asked. */
  nextTurn: number | null;
  readonly attempts: { engine: string; result: string; durationMs: number }[];
}

/** Engines stop this long before the deadline, so that a written line still leaves in time. */
const WRITTEN_RESERVE_MS = 12;
/** Below this much time a second roll would only be cut off. */
const REROLL_MIN_MS = 400;
/** English runs at about 1.4 tokens a word; the rest is for marks and a sentence that is dropped. */
const TOKENS_PER_WORD = 1.6;
const TOKENS_SPARE = 16;

export class Ladder {
  readonly #parts: LadderParts;

  constructor(parts: LadderParts) {
    this.#parts = parts;
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
    const { clock } = this.#parts;
    const deadlineMonoMs = request.receivedMonoMs + scene.deadlineMs;
    const leftMs = () => deadlineMonoMs - WRITTEN_RESERVE_MS - clock.monotonicMs();
    const plan = planAttempts(scene.policy, this.#parts.engines);
    // A bark is what the written pools are made for: no player waits for a model to shout "Over there!".
    const isBark = scene.playerText === '';
    let cause: Cause | null = isBark ? null : plan.cause;
    if (!isBark && leftMs() <= 0) cause = 'timeout';
    else if (!isBark && plan.attempts.length > 0) {
      using link = linkSignals(signal);
      using _deadline = clock.timer(leftMs(), () =>
        link.abort(new ServiceError('deadline_exceeded', `no whole answer within ${scene.deadlineMs} ms`)),
      );
      try {
        const prompt = await this.#prompt(request, scene, told, link.signal);
        for (const planned of plan.attempts) {
          const fellBecause: Cause | null = cause;
          cause = yield* this.#climb(planned, prompt, request, scene, reply, told, leftMs, link.signal);
          // A lower rung that answers still says why the one above did not.
          if (cause === null && fellBecause !== null && told.source !== null)
            told.source = { ...told.source, cause: fellBecause };
          if (cause === null || link.signal.aborted) break;
        }
      } catch (error) {
        cause = causeOfFailure(error);
        this.#parts.log.debug('ladder.prompt-failed', {
          requestId: request.id,
          reason: ServiceError.from(error).message,
        });
      }
    }
    if (signal.aborted) throw signal.reason;
    if (cause === null && reply.committed.length > 0) return;
    if (cause === 'timeout' && reply.committed.length > 0) {
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

  /** One rung, with one second roll. Null: the reply is whole; else why the next rung must speak. */
  async *#climb(
    { entry, rung }: PlannedAttempt,
    prompt: AssembledPrompt,
    request: DialogueRequest,
    scene: Scene,
    reply: Reply,
    told: Told,
    leftMs: () => number,
    signal: AbortSignal,
  ): AsyncGenerator<SpokenSentence, Cause | null> {
    const { clock } = this.#parts;
    for (let roll = 0; ; roll++) {
      const startedMonoMs = clock.monotonicMs();
      const note = (result: string) =>
        told.attempts.push({
          engine: entry.engine.name,
          result,
          durationMs: Math.round(clock.monotonicMs() - startedMonoMs),
        });
      const events = attempt(
        entry,
        this.#generateRequest(entry, prompt, request, scene, reply, roll),
        { clock, onAdmitted: (waitedMs) => (told.queueMs += waitedMs) },
        signal,
      );
      let end: SpeechEnd;
      try {
        end = yield* speaking(
          speak(events, reply, () => (told.ttftMs ??= clock.monotonicMs() - request.receivedMonoMs)),
          () => (told.source = sourceOf(entry, rung)),
        );
      } catch (error) {
        const cause = causeOfFailure(error);
        note(cause);
        this.#parts.log.debug('attempt.failed', {
          requestId: request.id,
          engine: entry.engine.name,
          reason: ServiceError.from(error).message,
        });
        return cause;
      } finally {
        reply.settleAttempt();
      }
      if (end.kind === 'complete') {
        // Silence is a failure too: everything it said was a stage direction.
        const said = reply.committed.length > 0;
        note(said ? end.reason : 'empty');
        if (said) {
          told.finishReason = end.reason;
          told.source ??= sourceOf(entry, rung);
          return null;
        }
      } else {
        note(`blocked:${end.rule}`);
      }
      const rule = end.kind === 'blocked' ? end.rule : 'empty';
      if (roll === 0 && leftMs() > REROLL_MIN_MS) {
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

  async #prompt(
    request: DialogueRequest,
    scene: Scene,
    told: Told,
    signal: AbortSignal,
  ): Promise<AssembledPrompt> {
    const { assembler, cast, counter, contextTokens } = this.#parts;
    let history: readonly HistoryTurn[] = scene.context.history;
    let summary: string | null = null;
    if (request.conversationId !== undefined) {
      try {
        const window = await this.#parts.memory.recall(
          {
            conversationId: request.conversationId,
            timelineId: scene.context.timelineId,
            gameTime: scene.context.gameTime ?? null,
          },
          scene.persona.memory,
          signal,
        );
        told.nextTurn = window.nextTurn;
        summary = window.summary;
        if (window.history.length > 0) history = window.history;
      } catch (error) {
        if (signal.aborted) throw error;
        this.#parts.log.warn('memory.unread', {
          requestId: request.id,
          reason: ServiceError.from(error).message,
        });
      }
    }
    return assembler.assemble(
      {
        world: cast.setting,
        persona: scene.persona,
        tier: scene.tier,
        context: scene.context,
        history,
        summary,
        playerText: scene.playerText,
        trigger: request.trigger ?? null,
        maxPromptTokens: Math.min(scene.policy.promptTokens, contextTokens - answerTokens(request, scene)),
        personaTokens: scene.policy.personaTokens,
        npcs: cast.npcs,
      },
      counter,
      signal,
    );
  }

  #generateRequest(
    entry: EngineEntry,
    prompt: AssembledPrompt,
    request: DialogueRequest,
    scene: Scene,
    reply: Reply,
    roll: number,
  ): GenerateRequest {
    const { temperature, top_p, min_p, repetition_penalty } = scene.persona.model.sampling ?? {};
    const base = request.temperature ?? temperature ?? this.#parts.defaultTemperature;
    return {
      requestId: request.id,
      model: entry.model,
      messages: prompt.messages,
      assistantPrefix: reply.assistantPrefix,
      maxTokens: answerTokens(request, scene),
      // A second roll looks further afield, or it would say the same again.
      temperature: roll === 0 ? base : Math.min(2, base + 0.3),
      ...(top_p === undefined ? {} : { topP: top_p }),
      ...(min_p === undefined ? {} : { minP: min_p }),
      ...(repetition_penalty === undefined ? {} : { repetitionPenalty: repetition_penalty }),
      stop: ['\n'],
      priority: request.priority,
      scene: scene.spoken(null, reply.committed),
    };
  }

  /** The end of the ladder: it cannot fail, and takes well under a millisecond. */
  async *#written(
    request: DialogueRequest,
    scene: Scene,
    reply: Reply,
    told: Told,
    plan: Plan,
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
    if (cause !== null) told.attempts.push({ engine: written.name, result: cause, durationMs: 0 });
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

function sourceOf(entry: EngineEntry, rung: number): Source {
  return {
    kind: 'engine',
    engine: entry.engine.name,
    model: entry.model,
    modelVersion: entry.modelVersion,
    adapter: null,
    rung,
  };
}

function answerTokens(request: DialogueRequest, scene: Scene): number {
  return Math.min(request.maxTokens, Math.ceil(scene.reply.limits.maxWords * TOKENS_PER_WORD) + TOKENS_SPARE);
}
