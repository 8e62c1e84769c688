/**
 * The gateway's HTTP server: limits, access and errors around the doors. Everything here holds for every door; what a
 * door speaks is its own file. fastify's types are not seen outside this folder.
 */
import type { RequestListener } from 'node:http';
import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { refuseBrokenRequest } from './broken-request.ts';
import type { DoorContext } from './door.ts';
import { Entrance } from './entrance.ts';
import { FastLane } from './fast-lane.ts';
import { doors } from './index.ts';
import { sendError, shown } from './problem.ts';
import type { DoorLimits, Services } from './services.ts';
import { validator } from './validate.ts';

/** How often connections are looked over for requests that do not arrive whole. */
const LOOK_OVER_MS = 1_000;
/** How long `close` waits for replies under way; draining, which is longer, comes before it. */
const CLOSE_GRACE_MS = 2_000;

export interface ServerOptions {
  readonly limits: DoorLimits;
  /** Whether any API key is active; one that is made later is noticed. */
  readonly authRequired: boolean;
  /** Where the built console lies; null, or a folder that is not there: a page that says how to build it. */
  readonly consoleDirectory: string | null;
}

export interface DoorServer {
  /** Listens; port 0 takes a free one. Throws `port_taken`, or what the system says. */
  listen(address: { readonly host: string; readonly port: number }): Promise<{ readonly url: string }>;
  /** Requests being answered now on all doors, health apart: what a drain waits for. */
  readonly active: number;
  /** Takes no more connections and gives the running replies 2 seconds to end; when `signal` aborts, it cuts them. */
  close(signal?: AbortSignal): Promise<void>;
  /** The OpenAPI document, made from the schemas. */
  openapi(): object;
}

export async function createServer(services: Services, options: ServerOptions): Promise<DoorServer> {
  const { limits } = options;
  const server = fastify({
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    http: {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: Math.min(LOOK_OVER_MS, limits.requestTimeoutMs),
    },
    // Draining has its own answer, with its own code.
    return503OnClosing: false,
    genReqId: () => services.random.id('req'),
    clientErrorHandler: refuseBrokenRequest,
    routerOptions: { maxParamLength: 200 },
  });
  server.server.maxConnections = limits.connectionsMax;
  server.setValidatorCompiler(({ schema }) => validator(schema as z.ZodType));
  // Replies are ours and typed; checking them again would cost every sentence.
  server.setSerializerCompiler(() => JSON.stringify);
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Greenroom', version: services.version, description: 'The lines of NPCs.' },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: [{ key: [] }],
    },
    transform: jsonSchemaTransform,
  });
  const entrance = new Entrance(services, options);
  guardAll(server, services, limits, entrance);
  const lane = new FastLane(services, entrance, limits);
  const context: DoorContext = { services, limits, lane, consoleDirectory: options.consoleDirectory };
  for (const door of doors) await server.register(async (scope) => await door(scope, context));
  await server.ready();
  putBefore(lane, server);
  return {
    get active() {
      return entrance.active;
    },
    listen: async ({ host, port }) => ({ url: await listen(server, host, port) }),
    close: (signal) => close(server, services.clock, signal),
    openapi: () => server.swagger(),
  };
}

/** What comes before every door: the request's name, its place, who calls, and the form of every error. */
function guardAll(server: FastifyInstance, services: Services, limits: DoorLimits, entrance: Entrance): void {
  const methods = new RouteTable();
  server.decorateRequest('caller');
  server.addHook('onRoute', (route) => methods.add(route.url, route.method));
  server.addHook('onRequest', async (request, reply) => {
    const { url = 'unmatched', config } = request.routeOptions;
    reply.raw.setHeader('x-request-id', request.id);
    const route = { name: url, level: config.access ?? 'public' };
    request.caller = await entrance.enter(request, reply.raw, route);
  });
  server.setErrorHandler((error, _request, reply) =>
    sendError(reply, shown(error, services.log, limits.bodyBytesMax)),
  );
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = methods.at(path).filter((method) => method !== request.method);
    if (allowed.length === 0)
      return sendError(
        reply,
        new ServiceError(
          'not_found',
          `there is nothing at ${path.slice(0, 200)}; /openapi.json lists what is`,
        ),
      );
    reply.header('allow', allowed.join(', '));
    return sendError(
      reply,
      new ServiceError('method_not_allowed', `${path} takes ${allowed.join(', ')}, not ${request.method}`),
    );
  });
}

/** The lane sees each request first; the framework answers what it leaves. */
function putBefore(lane: FastLane, { server }: FastifyInstance): void {
  const rest = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  server.on('request', (request, raw) => {
    if (!lane.take(request, raw)) for (const listener of rest) listener.call(server, request, raw);
  });
}

/** Which methods an address takes, to tell a wrong method from a wrong address. */
class RouteTable {
  readonly #routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];

  add(url: string, method: string | readonly string[]): void {
    // The console's catch-all takes every address; it says nothing about what exists.
    if (url.includes('*')) return;
    const pattern = new RegExp(`^${url.replace(/[.]/g, '\\.').replace(/:[a-z_]+/gi, '[^/]+')}$`);
    this.#routes.push({ pattern, methods: typeof method === 'string' ? [method] : method });
  }

  at(path: string): string[] {
    const found = this.#routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods);
    return [...new Set(found)];
  }
}

async function listen(server: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new ServiceError(
      'port_taken',
      `port ${port} on ${host} is in use; stop the other program or choose another with --port or PORT`,
      { cause: error },
    );
  }
}

/** Replies get a moment to reach clients that read; one that does not read must not hold the process. */
async function close(server: FastifyInstance, clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  const cut = () => server.server.closeAllConnections();
  if (signal?.aborted) cut();
  signal?.addEventListener('abort', cut, { once: true });
  using _grace = clock.timer(CLOSE_GRACE_MS, cut);
  try {
    await server.close();
  } finally {
    signal?.removeEventListener('abort', cut);
  }
}
