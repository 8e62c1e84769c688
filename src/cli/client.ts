/**
 * The command line's side of a running gateway: dialogue over HTTP and SSE, and who is there. What comes back is checked
 * against the door's own schemas. Invariant: a dialogue ends with `done`, or throws.
 */
import type { Command } from 'commander';
import { z } from 'zod';
import { replySchema } from '../api/wire.ts';
import { ERRORS, type ErrorCode, ServiceError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import { readBody, type Transport, type WireResponse } from '../core/transport.ts';
import { createTransport } from '../engines/transport.ts';
import { decodeSse, type SseEvent } from '../lib/sse.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const EVENT_BYTES_MAX = 1_000_000;
const BODY_BYTES_MAX = 8_000_000;

const lineSchema = z.object({ text: z.string() });
const actionSchema = z.object({ name: z.string(), params: z.record(z.string(), z.unknown()) });
const doneSchema = replySchema.omit({ text: true });
const errorSchema = z.object({ code: z.string(), message: z.string() });
const problemSchema = z.object({ code: z.string(), detail: z.string() });
const npcsSchema = z.object({
  data: z.array(z.object({ npc_id: z.string(), name: z.string(), kind: z.string(), tier: z.number() })),
});

const amounts = { spent_usd: z.number(), held_usd: z.number() };
const spendingSchema = z.object({
  off: z.boolean(),
  calls_in_flight: z.number(),
  day: z.object({ date: z.string(), ...amounts, tiers: z.record(z.string(), z.object(amounts)) }).nullable(),
});
export type SpendingToday = z.output<typeof spendingSchema>;

/** How a reply came about, in wire form. */
export type Done = z.output<typeof doneSchema>;
export type Npc = z.output<typeof npcsSchema>['data'][number];

export type HeardEvent =
  | { readonly type: 'filler' | 'sentence'; readonly text: string }
  | {
      readonly type: 'action';
      readonly name: string;
      readonly params: Readonly<Record<string, unknown>>;
    }
  | { readonly type: 'done'; readonly done: Done };

export interface Gateway extends AsyncDisposable {
  /** Streams one answer. `body` is that of POST /v1/dialogue. Leaving the loop, or aborting, hangs up. */
  say(body: Readonly<Record<string, unknown>>, signal: AbortSignal): AsyncIterable<HeardEvent>;
  npcs(signal: AbortSignal): Promise<readonly Npc[]>;
  /** What was spent today; switches paid engines first where `off` is not null. */
  spending(off: boolean | null, signal: AbortSignal): Promise<SpendingToday>;
  /** Where it answers, as people write it. */
  readonly origin: string;
  /** One call of the operator's API; the reply is checked. Null: a reply without a body. Throws what the gateway says. */
  call<T>(schema: z.ZodType<T>, request: GatewayCall, signal: AbortSignal): Promise<T>;
  /** Follows an address as events, until the gateway ends it. Leaving the loop, or aborting, hangs up. */
  follow(path: string, signal: AbortSignal): AsyncIterable<SseEvent>;
}

export interface GatewayCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

export interface GatewayFlags {
  readonly url?: string;
  readonly key?: string;
}

/** The flags of every verb that talks to a gateway. */
export function gatewayFlags(command: Command): Command {
  return command
    .option('--url <url>', 'address of the gateway (default: http://127.0.0.1 at PORT, else 8080)')
    .option('--key <key>', 'API key (GREENROOM_KEY); none is needed where no keys were made');
}

/** Throws `config_invalid` for an address that is none; whether somebody answers shows at the first call. */
export function openGateway({ url, key }: GatewayFlags, { environment }: Runtime): Gateway {
  const address = addressOf(url ?? `http://127.0.0.1:${environment['PORT'] ?? '8080'}`);
  const transport = createTransport({
    baseUrl: address.href,
    connections: 4,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
  });
  const token = key ?? environment['GREENROOM_KEY'];
  const headers = token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` };
  const json = { ...headers, 'content-type': 'application/json' };
  return {
    origin: address.origin,
    call: async (schema, { method, path, body }, signal) => {
      const request =
        body === undefined
          ? { method, path, headers }
          : { method, path, headers: json, body: JSON.stringify(body) };
      const reply = await ask(transport, address.origin, request, signal);
      const text = (await readBody(reply.body, BODY_BYTES_MAX)).toString('utf8');
      return checked(schema, text === '' ? 'null' : text, `${method} ${path}`);
    },
    follow: (path, signal) => follow(transport, address.origin, path, headers, signal),
    say: (body, signal) => listen(transport, address.origin, '/v1/dialogue', headers, body, signal),
    npcs: async (signal) => {
      const request = { method: 'GET', path: '/v1/npcs', headers } as const;
      const reply = await ask(transport, address.origin, request, signal);
      const body = await readBody(reply.body, BODY_BYTES_MAX);
      return checked(npcsSchema, body.toString('utf8'), 'GET /v1/npcs').data;
    },
    spending: async (off, signal) => {
      const path = '/admin/v1/spending';
      const reply = await ask(
        transport,
        address.origin,
        off === null
          ? { method: 'GET', path, headers }
          : { method: 'POST', path, headers: json, body: JSON.stringify({ off }) },
        signal,
      );
      const body = await readBody(reply.body, BODY_BYTES_MAX);
      return checked(spendingSchema, body.toString('utf8'), path);
    },
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  };
}

async function* listen(
  transport: Transport,
  origin: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): AsyncGenerator<HeardEvent> {
  const request = {
    method: 'POST',
    path,
    headers: { ...headers, 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ ...body, stream: true }),
  } as const;
  const reply = await ask(transport, origin, request, signal);
  try {
    for await (const event of decodeSse(reply.body, { maxEventBytes: EVENT_BYTES_MAX })) {
      if (signal.aborted) throw signal.reason;
      const heard = heardOf(event);
      if (heard !== null) yield heard;
      if (heard?.type === 'done') return;
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof ServiceError) throw error;
    throw new ServiceError('engine_error', `the line broke: ${(error as Error).message}`, { cause: error });
  }
  if (signal.aborted) throw signal.reason;
  throw new ServiceError('engine_error', 'the stream ended without `done`: the gateway stopped half-way');
}

async function* follow(
  transport: Transport,
  origin: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): AsyncGenerator<SseEvent> {
  const request = { method: 'GET', path, headers: { ...headers, accept: 'text/event-stream' } } as const;
  const reply = await ask(transport, origin, request, signal);
  try {
    for await (const event of decodeSse(reply.body, { maxEventBytes: BODY_BYTES_MAX })) {
      if (signal.aborted) throw signal.reason;
      if (event.event === 'error') throw toldIn(event.data);
      yield event;
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof ServiceError) throw error;
    throw new ServiceError('engine_unavailable', `the line to ${origin} broke: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (signal.aborted) throw signal.reason;
}

function toldIn(data: string): ServiceError {
  const { code, message } = checked(errorSchema, data, 'error');
  return new ServiceError(codeOf(code), message);
}

/** Null for events that say nothing to people. Throws what an `error` event tells. */
function heardOf({ event, data }: SseEvent): HeardEvent | null {
  switch (event) {
    case 'filler':
    case 'sentence':
      return { type: event, text: checked(lineSchema, data, event).text };
    case 'action':
      return { type: 'action', ...checked(actionSchema, data, event) };
    case 'done':
      return { type: 'done', done: checked(doneSchema, data, event) };
    case 'error':
      throw toldIn(data);
    default:
      return null;
  }
}

/** A reply of success, or the error that it tells. */
async function ask(
  transport: Transport,
  origin: string,
  request: Parameters<Transport['exchange']>[0],
  signal: AbortSignal,
): Promise<WireResponse> {
  let reply: WireResponse;
  try {
    reply = await transport.exchange(request, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const { details } = ServiceError.from(error);
    throw new ServiceError(
      'setup_incomplete',
      `no gateway answers at ${origin} (${String(details['reason'])}): start one with \`greenroom serve\`, or name another with --url`,
      { cause: error },
    );
  }
  if (reply.status >= 200 && reply.status < 300) return reply;
  const text = (await readBody(reply.body, BODY_BYTES_MAX)).toString('utf8');
  const problem = problemSchema.safeParse(parsed(text));
  if (problem.success) throw new ServiceError(codeOf(problem.data.code), problem.data.detail);
  throw new ServiceError(
    'bad_request',
    `${origin}${request.path} answered ${reply.status}, not as a Greenroom gateway does; name its address with --url`,
  );
}

/** The code that a gateway said, as far as this version knows it. */
export function codeOf(code: string): ErrorCode {
  return Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'engine_error';
}

/** A reply as this version reads it. Throws `engine_error` for another. */
export function checked<T>(schema: z.ZodType<T>, text: string, what: string): T {
  const result = schema.safeParse(parsed(text));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ServiceError(
    'engine_error',
    `the gateway's ${what} is not as this version expects: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}; use the client of the gateway's version`,
  );
}

/** Undefined where the text is no JSON: no schema here takes it. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function addressOf(url: string): URL {
  const address = URL.parse(url.includes('://') ? url : `http://${url}`);
  if (address !== null && /^https?:$/.test(address.protocol)) return address;
  throw new ServiceError(
    'config_invalid',
    `the address of the gateway is ${JSON.stringify(url)}; expected one like http://127.0.0.1:8080 (--url, or PORT)`,
  );
}
