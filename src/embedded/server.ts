/**
 * The engine's HTTP server: vLLM's routes over node:http, each phase and size bounded. A socket that closes aborts
 * its request at once. It listens on loopback for one gateway; keys and tenants are the gateway's business.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import { adapterCards, answerLoad, answerUnload } from './adapter-routes.ts';
import { answerChat, answerCompletion } from './completions.ts';
import type { EmbeddedEngine } from './engine.ts';
import type { EngineMetrics } from './metrics.ts';
import type { EmbeddedOptions } from './options.ts';
import {
  chatRequestSchema,
  completionRequestSchema,
  embeddingsRequestSchema,
  parseRequest,
  tokenizeRequestSchema,
  wireError,
} from './wire.ts';

export interface EngineServerParts {
  readonly engine: EmbeddedEngine;
  readonly metrics: EngineMetrics;
  readonly options: EmbeddedOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly version: string;
}

const HEADER_BYTES_MAX = 16_384;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** vLLM's uvicorn keeps idle connections 5 s; the gateway's pool gives them up at 4 s (engines.md §3.1). */
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

type Answer = (body: unknown, context: RequestContext) => Promise<void> | void;

interface RequestContext {
  readonly request: IncomingMessage;
  readonly reply: ServerResponse;
  readonly signal: AbortSignal;
}

export interface EngineServer extends AsyncDisposable {
  readonly port: number;
  readonly baseUrl: string;
}

/** Starts listening; port 0 takes a free one. Throws `port_taken`. Disposing closes every connection. */
export async function startEngineServer(
  parts: EngineServerParts,
  address: { host: string; port: number },
): Promise<EngineServer> {
  const routes = engineRoutes(parts);
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      noDelay: true,
    },
    (request, reply) => void handle(request, reply, routes, parts),
  );
  server.maxConnections = parts.options.connectionsMax;
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') return socket.destroy();
    socket.end(unreadable(error));
  });
  const port = await listen(server, address);
  return {
    port,
    baseUrl: `http://${address.host.includes(':') ? `[${address.host}]` : address.host}:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The whole reply to bytes that never became a request. */
function unreadable(error: NodeJS.ErrnoException): string {
  const failure =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? new ServiceError('request_timeout', 'the request did not arrive whole in time')
      : new ServiceError('bad_request', `the request cannot be read: ${error.message}`);
  const { status, body } = wireError(failure);
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(text)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${text}`;
}

function listen(server: Server, address: { host: string; port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        new ServiceError(
          taken ? 'port_taken' : 'internal',
          taken
            ? `port ${address.port} on ${address.host} is in use; give another with --port`
            : `cannot listen on ${address.host}:${address.port}: ${error.message}`,
          { cause: error },
        ),
      );
    });
    server.listen(address.port, address.host, () => resolve((server.address() as AddressInfo).port));
  });
}

async function handle(
  request: IncomingMessage,
  reply: ServerResponse,
  routes: ReadonlyMap<string, Answer>,
  parts: EngineServerParts,
): Promise<void> {
  const controller = new AbortController();
  reply.on('close', () => {
    if (!reply.writableFinished) controller.abort(new ServiceError('client_closed', 'the client hung up'));
  });
  reply.on('error', () => {});
  try {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const answer = routes.get(`${request.method} ${path}`);
    if (answer === undefined) throw noRoute(request.method ?? '', path, routes);
    const body = request.method === 'POST' ? await readJson(request, parts.options.bodyBytesMax) : null;
    await answer(body, { request, reply, signal: controller.signal });
  } catch (error) {
    if (controller.signal.aborted || reply.destroyed) return;
    const { status, body } = wireError(error);
    if (status >= 500) parts.log.warn('engine.request_failed', { status, error: ServiceError.from(error) });
    if (reply.headersSent) return void reply.destroy();
    // A body that was not read whole would be taken for the next request.
    if (!request.complete) reply.setHeader('connection', 'close');
    if (status === 503) reply.setHeader('retry-after', '1');
    sendJson(reply, status, body);
  }
}

function noRoute(method: string, path: string, routes: ReadonlyMap<string, Answer>): ServiceError {
  const others = [...routes.keys()]
    .filter((key) => key.endsWith(` ${path}`))
    .map((key) => key.split(' ', 1)[0]);
  return others.length > 0
    ? new ServiceError('method_not_allowed', `${path} does not take ${method}; it takes ${others.join(', ')}`)
    : new ServiceError('not_found', `there is no ${path} here`);
}

/** Reads a JSON body up to `bytesMax`; throws `body_too_large`, `malformed_json` or `request_timeout`. */
async function readJson(request: IncomingMessage, bytesMax: number): Promise<unknown> {
  const tooLarge = () => new ServiceError('body_too_large', `the body is over ${bytesMax} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge();
  const chunks: Buffer[] = [];
  let total = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      total += chunk.byteLength;
      if (total > bytesMax) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw new ServiceError('client_closed', 'the body did not arrive whole', { cause: error });
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new ServiceError('malformed_json', `the body is not JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function sendJson(reply: ServerResponse, status: number, body: unknown): void {
  reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function engineRoutes(parts: EngineServerParts): ReadonlyMap<string, Answer> {
  const { engine, metrics, options } = parts;
  const modelName = options.modelName;
  const { adapters } = engine;
  const completionParts = { engine, metrics, clock: parts.clock, random: parts.random };
  const createdSeconds = Math.floor(parts.clock.nowMs() / 1_000);
  return new Map<string, Answer>([
    [
      'POST /v1/chat/completions',
      async (body, { request, reply, signal }) => {
        const chat = parseRequest(chatRequestSchema, body);
        using lease = adapters.lease(chat.model ?? null);
        await answerChat(chat, requestIdOf(request), reply, { ...completionParts, lease }, signal);
      },
    ],
    [
      'POST /v1/completions',
      async (body, { request, reply, signal }) => {
        const completion = parseRequest(completionRequestSchema, body);
        using lease = adapters.lease(completion.model ?? null);
        await answerCompletion(
          completion,
          requestIdOf(request),
          reply,
          { ...completionParts, lease },
          signal,
        );
      },
    ],
    [
      'POST /v1/embeddings',
      async (body, { reply, signal }) => {
        const wanted = parseRequest(embeddingsRequestSchema, body);
        using lease = adapters.lease(wanted.model ?? null);
        if (lease.adapter !== null)
          throw new ServiceError(
            'bad_request',
            `model: vectors are the base model's; ask \`${modelName}\` instead of the adapter \`${lease.name}\``,
            { details: { param: 'model' } },
          );
        const prompts = [wanted.input].flat().map((text) => engine.textPrompt(text, false).tokens);
        const data: unknown[] = [];
        for (const [index, tokens] of prompts.entries()) {
          const vector = await engine.embed(tokens, signal);
          const embedding =
            wanted.encoding_format === 'base64'
              ? Buffer.from(Float32Array.from(vector).buffer).toString('base64')
              : vector;
          data.push({ object: 'embedding', index, embedding });
        }
        const total = prompts.reduce((sum, tokens) => sum + tokens.length, 0);
        sendJson(reply, 200, {
          object: 'list',
          data,
          model: modelName,
          usage: { prompt_tokens: total, total_tokens: total },
        });
      },
    ],
    [
      'POST /tokenize',
      (body, { reply }) => {
        const wanted = parseRequest(tokenizeRequestSchema, body);
        using _lease = adapters.lease(wanted.model ?? null);
        const tokens = tokenized(wanted, engine);
        sendJson(reply, 200, { count: tokens.length, max_model_len: engine.contextTokens, tokens });
      },
    ],
    [
      'GET /v1/models',
      (_body, { reply }) => {
        const card = {
          id: modelName,
          object: 'model',
          created: createdSeconds,
          owned_by: 'greenroom',
          root: modelName,
          parent: null,
          max_model_len: engine.contextTokens,
        };
        sendJson(reply, 200, { object: 'list', data: [card, ...adapterCards(adapters, modelName)] });
      },
    ],
    ['POST /v1/load_lora_adapter', (body, { reply, signal }) => answerLoad(body, reply, adapters, signal)],
    ['POST /v1/unload_lora_adapter', (body, { reply }) => answerUnload(body, reply, adapters)],
    ['GET /health', (_body, { reply }) => void reply.writeHead(200).end()],
    ['GET /ping', (_body, { reply }) => void reply.writeHead(200).end()],
    ['GET /version', (_body, { reply }) => sendJson(reply, 200, { version: parts.version })],
    [
      'GET /metrics',
      async (_body, { reply }) => {
        const text = await metrics.registry.metrics();
        reply.writeHead(200, { 'content-type': metrics.registry.contentType }).end(text);
      },
    ],
  ]);
}

function tokenized(
  wanted: ReturnType<typeof tokenizeRequestSchema.parse>,
  engine: EmbeddedEngine,
): readonly number[] {
  if (wanted.messages !== undefined) {
    const continues = wanted.continue_final_message ?? false;
    return engine.chatPrompt(wanted.messages, {
      addGenerationPrompt: wanted.add_generation_prompt ?? !continues,
      continueFinalMessage: continues,
    }).tokens;
  }
  if (wanted.prompt === undefined)
    throw new ServiceError('bad_request', 'prompt: give either prompt or messages', {
      details: { param: 'prompt' },
    });
  // Without special tokens the text counts as the content of a message does: no part of it is a control token.
  return engine.textPrompt(wanted.prompt, wanted.add_special_tokens ?? true).tokens;
}

function requestIdOf(request: IncomingMessage): string | null {
  const id = request.headers['x-request-id'];
  return typeof id === 'string' && REQUEST_ID.test(id) ? id : null;
}
