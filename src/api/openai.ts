/**
 * The OpenAI-compatible door. A known model is passed through to its engine byte for byte; `npc:<id>` walks the dialogue
 * like a game's request. The lists of models are ours.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import { invariant } from '../lib/invariant.ts';
import type { Door, DoorContext } from './door.ts';
import { sendEvents } from './event-stream.ts';
import { type Asked, askedOf } from './fast-lane.ts';
import { untilHangUp } from './hang-up.ts';
import { ChunkEncoder, completionOf, NPC_PREFIX, npcChatOf } from './npc-chat.ts';
import { type OpenAiBody, type OpenAiRoute, parseOpenAiBody } from './openai-body.ts';
import { passThrough, versionOf } from './pass-through.ts';

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
      async (request, reply) => {
        await complete(context, route, askedOf(request, reply, bytesOf(request.body)));
        return reply;
      },
    );
    context.lane.post(route, 'game', (asked) => complete(context, route, asked));
  }
  listModels(scope, context);
};

/** Writes the reply; throws as long as it has not begun. */
async function complete(context: DoorContext, route: OpenAiRoute, asked: Asked): Promise<void> {
  const body = parseOpenAiBody(asked.body, route);
  if (!body.model.startsWith(NPC_PREFIX)) return await passThrough(context, route, body, asked);
  if (route !== '/v1/chat/completions')
    throw new ServiceError(
      'bad_request',
      `${body.model} is an NPC, which answers on /v1/chat/completions only`,
      {
        details: { field: 'model' },
      },
    );
  return await speak(context, body, asked);
}

function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  throw new ServiceError(
    'malformed_json',
    'the body is missing; expected a JSON object with content type application/json',
  );
}

async function speak(context: DoorContext, body: OpenAiBody, asked: Asked): Promise<void> {
  const { services } = context;
  const { raw } = asked;
  raw.setHeader('x-request-id', asked.id);
  const id = services.random.id('dlg');
  const modelVersion = versionOf(asked);
  const chat = npcChatOf(body, {
    id,
    mayRaiseTier: asked.caller.mayRaiseTier,
    source: asked.caller.key?.id ?? 'local',
    ...(modelVersion === null ? {} : { modelVersion }),
    receivedMonoMs: services.clock.monotonicMs(),
  });
  const head = { id, createdS: Math.floor(services.clock.nowMs() / 1_000), model: body.model };
  using life = untilHangUp(raw);
  const events = services.answer(chat.request, life.signal);
  if (body.stream) {
    const encoder = new ChunkEncoder(head, chat.includeUsage);
    await sendEvents(context, events, encoder, asked, life.signal);
    return;
  }
  let completion: object | undefined;
  for await (const event of events) if (event.type === 'done') completion = completionOf(head, event.outcome);
  invariant(completion !== undefined, 'an answer ended without `done`');
  const text = JSON.stringify(completion);
  asked.begin();
  raw.writeHead(200, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  });
  raw.end(text);
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
