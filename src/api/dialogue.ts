/** The door of the game: POST /v1/dialogue, whole or sentence by sentence (design §4). */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { DialogueEvent } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import { invariant } from '../lib/invariant.ts';
import { encodeSse } from '../lib/sse.ts';
import type { Door, DoorContext } from './door.ts';
import { EventStream } from './event-stream.ts';
import { untilHangUp } from './hang-up.ts';
import { answerOnce, digestOf } from './once.ts';
import { shown } from './problem.ts';
import { type DialogueBody, dialogueSchema, eventDataOf, replyOf, replySchema, requestOf } from './wire.ts';

export const dialogueDoor: Door = (scope, context) => {
  scope.post(
    '/v1/dialogue',
    {
      config: { access: 'game' },
      schema: {
        summary: 'An NPC answers',
        description:
          'One line of dialogue. With `stream: true`, or `Accept: text/event-stream`, as events: accepted · filler? · (token* sentence)* · action? · exactly one done or error. The header `Idempotency-Key` makes a retry within 10 minutes hear the same answer.',
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
  const dialogue = requestOf(body, {
    id: services.random.id('dlg'),
    mayRaiseTier: caller.mayRaiseTier,
    receivedMonoMs: services.clock.monotonicMs(),
  });
  using life = untilHangUp(reply.raw);
  const key = request.headers['idempotency-key'];
  const events =
    typeof key === 'string'
      ? answerOnce(
          services,
          { key, apiKeyId: caller.key?.id ?? '', bodyDigest: digestOf(body) },
          dialogue,
          life.signal,
        )
      : services.answer(dialogue, life.signal);
  if (!body.stream && !/\btext\/event-stream\b/.test(request.headers.accept ?? ''))
    return await whole(events);
  await stream(context, events, reply, life.signal);
  return reply;
}

async function whole(events: AsyncIterable<DialogueEvent>): Promise<unknown> {
  let reply: unknown;
  // To the very end: what follows `done` is the answer's own work, such as keeping the turn.
  for await (const event of events) if (event.type === 'done') reply = replyOf(event.outcome);
  invariant(reply !== undefined, 'an answer ended without `done`');
  return reply;
}

/** A request that is wrong is refused before the first event, with its own status; after it, errors are events. */
async function stream(
  { services, limits }: DoorContext,
  events: AsyncIterable<DialogueEvent>,
  reply: FastifyReply,
  signal: AbortSignal,
): Promise<void> {
  const iterator = events[Symbol.asyncIterator]();
  let next = await iterator.next();
  signal.throwIfAborted();
  reply.hijack();
  using output = new EventStream(reply.raw, { clock: services.clock, heartbeatMs: limits.heartbeatMs });
  try {
    while (!next.done) {
      const event = next.value;
      await output.send(encodeSse({ event: event.type, data: JSON.stringify(eventDataOf(event)) }), signal);
      next = await iterator.next();
      if (event.type === 'done') return;
    }
    throw new ServiceError('internal', 'an answer ended without `done`');
  } catch (error) {
    if (signal.aborted) return;
    const { code, message, retryable } = shown(error, services.log, limits.bodyBytesMax);
    await output
      .send(encodeSse({ event: 'error', data: JSON.stringify({ code, message, retryable }) }), signal)
      .catch(() => {});
  } finally {
    await iterator.return?.();
  }
}
