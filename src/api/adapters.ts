/**
 * Adapters at the operator's door: what is registered, published and resident, and every change of it. What takes long is
 * accepted with 202 as an operation, which goes on when the caller hangs up; it is polled, or followed as events.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { AdapterAdmin } from '../adapters/admin.ts';
import type { AdapterOperation } from '../adapters/operations.ts';
import { ServiceError } from '../core/errors.ts';
import { encodeSse } from '../lib/sse.ts';
import {
  adapterBody,
  adapterIdSchema,
  adapterPageSchema,
  adapterSchema,
  addSchema,
  exportQuerySchema,
  exportSchema,
  listSchema,
  noBodySchema,
  operationBody,
  operationIdSchema,
  operationSchema,
  operationsSchema,
  pageBody,
  publishSchema,
  replicasBody,
  replicasSchema,
  swapSchema,
  unloadSchema,
  verifySchema,
} from './adapters-wire.ts';
import type { Door, DoorContext } from './door.ts';
import { EventStream } from './event-stream.ts';
import { untilHangUp } from './hang-up.ts';
import { shown } from './problem.ts';

const ROOT = '/admin/v1/adapters';
const OPERATIONS = '/admin/v1/adapter-operations';
const tags = ['adapters'];
const config = { access: 'operator' } as const;

export const adaptersDoor: Door = (scope, context) => {
  scope.get(
    ROOT,
    {
      config,
      schema: {
        summary: 'Registered adapters, by name and age',
        tags,
        querystring: listSchema,
        response: { 200: adapterPageSchema },
      },
    },
    async (request) => {
      const { name, after, limit } = request.query as z.output<typeof listSchema>;
      const ask = {
        limit,
        ...(name === undefined ? {} : { name }),
        ...(after === undefined ? {} : { after }),
      };
      return pageBody(await adminOf(context).list(ask));
    },
  );
  scope.get(
    `${ROOT}/:id`,
    {
      config,
      schema: {
        summary: 'An adapter: its record, its tags, where it is resident',
        tags,
        params: adapterIdSchema,
        response: { 200: adapterSchema },
      },
    },
    async (request) => adapterBody(await adminOf(context).show(idOf(request))),
  );
  scope.get(
    `${ROOT}/:id/export`,
    {
      config,
      schema: {
        summary: 'How an engine that cannot be told by call is given this adapter',
        tags,
        params: adapterIdSchema,
        querystring: exportQuerySchema,
        response: { 200: exportSchema },
      },
    },
    async (request, reply) => {
      const { engine, base, folder = null } = request.query as z.output<typeof exportQuerySchema>;
      using hangUp = untilHangUp(reply.raw);
      const ask = { kind: engine, base, folder };
      const plan = await adminOf(context).exportPlan(idOf(request), ask, hangUp.signal);
      return { text: plan.text, files: plan.files.map((file) => ({ ...file })) };
    },
  );
  scope.delete(
    `${ROOT}/:id`,
    {
      config,
      schema: {
        summary: 'Take an adapter out of the registry',
        description:
          'Refused while it is published (unload it first). Its files are deleted when no other name has the same bytes.',
        tags,
        params: adapterIdSchema,
      },
    },
    async (request, reply) => {
      await adminOf(context).remove(idOf(request));
      return reply.code(204).send();
    },
  );
  addLongWork(scope, context);
  for (const [verb, isPinned] of [
    ['pin', true],
    ['unpin', false],
  ] as const)
    scope.post(
      `${ROOT}/:id/${verb}`,
      {
        config,
        schema: {
          summary: isPinned ? 'Never evict it for another one' : 'It may be evicted again',
          tags,
          params: adapterIdSchema,
          body: noBodySchema,
          response: { 200: adapterSchema },
        },
      },
      async (request) => adapterBody(await adminOf(context).pin(idOf(request), isPinned)),
    );
  addOperations(scope, context);
  addReplicas(scope, context);
};

/** Whatever fetches, loads or waits for lines to end. */
function addLongWork(scope: Parameters<Door>[0], context: DoorContext): void {
  const accepted = { response: { 202: operationSchema }, tags };
  const long = (
    verb: string,
    schema: { readonly summary: string; readonly description?: string; readonly body: z.ZodType },
    start: (id: string, body: unknown) => Promise<AdapterOperation>,
  ) =>
    scope.post(
      `${ROOT}/:id/${verb}`,
      { config, schema: { ...accepted, ...schema, params: adapterIdSchema } },
      async (request, reply) => accept(reply, await start(idOf(request), request.body)),
    );
  scope.post(
    ROOT,
    {
      config,
      schema: {
        summary: 'Add an adapter to the registry',
        description:
          'Fetched, checked, converted for every engine and recorded. A name and version stand for their bytes for ever: other bytes are refused with `adapter_conflict`, the same bytes again are no fault.',
        body: addSchema,
        ...accepted,
      },
    },
    (request, reply) => {
      const { training_run: trainingRun = null, ...body } = request.body as z.output<typeof addSchema>;
      const { base = null, sha256 = null, licence = null, notes = null, ...named } = body;
      const addedBy = request.caller.key?.label ?? 'local';
      const wanted = { ...named, base, sha256, licence, notes, trainingRun, addedBy };
      return accept(reply, adminOf(context).add(wanted));
    },
  );
  long(
    'publish',
    {
      summary: 'Load an adapter where it belongs, verify it, make it routable',
      description:
        'Routable only when every engine of its base answers as that adapter; until then, and when it fails, nothing that serves changes.',
      body: publishSchema,
    },
    (id, body) => {
      const { tag = null, pin = false } = (body as z.output<typeof publishSchema>) ?? {};
      return adminOf(context).publish(id, { tag, pin });
    },
  );
  long(
    'swap',
    {
      summary: 'Publish a version and move the tag to it; the version before drains and goes',
      description: 'From one moment on new lines speak with it; running lines end with the version before.',
      body: swapSchema,
    },
    (id, body) => adminOf(context).swap(id, (body as z.output<typeof swapSchema>)?.tag ?? 'stable'),
  );
  long(
    'unload',
    { summary: 'Take an adapter off the engines; it stays registered', body: unloadSchema },
    (id, body) =>
      adminOf(context).unload(id, { force: (body as z.output<typeof unloadSchema>)?.force ?? false }),
  );
  long('verify', { summary: 'Compare every staged byte with the digest', body: verifySchema }, (id, body) =>
    adminOf(context).verify(id, { refetch: (body as z.output<typeof verifySchema>)?.refetch ?? false }),
  );
}

function addOperations(scope: Parameters<Door>[0], context: DoorContext): void {
  scope.get(
    OPERATIONS,
    {
      config,
      schema: {
        summary: 'Long work on adapters: what runs, and the last that ended; the newest first',
        tags,
        response: { 200: operationsSchema },
      },
    },
    () => ({ data: adminOf(context).operations().map(operationBody) }),
  );
  scope.get(
    `${OPERATIONS}/:id`,
    {
      config,
      schema: {
        summary: 'One operation',
        description:
          'As it stands; with `Accept: text/event-stream` as events: `progress` now and at each change, then exactly one `done` with how it ended.',
        tags,
        params: operationIdSchema,
        response: { 200: operationSchema },
      },
    },
    async (request, reply) => {
      const admin = adminOf(context);
      const id = idOf(request);
      if (!wantsEvents(request)) return operationBody(admin.operation(id));
      return await follow(
        context,
        reply,
        (signal) => admin.watchOperation(id, signal),
        (operation) => ({
          event: operation.outcome === null ? 'progress' : 'done',
          data: operationBody(operation),
        }),
      );
    },
  );
}

function addReplicas(scope: Parameters<Door>[0], context: DoorContext): void {
  scope.get(
    '/admin/v1/adapter-replicas',
    {
      config,
      schema: {
        summary: 'Which adapters lie on which engine, now',
        description:
          'With `Accept: text/event-stream` as events `replicas`, each the whole view: now and whenever it changed, at most twice a second, without end.',
        tags,
        response: { 200: replicasSchema },
      },
    },
    async (request, reply) => {
      const admin = adminOf(context);
      if (!wantsEvents(request)) return replicasBody(admin.replicas());
      return await follow(
        context,
        reply,
        (signal) => admin.watchReplicas(signal),
        (views) => ({
          event: 'replicas',
          data: replicasBody(views),
        }),
      );
    },
  );
}

/** Sends each value as an event until the source or the client ends, or the service drains. */
async function follow<T>(
  { services, limits }: DoorContext,
  reply: FastifyReply,
  watch: (signal: AbortSignal) => AsyncIterable<T>,
  encode: (value: T) => { readonly event: string; readonly data: unknown },
): Promise<FastifyReply> {
  using life = untilHangUp(reply.raw);
  // A stream without end would hold up the drain.
  const drain = () => life.abort(services.draining.reason);
  services.draining.addEventListener('abort', drain, { once: true });
  const values = watch(life.signal)[Symbol.asyncIterator]();
  try {
    if (services.draining.aborted) drain();
    let next = await values.next();
    reply.hijack();
    using output = new EventStream(reply.raw, { clock: services.clock, heartbeatMs: limits.heartbeatMs });
    try {
      for (; !next.done; next = await values.next()) {
        const { event, data } = encode(next.value);
        await output.send(encodeSse({ event, data: JSON.stringify(data) }), life.signal);
      }
    } catch (error) {
      if (reply.raw.destroyed) return reply;
      const { code, message, retryable } = shown(error, services.log, limits.bodyBytesMax);
      const data = JSON.stringify({ code, message, retryable });
      reply.raw.write(encodeSse({ event: 'error', data }));
    }
    return reply;
  } finally {
    services.draining.removeEventListener('abort', drain);
    await values.return?.();
  }
}

function accept(reply: FastifyReply, operation: AdapterOperation): FastifyReply {
  return reply.code(202).header('location', `${OPERATIONS}/${operation.id}`).send(operationBody(operation));
}

function wantsEvents({ headers }: FastifyRequest): boolean {
  return /\btext\/event-stream\b/.test(headers.accept ?? '');
}

function idOf(request: FastifyRequest): string {
  return (request.params as { readonly id: string }).id;
}

function adminOf({ services }: DoorContext): AdapterAdmin {
  if (services.adapters === undefined)
    throw new ServiceError(
      'not_found',
      'this process keeps no adapters; ask a gateway whose engines take them',
    );
  return services.adapters;
}
