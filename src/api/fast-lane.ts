/**
 * The short way to the doors whose time counts. A POST with a JSON body of a stated length, at an address that a door
 * has put here, is read off the socket and handed over without the framework, whose part of a passed-on request is a
 * third of the gateway's CPU time (bench/README.md). Invariant: what the lane does not take is left untouched, and the
 * framework answers it at the same address with the same handler: the lane decides only how fast.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AccessLevel, Caller } from './door.ts';
import type { Entrance } from './entrance.ts';
import { shown, writeError } from './problem.ts';
import type { DoorLimits, Services } from './services.ts';

/** A request whose body is here, and the reply that nothing was written to. */
export interface Asked {
  readonly id: string;
  readonly caller: Caller;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly raw: ServerResponse;
  /** Call before the first write; from then on errors are the handler's own. */
  begin(): void;
}

/** A request that came through the framework, for the same handler. It may have an address of its own. */
export function askedOf(request: FastifyRequest, reply: FastifyReply, body: Buffer): Asked {
  const { id, caller, headers } = request;
  return { id, caller, headers, body, raw: reply.raw, begin: () => void reply.hijack() };
}

/** Writes the reply. May throw as long as it has not begun. */
export type AskedHandler = (asked: Asked) => Promise<void>;

interface Route {
  readonly name: string;
  readonly level: AccessLevel;
  readonly handle: AskedHandler;
}

export class FastLane {
  readonly #services: Services;
  readonly #entrance: Entrance;
  readonly #bodyBytesMax: number;
  readonly #routes = new Map<string, Route>();

  constructor(services: Services, entrance: Entrance, limits: DoorLimits) {
    this.#services = services;
    this.#entrance = entrance;
    this.#bodyBytesMax = limits.bodyBytesMax;
  }

  /** Puts an address here. `path` is matched as a whole: with a query the framework answers. */
  post(path: string, level: AccessLevel, handle: AskedHandler): void {
    this.#routes.set(path, { name: path, level, handle });
  }

  /** Whether the lane has taken the request; if not, it has not touched it. */
  take(request: IncomingMessage, raw: ServerResponse): boolean {
    if (request.method !== 'POST') return false;
    const route = this.#routes.get(request.url ?? '');
    if (route === undefined) return false;
    const bytes = statedLength(request.headers);
    if (bytes === null || bytes > this.#bodyBytesMax) return false;
    this.#serve(route, request, raw, bytes).catch((error: unknown) => {
      this.#services.log.error('http.failed', { error });
      raw.destroy();
    });
    return true;
  }

  async #serve(route: Route, request: IncomingMessage, raw: ServerResponse, bytes: number): Promise<void> {
    const id = this.#services.random.id('req');
    let hasBegun = false;
    try {
      const caller = await this.#entrance.enter(request, raw, route);
      const body = await bodyOf(request, bytes);
      if (body === null) return;
      await route.handle({
        id,
        caller,
        headers: request.headers,
        body,
        raw,
        begin: () => {
          hasBegun = true;
        },
      });
    } catch (error) {
      if (hasBegun) throw error;
      writeError(raw, { url: route.name, id }, shown(error, this.#services.log, this.#bodyBytesMax));
    }
  }
}

/** The length of a JSON body, or null when it is something else or not stated. */
function statedLength(headers: IncomingHttpHeaders): number | null {
  const type = headers['content-type'];
  if (type !== 'application/json' && type?.startsWith('application/json;') !== true) return null;
  const length = headers['content-length'];
  return length !== undefined && /^[1-9]\d{0,9}$/.test(length) ? Number(length) : null;
}

/** The body, which Node holds to its stated length; null when the client left before its end. */
function bodyOf(request: IncomingMessage, bytes: number): Promise<Buffer | null> {
  if (request.destroyed) return Promise.resolve(null);
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => resolve(parts.length === 1 ? (parts[0] ?? null) : Buffer.concat(parts, bytes)));
    request.on('close', () => resolve(null));
  });
}
