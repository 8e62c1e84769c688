/**
 * The door for work that is answered later: quests, stories, world events. Accepted with 202 once it is kept; then polled,
 * followed as events, or told to a webhook. A job is seen by the API key that sent it, and by operators.
 */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { TIERS } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { Job, JobRequest, Jobs } from '../core/job.ts';
import { jobBody } from '../core/job-wire.ts';
import { encodeSse } from '../lib/sse.ts';
import type { Door, DoorContext } from './door.ts';
import { EventStream } from './event-stream.ts';
import { untilHangUp } from './hang-up.ts';
import { shown } from './problem.ts';

const TEXT_LENGTH_MAX = 100_000;
const ONCE_KEY_LENGTH_MAX = 255;

const message = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string().min(1).max(TEXT_LENGTH_MAX),
});

const jobSchema = z
  .strictObject({
    npc_id: z.string().min(1).max(200).optional().describe('Whose voice it is to have.'),
    prompt: z
      .string()
      .min(1)
      .max(TEXT_LENGTH_MAX)
      .optional()
      .describe('What is asked for; instead of messages.'),
    messages: z.array(message).min(1).max(200).optional().describe('A whole chat; instead of prompt.'),
    tier: z.literal(TIERS).default(4).describe('Which ladder of engines works on it.'),
    max_tokens: z.int().min(1).max(32_768).default(1_024),
    temperature: z.number().min(0).max(2).optional(),
    response_schema: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('JSON schema that the whole answer follows, where the engine can.'),
    webhook: z
      .strictObject({ url: z.url().max(2_000).describe('Its host is to be in jobs.webhookHosts.') })
      .optional()
      .describe('Where the end is told, signed as Standard Webhooks says.'),
  })
  .refine(({ prompt, messages }) => (prompt === undefined) !== (messages === undefined), {
    error: 'expected either prompt or messages',
    path: ['prompt'],
  });

const jobReplySchema = z.looseObject({
  id: z.string(),
  status: z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']),
});

const idSchema = z.strictObject({ id: z.string().min(1).max(200) });

export const jobsDoor: Door = (scope, context) => {
  const tags = ['jobs'];
  const config = { access: 'game' } as const;
  scope.post(
    '/v1/jobs',
    {
      config,
      schema: {
        summary: 'Work that is answered later',
        description:
          'Accepted once it is kept: it survives restarts and crashes, and an engine is called for it at most once. The header `Idempotency-Key` makes a retry find the same job.',
        tags,
        body: jobSchema,
        response: { 202: jobReplySchema },
      },
    },
    async (request, reply) => {
      const body = request.body as z.infer<typeof jobSchema>;
      requireNpc(context, body.npc_id);
      const job = await jobsOf(context).submit(
        {
          apiKeyId: request.caller.key?.id ?? '',
          request: requestOf(body),
          webhookUrl: body.webhook?.url ?? null,
        },
        onceKeyOf(request),
      );
      return reply.code(202).header('location', `/v1/jobs/${job.id}`).send(jobBody(job));
    },
  );
  const one = { config, schema: { tags, params: idSchema, response: { 200: jobReplySchema } } };
  scope.get(
    '/v1/jobs/:id',
    { ...one, schema: { ...one.schema, summary: 'A job as it stands' } },
    async (request) => jobBody(await jobsOf(context).get(idOf(request), viewerOf(request))),
  );
  scope.delete(
    '/v1/jobs/:id',
    { ...one, schema: { ...one.schema, summary: 'Cancel a job' } },
    async (request) => jobBody(await jobsOf(context).cancel(idOf(request), viewerOf(request))),
  );
  scope.get(
    '/v1/jobs/:id/events',
    {
      config,
      schema: {
        summary: 'Follow a job',
        description:
          'Events: `status` now and at each change, then exactly one `done` with the whole job, or `error`.',
        tags,
        params: idSchema,
      },
    },
    async (request, reply) => {
      using life = untilHangUp(reply.raw);
      const jobs = jobsOf(context)
        .watch(idOf(request), viewerOf(request), life.signal)
        [Symbol.asyncIterator]();
      const first = await jobs.next();
      reply.hijack();
      const { services, limits } = context;
      using output = new EventStream(reply.raw, { clock: services.clock, heartbeatMs: limits.heartbeatMs });
      try {
        let last: Job | null = null;
        for (let next = first; !next.done; next = await jobs.next()) {
          last = next.value;
          await output.send(
            encodeSse({ event: 'status', data: JSON.stringify({ id: last.id, status: last.status }) }),
            life.signal,
          );
        }
        if (last !== null)
          await output.send(encodeSse({ event: 'done', data: JSON.stringify(jobBody(last)) }), life.signal);
      } catch (error) {
        if (life.signal.aborted) return reply;
        const { code, message: text, retryable } = shown(error, services.log, limits.bodyBytesMax);
        const data = JSON.stringify({ code, message: text, retryable });
        await output.send(encodeSse({ event: 'error', data }), life.signal).catch(() => {});
      } finally {
        await jobs.return?.();
      }
      return reply;
    },
  );
};

function jobsOf({ services }: DoorContext): Jobs {
  if (services.jobs === undefined)
    throw new ServiceError(
      'not_found',
      'this process takes no jobs; ask a gateway that is configured for them',
    );
  return services.jobs;
}

/** Said now, to who can correct it, and not minutes later by a job that failed. */
function requireNpc({ services }: DoorContext, npcId: string | undefined): void {
  if (npcId === undefined || services.npcs.some((each) => each.npcId === npcId)) return;
  throw new ServiceError(
    'unknown_npc',
    `no NPC is called ${JSON.stringify(npcId.slice(0, 80))}; GET /v1/npcs lists who is there`,
  );
}

function requestOf(body: z.infer<typeof jobSchema>): JobRequest {
  return {
    npcId: body.npc_id ?? null,
    messages: body.messages ?? [{ role: 'user', content: body.prompt ?? '' }],
    tier: body.tier,
    maxTokens: body.max_tokens,
    temperature: body.temperature ?? null,
    responseSchema: body.response_schema ?? null,
  };
}

function idOf(request: FastifyRequest): string {
  return (request.params as z.infer<typeof idSchema>).id;
}

/** Whose jobs the caller may see: its key's own; an operator's, and this machine's without keys: all. */
function viewerOf({ caller }: FastifyRequest): string | null {
  return caller.key === null || caller.key.scopes.includes('operator') ? null : caller.key.id;
}

function onceKeyOf(request: FastifyRequest): string | null {
  const key = request.headers['idempotency-key'];
  if (typeof key !== 'string') return null;
  if (key.length < 1 || key.length > ONCE_KEY_LENGTH_MAX)
    throw new ServiceError(
      'bad_request',
      `Idempotency-Key has ${key.length} characters; expected 1..${ONCE_KEY_LENGTH_MAX}`,
    );
  return key;
}
