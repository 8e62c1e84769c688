/**
 * An NPC behind OpenAI's chat API: `model: "npc:<id>"`. The last user message is what the player says, the earlier ones
 * are the history, and system messages are left out, because who the NPC is and what it may say are ours to decide.
 */
import { z } from 'zod';
import type { DialogueEvent, DialogueOutcome, DialogueRequest } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import { encodeSse } from '../lib/sse.ts';
import type { EventEncoder } from './event-stream.ts';
import type { OpenAiBody } from './openai-body.ts';
import { wrong } from './openai-body.ts';
import { openAiErrorOf } from './problem.ts';
import { validator } from './validate.ts';
import type { Arrival } from './wire.ts';

export const NPC_PREFIX = 'npc:';

const PROMPT_LENGTH_MAX = 2_000;
const TOKENS_MAX = 512;
const HISTORY_MAX = 200;

const textPart = z.object({ type: z.literal('text'), text: z.string() });
const chatSchema = z.object({
  messages: z
    .array(
      z.object({
        role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
        content: z.union([z.string(), z.array(textPart), z.null()]).optional(),
      }),
    )
    .max(1_000),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  n: z.literal(1, 'Expected 1: an NPC gives one answer').nullish(),
  user: z.string().min(1).max(200).nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
});

const validateChat = validator(chatSchema);

export interface NpcChat {
  readonly request: DialogueRequest;
  readonly includeUsage: boolean;
}

/** The dialogue that a chat asks for. Throws `bad_request` with the field. */
export function npcChatOf(body: OpenAiBody, arrival: Arrival): NpcChat {
  const result = validateChat(body.fields);
  if ('error' in result) throw result.error;
  const fields = result.value as z.output<typeof chatSchema>;
  const spoken = fields.messages
    .filter(({ role }) => role === 'user' || role === 'assistant')
    .map(({ role, content }) => ({
      speaker: role === 'user' ? ('player' as const) : ('npc' as const),
      text: textOf(content),
    }));
  const last = spoken.findLastIndex(({ speaker }) => speaker === 'player');
  const prompt = spoken[last]?.text ?? '';
  if (prompt === '' || prompt.length > PROMPT_LENGTH_MAX)
    throw wrong(
      'messages',
      `a last user message of ${prompt.length} characters`,
      `expected 1..${PROMPT_LENGTH_MAX}`,
    );
  const request: DialogueRequest = {
    ...arrival,
    npcId: body.model.slice(NPC_PREFIX.length),
    prompt,
    context: {
      ...(fields.user == null ? {} : { playerId: fields.user }),
      timelineId: 'main',
      facts: [],
      history: spoken
        .slice(0, last)
        .filter(({ text }) => text !== '')
        .slice(-HISTORY_MAX),
      allowedActions: [],
    },
    units: 'sentence',
    maxTokens: Math.min(fields.max_completion_tokens ?? fields.max_tokens ?? TOKENS_MAX, TOKENS_MAX),
    temperature: fields.temperature ?? null,
    priority: 'interactive',
  };
  return { request, includeUsage: fields.stream_options?.include_usage === true };
}

function textOf(content: z.output<typeof chatSchema>['messages'][number]['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map(({ text }) => text).join('\n');
}

interface Head {
  readonly id: string;
  readonly createdS: number;
  readonly model: string;
}

/** The answer as one `chat.completion`. */
export function completionOf(head: Head, outcome: DialogueOutcome): object {
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.createdS,
    model: head.model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: outcome.sentences.join(' '), refusal: null },
        logprobs: null,
        finish_reason: finishOf(outcome),
      },
    ],
    usage: usageOf(outcome),
  };
}

/** Chunks as OpenAI sends them: the role, a piece per sentence, the end, the usage if asked for, `[DONE]`. */
export class ChunkEncoder implements EventEncoder {
  readonly #head: Head;
  readonly #includeUsage: boolean;
  #hasSpoken = false;

  constructor(head: Head, includeUsage: boolean) {
    this.#head = head;
    this.#includeUsage = includeUsage;
  }

  /** A filler is not part of the answer, so it is nothing here. */
  event(event: DialogueEvent): string {
    if (event.type === 'accepted') return this.#chunk({ role: 'assistant', content: '' }, null);
    if (event.type === 'sentence') {
      const content = this.#hasSpoken ? ` ${event.text}` : event.text;
      this.#hasSpoken = true;
      return this.#chunk({ content }, null);
    }
    if (event.type !== 'done') return '';
    const end = this.#chunk({}, finishOf(event.outcome));
    const usage = this.#includeUsage ? this.#frame({ choices: [], usage: usageOf(event.outcome) }) : '';
    return end + usage + encodeSse({ data: '[DONE]' });
  }

  error(error: ServiceError): string {
    return encodeSse({ data: JSON.stringify(openAiErrorOf(error)) });
  }

  #chunk(delta: object, finishReason: string | null): string {
    return this.#frame({ choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }] });
  }

  #frame(rest: object): string {
    const { id, createdS, model } = this.#head;
    const data = { id, object: 'chat.completion.chunk', created: createdS, model, ...rest };
    return encodeSse({ data: JSON.stringify(data) });
  }
}

function finishOf({ finishReason }: DialogueOutcome): 'stop' | 'length' {
  if (finishReason === 'interrupted') throw new ServiceError('client_closed', 'the answer was interrupted');
  return finishReason === 'length' ? 'length' : 'stop';
}

function usageOf({ usage }: DialogueOutcome): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
  };
}
