/**
 * The OpenAI-compatible door. A known model is passed through to its engine byte for byte; `npc:<id>` walks the dialogue
 * like a game's request. The lists of models are ours.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { DialogueEvent } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import { invariant } from '../lib/invariant.ts';
import { encodeSse } from '../lib/sse.ts';
import type { Door, DoorContext } from './door.ts';
import { EventStream } from './event-stream.ts';
import { untilHangUp } from './hang-up.ts';
import { ChunkWriter, completionOf, NPC_PREFIX, npcChatOf } from './npc-chat.ts';
import { type OpenAiBody, type OpenAiRoute, parseOpenAiBody } from './openai-body.ts';
import { passThrough } from './pass-through.ts';
import { openAiErrorOf, shown } from './problem.ts';

const model = z.string().describe('A model of GET /v1/models, or npc:<id> for an NPC (chat only).');
/** For the document only; the engine checks what is its own. */
const SCHEMAS: Readonly<Record<OpenAiRoute, { readonly summary: string; readonly body: z.ZodType }>> = {
  '/v1/chat/completions': {
    summary: 'Chat with a model, or with an NPC',
    body: z.looseObject({
      model,
      messages: z.array(z.looseObject({ role: z.string(), content: z.unknown() })),
      stream: z.boolean().optional(),
    }),
  },
  '/v1/completions': {
    summary: 'A model goes on from a text',
    body: z.looseObject({ model, prompt: z.unknown(), stream: z.boolean().optional() }),
  },
  '/v1/embeddings': {
    summary: 'Texts as vectors',
    body: z.looseObject({ model, input: z.unknown() }),
  },
};

export const openAiDoor: Door = (scope, context) => {
  // The bytes are kept: what is passed through is what came.
  scope.removeContentTypeParser('application/json');
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) =>
    done(null, bytes),
  );
  for (const route of Object.keys(SCHEMAS) as OpenAiRoute[]) {
    scope.post(
      route,
      {
        config: { access: 'game' },
        schema: { ...SCHEMAS[route], tags: ['openai'] },
        validatorCompiler: () => (value: unknown) => ({ value }),
      },
      (request, reply) => complete(context, route, request, reply),
    );
  }
  listModels(scope, context);
};

async function complete(
  context: DoorContext,
  route: OpenAiRoute,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const body = parseOpenAiBody(bytesOf(request.body), route);
  if (!body.model.startsWith(NPC_PREFIX)) {
    await passThrough(context, route, body, reply);
    return reply;
  }
  if (route !== '/v1/chat/completions')
    throw new ServiceError(
      'bad_request',
      `${body.model} is an NPC, which answers on /v1/chat/completions only`,
      {
        details: { field: 'model' },
      },
    );
  return await speak(context, body, request, reply);
}

function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  throw new ServiceError(
    'malformed_json',
    'the body is missing; expected a JSON object with content type application/json',
  );
}

async function speak(
  context: DoorContext,
  body: OpenAiBody,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { services } = context;
  const id = services.random.id('dlg');
  const chat = npcChatOf(body, {
    id,
    mayRaiseTier: request.caller.mayRaiseTier,
    receivedMonoMs: services.clock.monotonicMs(),
  });
  const head = { id, createdS: Math.floor(services.clock.nowMs() / 1_000), model: body.model };
  using life = untilHangUp(reply.raw);
  const events = services.answer(chat.request, life.signal);
  if (body.stream) {
    await streamChunks(context, events, new ChunkWriter(head, chat.includeUsage), reply, life.signal);
    return reply;
  }
  let completion: object | undefined;
  for await (const event of events) if (event.type === 'done') completion = completionOf(head, event.outcome);
  invariant(completion !== undefined, 'an answer ended without `done`');
  return completion;
}

async function streamChunks(
  { services, limits }: DoorContext,
  events: AsyncIterable<DialogueEvent>,
  writer: ChunkWriter,
  reply: FastifyReply,
  signal: AbortSignal,
): Promise<void> {
  const iterator = events[Symbol.asyncIterator]();
  let next = await iterator.next();
  signal.throwIfAborted();
  reply.hijack();
  using output = new EventStream(reply.raw, { clock: services.clock, heartbeatMs: limits.heartbeatMs });
  try {
    let isDone = false;
    for (; !next.done; next = await iterator.next()) {
      for (const chunk of writer.chunksOf(next.value))
        await output.send(encodeSse({ data: JSON.stringify(chunk) }), signal);
      isDone ||= next.value.type === 'done';
      if (next.value.type === 'done') await output.send(encodeSse({ data: '[DONE]' }), signal);
    }
    invariant(isDone, 'an answer ended without `done`');
  } catch (error) {
    if (signal.aborted) return;
    const told = openAiErrorOf(shown(error, services.log, limits.bodyBytesMax));
    await output.send(encodeSse({ data: JSON.stringify(told) }), signal).catch(() => {});
  } finally {
    await iterator.return?.();
  }
}

function listModels(scope: FastifyInstance, { services }: DoorContext): void {
  const createdS = Math.floor(services.clock.nowMs() / 1_000);
  const list = () => [
    ...services.models.map(({ id, ownedBy, maxModelTokens }) => ({
      id,
      object: 'model',
      created: createdS,
      owned_by: ownedBy,
      ...(maxModelTokens === null ? {} : { max_model_len: maxModelTokens }),
    })),
    ...services.npcs.map(({ npcId }) => ({
      id: `${NPC_PREFIX}${npcId}`,
      object: 'model',
      created: createdS,
      owned_by: 'greenroom',
    })),
  ];
  scope.get(
    '/v1/models',
    { config: { access: 'game' }, schema: { summary: 'Models, and NPCs as models', tags: ['openai'] } },
    () => ({ object: 'list', data: list() }),
  );
  scope.get<{ Params: { id: string } }>(
    '/v1/models/:id',
    { config: { access: 'game' }, schema: { summary: 'One model', tags: ['openai'] } },
    (request) => {
      const { id } = request.params;
      const found = list().find((each) => each.id === id);
      if (found === undefined)
        throw new ServiceError(
          'unknown_model',
          `no model has the name "${id.slice(0, 100)}"; see GET /v1/models`,
          {
            details: { field: 'model' },
          },
        );
      return found;
    },
  );
}
