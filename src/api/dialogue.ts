/** The door of the game: POST /v1/dialogue, whole or sentence by sentence (design §4). */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { parseAdapterReference } from '../core/adapter.ts';
import type { DialogueEvent } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import { invariant } from '../lib/invariant.ts';
import { encodeSse } from '../lib/sse.ts';
import type { Caller, Door, DoorContext } from './door.ts';
import { type EventEncoder, sendEvents } from './event-stream.ts';
import { untilHangUp } from './hang-up.ts';
import { answerOnce, digestOf } from './once.ts';
import { versionOf } from './short-work.ts';
import { type DialogueBody, dialogueSchema, eventDataOf, replyOf, replySchema, requestOf } from './wire.ts';

export const dialogueDoor: Door = (scope, context) => {
  scope.post(
    '/v1/dialogue',
    {
      config: { access: 'game' },
      schema: {
        summary: 'An NPC answers',
        description:
          'One line of dialogue. With `stream: true`, or `Accept: text/event-stream`, as events: accepted · filler? · (token* sentence)* · action? · exactly one done or error. The header `Idempotency-Key` makes a retry within 10 minutes hear the same answer; `x-model-version` picks the version of the models that may answer.',
        tags: ['dialogue'],
        body: dialogueSchema,
        response: { 200: replySchema },
      },
    },
    (request, reply) => answer(context, request, reply),
  );
};

async function answer(context: DoorContext, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const { services } = context;
  const body = request.body as DialogueBody;
  const { caller } = request;
  requireAdapterRight(body, caller);
  const modelVersion = versionOf(request);
  const dialogue = requestOf(body, {
    id: services.random.id('dlg'),
    mayRaiseTier: caller.mayRaiseTier,
    source: caller.key?.id ?? 'local',
    ...(modelVersion === undefined ? {} : { modelVersion }),
    receivedMonoMs: services.clock.monotonicMs(),
  });
  using life = untilHangUp(reply.raw);
  const key = request.headers['idempotency-key'];
  const events =
    typeof key === 'string'
      ? answerOnce(
          services,
          { key, apiKeyId: caller.key?.id ?? '', bodyDigest: digestOf(body, modelVersion) },
          dialogue,
          life.signal,
        )
      : services.answer(dialogue, life.signal);
  if (!body.stream && !/\btext\/event-stream\b/.test(request.headers.accept ?? ''))
    return await whole(events);
  const taken = { raw: reply.raw, begin: () => void reply.hijack() };
  await sendEvents(context, events, NAMED_EVENTS, taken, life.signal);
  return reply;
}

/** A game must not depend on which version speaks: tags and swaps are the operator's. */
function requireAdapterRight({ adapter }: DialogueBody, { key }: Caller): void {
  if (adapter === undefined) return;
  if (key !== null && !key.scopes.includes('operator'))
    throw new ServiceError(
      'forbidden',
      `the key "${key.label}" may not name an adapter; leave \`adapter\` out, or use a key with the scope operator`,
    );
  if (adapter !== null) parseAdapterReference(adapter);
}

async function whole(events: AsyncIterable<DialogueEvent>): Promise<unknown> {
  let reply: unknown;
  // To the very end: what follows `done` is the answer's own work, such as keeping the turn.
  for await (const event of events) if (event.type === 'done') reply = replyOf(event.outcome);
  invariant(reply !== undefined, 'an answer ended without `done`');
  return reply;
}

const NAMED_EVENTS: EventEncoder = {
  event: (event) => encodeSse({ event: event.type, data: JSON.stringify(eventDataOf(event)) }),
  error: ({ code, message, retryable }) =>
    encodeSse({ event: 'error', data: JSON.stringify({ code, message, retryable }) }),
};
