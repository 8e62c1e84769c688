/**
 * Work that is answered later, on the rungs of its tier: the first engine that can take it is asked, once. Until it is
 * asked the next rung may be tried; afterwards nothing is, because the call may have been billed.
 */

import type { Cast } from '../cast/cast.ts';
import { createPromptAssembler } from '../cast/prompt.ts';
import type { ChatMessage } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Job, JobResult } from '../core/job.ts';
import type { Clock } from '../core/runtime.ts';
import type { AttemptRecord } from '../core/turn.ts';
import { planLadder } from '../routing/plan.ts';
import type { Pool } from '../routing/pool.ts';
import type { Replica } from '../routing/replica.ts';
import type { Tiers } from '../routing/tiers.ts';
import type { Spending } from '../spending/spending.ts';
import { attempt } from './attempt.ts';
import { ThinkingFilter } from './thinking.ts';

export interface JobRunParts {
  readonly cast: Cast;
  readonly tiers: Tiers;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly spending: Spending;
  readonly clock: Clock;
  /** Told of each call, however it ended. */
  readonly onEnded: (record: AttemptRecord) => void;
}

/** Nobody listens: an engine may think long before its first word, but not for ever. */
const FIRST_TOKEN_MS = 300_000;
const GAP_MS = 60_000;
/** The runner's own limit ends a job; this only keeps the timer finite. */
const TOTAL_MS = 86_400_000;
const TEXT_LENGTH_MAX = 1_000_000;
/** English runs at about four characters a token; a prompt of a job is counted so, generously. */
const CHARACTERS_PER_TOKEN = 3;

/**
 * Resolves to the whole answer. `begin` is awaited before an engine is asked, and no engine after it. Throws what the
 * engine throws, `not_ready` or `overloaded` when no rung can take it now, `unknown_npc`, and `engine_error` for an answer
 * that is no JSON where a schema was asked for. Aborting stops the engine.
 */
export async function runJob(
  { id, apiKeyId, request }: Job,
  begin: () => Promise<void>,
  parts: JobRunParts,
  signal: AbortSignal,
): Promise<JobResult> {
  const { clock, spending } = parts;
  const plan = planLadder(parts.tiers[request.tier], parts.pools, { mayPay: !spending.isOff });
  const voice = request.npcId === null ? [] : await voiceOf(request.npcId, request.tier, parts, signal);
  const messages: readonly ChatMessage[] = [...voice, ...request.messages];
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
  const promptTokens = Math.ceil(characters / CHARACTERS_PER_TOKEN);
  let isBegun = false;
  let failure: unknown = null;
  for (const { pool } of plan.rungs) {
    const replica = pool.pick({
      prefixKey: request.npcId ?? '',
      adapter: null,
      promptTokens,
      priority: 'ambient',
      deadlineLeftMs: Number.POSITIVE_INFINITY,
      mayPay: !spending.isOff,
    });
    if (typeof replica === 'string') continue;
    const records: AttemptRecord[] = [];
    const events = attempt(
      {
        replica,
        request: {
          requestId: id,
          model: replica.model,
          messages,
          assistantPrefix: '',
          maxTokens: request.maxTokens,
          temperature: request.temperature ?? 0.7,
          stop: [],
          ...(request.responseSchema === null ? {} : { responseSchema: request.responseSchema }),
          priority: 'ambient',
          scene: NOBODY,
        },
        tier: request.tier,
        promptTokens,
        prefixKey: null,
        player: null,
        source: apiKeyId === '' ? 'local' : apiKeyId,
        budget: {
          firstTokenMs: FIRST_TOKEN_MS,
          isFirstTokenOwn: true,
          admitWithinMs: TOTAL_MS,
          gapMs: GAP_MS,
          totalMs: TOTAL_MS,
        },
        deadlineMonoMs: clock.monotonicMs() + TOTAL_MS,
      },
      {
        clock,
        spending,
        onAdmitted: () => {},
        beforeAsking: async () => {
          await begin();
          isBegun = true;
        },
        onEnded: (record) => {
          records.push(record);
          parts.onEnded(record);
        },
      },
      signal,
    );
    try {
      const { text, finishReason } = await wholeText(events);
      if (request.responseSchema !== null) requireJson(text, replica);
      const [record] = records;
      return {
        text,
        finishReason,
        engine: replica.name,
        model: replica.model,
        usage: {
          promptTokens: record?.promptTokens ?? 0,
          cachedTokens: record?.cachedTokens ?? 0,
          completionTokens: record?.completionTokens ?? 0,
          costMicroUsd: record?.costMicroUsd ?? 0,
        },
      };
    } catch (error) {
      if (isBegun || signal.aborted) throw error;
      failure ??= error;
    }
  }
  if (failure !== null) throw failure;
  throw new ServiceError(
    plan.cause === 'overload' ? 'overloaded' : 'not_ready',
    `no engine of tier ${request.tier} can take job ${id} now (${plan.cause ?? 'overload'}); see /readyz`,
  );
}

const NOBODY = {
  npcId: '',
  tier: 4,
  playerId: null,
  trigger: null,
  cause: null,
  mood: null,
  facts: [],
  committed: [],
} as const;

async function wholeText(
  events: ReturnType<typeof attempt>,
): Promise<{ readonly text: string; readonly finishReason: string }> {
  const thinking = new ThinkingFilter();
  let text = '';
  let finishReason = 'stop';
  for await (const event of events) {
    if (event.type === 'finish') finishReason = event.reason;
    if (event.type !== 'text') continue;
    text += thinking.push(event.text);
    if (text.length > TEXT_LENGTH_MAX)
      throw new ServiceError('engine_error', `the answer passed ${TEXT_LENGTH_MAX} characters`);
  }
  return { text: (text + thinking.flush()).trim(), finishReason };
}

function requireJson(text: string, replica: Replica): void {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new ServiceError(
      'engine_error',
      `${replica.name} answered ${text.length} characters that are no JSON, where response_schema asked for it (it can: ${replica.engine.capabilities.structuredOutput})`,
      { cause: error },
    );
  }
}

/** The stable part of the NPC's prompt: who it is, and the world. */
async function voiceOf(
  npcId: string,
  tier: Job['request']['tier'],
  { cast, tiers, pools }: JobRunParts,
  signal: AbortSignal,
): Promise<readonly ChatMessage[]> {
  const persona = cast.npcs.get(npcId);
  if (persona === undefined)
    throw new ServiceError('unknown_npc', `no NPC is called ${JSON.stringify(npcId.slice(0, 80))}`);
  const policy = tiers[tier];
  const [replica] = pools.get(policy.rungs[0] ?? '')?.replicas ?? [];
  const counter = replica?.counter ?? { count: (text: string) => Promise.resolve(text.length) };
  const prompt = await createPromptAssembler().assemble(
    {
      world: cast.setting,
      persona,
      tier,
      context: { timelineId: 'main', facts: [], history: [], allowedActions: [] },
      history: [],
      summary: null,
      playerText: '.',
      trigger: null,
      maxPromptTokens: policy.promptTokens,
      personaTokens: policy.personaTokens,
      npcs: cast.npcs,
    },
    counter,
    signal,
  );
  return prompt.messages.slice(0, prompt.stableMessageCount);
}
