/**
 * The dialogue on the wire (design §4): what a game may send, and what it hears. The only file that knows the
 * snake_case names; inside everything is `core/dialogue.ts`.
 */
import { z } from 'zod';
import { ADAPTER_ABSENCES } from '../core/adapter.ts';
import {
  type Action,
  CAUSES,
  type DialogueEvent,
  type DialogueOutcome,
  type DialogueRequest,
  type GameFact,
  TIERS,
  TRIGGERS,
  UNSPOKEN_REASONS,
  type Unspoken,
} from '../core/dialogue.ts';

const PROMPT_LENGTH_MAX = 2_000;
const TOKENS_MAX = 512;
/** A name of 64, `@`, a version of 32. */
const ADAPTER_LENGTH_MAX = 97;
/** Players who may hear one line besides the one who speaks. */
const LISTENERS_MAX = 64;
/** No chatter between NPCs is as deep; a number above it is a mistake of the game. */
const EVENT_DEPTH_MAX = 100;
const name = (what: string) => z.string().min(1).max(200).describe(what);
const factValue = z.union([z.string().max(2_000), z.number(), z.boolean()]);
const factKey = z.string().min(1).max(200);

const factsSchema = z
  .union([
    z
      .array(
        z.strictObject({
          key: factKey,
          value: factValue,
          text: z.string().max(2_000).optional().describe('How the NPC would say it.'),
        }),
      )
      .max(200),
    z.record(factKey, factValue),
  ])
  .describe('What the game asserts to be true now: [{key, value, text?}], or a plain map from key to value.');

const contextSchema = z.strictObject({
  player_id: name('Who speaks; lines this player heard lately are not repeated.').optional(),
  listeners: z
    .array(z.string().min(1).max(200))
    .max(LISTENERS_MAX)
    .default([])
    .describe(
      'Players in hearing range besides `player_id`: the one line that is made is chosen for all of them and counts as heard by each.',
    ),
  location: name('Where they stand.').optional(),
  mood: name("The NPC's mood.").optional(),
  game_time: name('The time in the game, as the game writes it.').optional(),
  timeline_id: name('The saved game this belongs to; a loaded save is a new timeline.').default('main'),
  facts: factsSchema.default([]),
  history: z
    .array(z.strictObject({ speaker: z.enum(['player', 'npc']), text: z.string().max(4_000) }))
    .max(200)
    .default([])
    .describe('What was said before, oldest first. Not needed with conversation_id.'),
  allowed_actions: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(64),
        description: z.string().max(500).optional(),
        params: z.record(z.string(), z.unknown()).optional().describe('JSON schema of the parameters.'),
        ttl_ms: z.int().min(1).max(600_000).optional(),
      }),
    )
    .max(32)
    .default([])
    .describe('What the NPC may ask the game to do.'),
});

const eventSchema = z
  .strictObject({
    id: z
      .string()
      .min(1)
      .max(128)
      .describe('Of the thing that happened; equal for all NPCs that could remark on it.'),
    area: z
      .string()
      .min(1)
      .max(128)
      .describe('Where it is heard: a room, a square of the map. Unique among what one API key serves.'),
    depth: z
      .int()
      .min(0)
      .max(EVENT_DEPTH_MAX)
      .default(0)
      .describe('0: of the game itself; n: the answer to what an NPC said at depth n - 1.'),
  })
  .describe(
    'What the line remarks on, beside a `trigger`: of equal events one NPC speaks, the others get `unspoken`.',
  );

export const dialogueSchema = z
  .strictObject({
    npc_id: name('Who is spoken to; see GET /v1/npcs.'),
    prompt: z
      .string()
      .max(PROMPT_LENGTH_MAX)
      .describe(
        "The player's words, 1..2,000 characters; the empty string asks for a bark and needs `trigger`.",
      ),
    tier: z
      .literal(TIERS)
      .optional()
      .describe("Default: the NPC's own. May only lower the cost unless the key allows raising."),
    context: contextSchema.default(() => contextSchema.parse({})),
    conversation_id: name('Keeps memory across turns.').optional(),
    stream: z.boolean().default(false).describe('Server-sent events; so does `Accept: text/event-stream`.'),
    units: z.enum(['sentence', 'token']).default('sentence').describe('What a stream carries.'),
    max_tokens: z.int().min(1).max(TOKENS_MAX).default(TOKENS_MAX),
    temperature: z.number().min(0).max(2).optional().describe("Default: the persona's, else the tier's."),
    deadline_ms: z
      .int()
      .min(1)
      .max(120_000)
      .optional()
      .describe('Milliseconds for the whole answer. Default: by tier.'),
    priority: z.enum(['interactive', 'ambient']).default('interactive'),
    pacing: z
      .enum(['none', 'natural'])
      .default('none')
      .describe(
        'How the sentences of a cached line follow one another: at once, or each when the one before would have been spoken.',
      ),
    trigger: z.enum(TRIGGERS).optional().describe('What happened, for a bark.'),
    event: eventSchema.optional(),
    adapter: z
      .string()
      .min(1)
      .max(ADAPTER_LENGTH_MAX)
      .nullable()
      .optional()
      .describe(
        "Instead of the persona's adapter: `lich@8`, `lich@canary`, `lich`; null: the base model. For operators.",
      ),
  })
  .refine((body) => body.prompt !== '' || body.trigger !== undefined, {
    path: ['prompt'],
    message: 'Expected 1..2,000 characters, or a `trigger` beside it to ask for a bark',
  })
  .refine((body) => body.event === undefined || body.trigger !== undefined, {
    path: ['event'],
    message: 'Expected a `trigger` beside it: an event is what a bark or a remark is about',
  });

export type DialogueBody = z.output<typeof dialogueSchema>;

const actionSchema = z.object({
  name: z.string(),
  params: z.record(z.string(), z.unknown()),
  ttl_ms: z.number(),
});

const milliseconds = z.number().describe('Milliseconds from the moment the request was whole, measured.');

export const replySchema = z.object({
  id: z.string(),
  npc_id: z.string(),
  text: z.string(),
  sentences: z.array(z.string()),
  action: actionSchema.optional(),
  finish_reason: z.enum(['stop', 'length', 'deadline', 'interrupted', 'written', 'unspoken']),
  unspoken: z
    .object({
      reason: z.enum(UNSPOKEN_REASONS).describe('Why this NPC says nothing to the event.'),
      voice: z
        .object({ npc_id: z.string(), id: z.string().describe('Of the dialogue in which it speaks.') })
        .nullable()
        .describe('Who speaks instead; null: nobody.'),
    })
    .optional()
    .describe('Present when the line carried an `event` and is not spoken; `sentences` is empty then.'),
  tier: z.literal(TIERS),
  source: z.object({
    kind: z
      .enum(['engine', 'cache', 'written', 'none'])
      .describe('`none`: nothing was said, see `unspoken`.'),
    engine: z.string(),
    model: z.string().nullable(),
    model_version: z.string().nullable(),
    adapter: z.string().nullable().describe('The adapter that spoke, `lich@8`; null: the base model.'),
    adapter_generation: z.int().optional().describe("Of the adapter's tag; rises with every swap."),
    adapter_missing: z
      .object({ adapter: z.string(), reason: z.enum(ADAPTER_ABSENCES) })
      .optional()
      .describe('The adapter that was asked for and did not speak, and why.'),
    lean_prompt: z
      .literal(true)
      .optional()
      .describe(
        'The first sentence would have come late, so the prompt went without the examples nearest to the words.',
      ),
    rung: z.int().describe("0 is the first rung of the tier's ladder."),
    cause: z.enum(CAUSES).optional().describe('Why the line came from lower down.'),
  }),
  usage: z.object({
    prompt_tokens: z.int(),
    cached_tokens: z.int(),
    completion_tokens: z.int(),
    cost_usd: z.number(),
  }),
  timing: z.object({
    queue_ms: milliseconds,
    ttft_ms: milliseconds.nullable(),
    ttfs_ms: milliseconds.nullable(),
    total_ms: milliseconds,
  }),
  conversation: z
    .object({ id: z.string(), timeline_id: z.string(), turn: z.int(), stored: z.boolean() })
    .optional(),
});

export type DialogueReply = z.output<typeof replySchema>;

/** What the door adds to the body. */
export interface Arrival {
  readonly id: string;
  readonly mayRaiseTier: boolean;
  /** Whose it is, for fairness: the id of the API key, or `local`. */
  readonly source: string;
  /** Of the header x-model-version. */
  readonly modelVersion?: string;
  readonly receivedMonoMs: number;
}

/** The body as the walk reads it. */
export function requestOf(body: DialogueBody, arrival: Arrival): DialogueRequest {
  const { context } = body;
  return {
    ...arrival,
    npcId: body.npc_id,
    prompt: body.prompt,
    ...(body.tier === undefined ? {} : { tier: body.tier }),
    context: {
      ...(context.player_id === undefined ? {} : { playerId: context.player_id }),
      ...(context.listeners.length === 0 ? {} : { listeners: context.listeners }),
      ...(context.location === undefined ? {} : { location: context.location }),
      ...(context.mood === undefined ? {} : { mood: context.mood }),
      ...(context.game_time === undefined ? {} : { gameTime: context.game_time }),
      timelineId: context.timeline_id,
      facts: factsOf(context.facts),
      history: context.history,
      allowedActions: context.allowed_actions.map((action) => ({
        name: action.name,
        ...(action.description === undefined ? {} : { description: action.description }),
        ...(action.params === undefined ? {} : { params: action.params }),
        ...(action.ttl_ms === undefined ? {} : { ttlMs: action.ttl_ms }),
      })),
    },
    ...(body.conversation_id === undefined ? {} : { conversationId: body.conversation_id }),
    units: body.units,
    maxTokens: body.max_tokens,
    temperature: body.temperature ?? null,
    ...(body.deadline_ms === undefined ? {} : { deadlineMs: body.deadline_ms }),
    priority: body.priority,
    ...(body.pacing === 'none' ? {} : { pacing: body.pacing }),
    ...(body.trigger === undefined ? {} : { trigger: body.trigger }),
    ...(body.event === undefined ? {} : { event: body.event }),
    ...(body.adapter === undefined ? {} : { adapter: body.adapter }),
  };
}

function factsOf(facts: z.output<typeof factsSchema>): GameFact[] {
  if (!Array.isArray(facts)) return Object.entries(facts).map(([key, value]) => ({ key, value }));
  return facts.map(({ key, value, text }) => (text === undefined ? { key, value } : { key, value, text }));
}

/** The whole reply, as a call that does not stream gets it. */
export function replyOf(outcome: DialogueOutcome): DialogueReply {
  const { id, npc_id, ...rest } = doneOf(outcome);
  return { id, npc_id, text: outcome.sentences.join(' '), ...rest };
}

/** The `done` event: the reply less its text. */
function doneOf(outcome: DialogueOutcome): Omit<DialogueReply, 'text'> {
  const { source, usage, timing, action, conversation, unspoken } = outcome;
  return {
    id: outcome.id,
    npc_id: outcome.npcId,
    sentences: [...outcome.sentences],
    ...(action === undefined ? {} : { action: actionOf(action) }),
    finish_reason: outcome.finishReason,
    ...(unspoken === undefined ? {} : { unspoken: unspokenOf(unspoken) }),
    tier: outcome.tier,
    source: {
      kind: source.kind,
      engine: source.engine,
      model: source.model,
      model_version: source.modelVersion,
      adapter: source.adapter,
      ...(source.adapterGeneration === undefined ? {} : { adapter_generation: source.adapterGeneration }),
      ...(source.adapterMissing === undefined ? {} : { adapter_missing: { ...source.adapterMissing } }),
      ...(source.leanPrompt === undefined ? {} : { lean_prompt: source.leanPrompt }),
      rung: source.rung,
      ...(source.cause === undefined ? {} : { cause: source.cause }),
    },
    usage: {
      prompt_tokens: usage.promptTokens,
      cached_tokens: usage.cachedTokens,
      completion_tokens: usage.completionTokens,
      cost_usd: usage.costMicroUsd / 1_000_000,
    },
    timing: {
      queue_ms: timing.queueMs,
      ttft_ms: timing.ttftMs,
      ttfs_ms: timing.ttfsMs,
      total_ms: timing.totalMs,
    },
    ...(conversation === undefined
      ? {}
      : {
          conversation: {
            id: conversation.id,
            timeline_id: conversation.timelineId,
            turn: conversation.turn,
            stored: conversation.stored,
          },
        }),
  };
}

/** The data of one event; its name on the wire is the event's type. */
export function eventDataOf(event: DialogueEvent): Readonly<Record<string, unknown>> {
  switch (event.type) {
    case 'accepted':
      return { id: event.id, npc_id: event.npcId, tier: event.tier };
    case 'filler':
      return { line_id: event.lineId, text: event.text };
    case 'token':
      return { index: event.index, text: event.text };
    case 'sentence':
      return {
        index: event.index,
        text: event.text,
        est_ms: event.estMs,
        source: event.source,
        ...(event.lineId === undefined ? {} : { line_id: event.lineId }),
      };
    case 'action':
      return actionOf(event.action);
    case 'done':
      return doneOf(event.outcome);
  }
}

function unspokenOf({ reason, voice }: Unspoken): NonNullable<DialogueReply['unspoken']> {
  return { reason, voice: voice === null ? null : { npc_id: voice.npcId, id: voice.id } };
}

function actionOf(action: Action): z.output<typeof actionSchema> {
  return { name: action.name, params: { ...action.params }, ttl_ms: action.ttlMs };
}
