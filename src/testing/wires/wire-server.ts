/**
 * The HTTP server under our doubles of engines and clouds: loopback, any routes, bodies as bytes. It knows what runs and
 * notices a hang-up, so that a test can ask the double itself whether work was left behind.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { EngineWork } from './engine-work.ts';

export interface WireExchange {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  /** The body as it came. */
  readonly bytes: Buffer;
  /** The JSON of the body; empty where there was none, or where it says that it is something else. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly response: http.ServerResponse;
  /** Aborts when the client hangs up. */
  readonly closed: AbortSignal;
  /** What the double works on; answers are given through it. */
  readonly work: EngineWork;
  /** Begins a reply of 200 with this content type. */
  begin(contentType: string): void;
  /** Writes bytes and waits for a slow reader; throws when the client has hung up. */
  send(bytes: string | Uint8Array): Promise<void>;
  /** The whole reply as JSON. */
  json(status: number, value: unknown, headers?: Readonly<Record<string, string>>): void;
}

export type WireHandler = (exchange: WireExchange) => Promise<void>;

export interface WireServer extends AsyncDisposable {
  readonly origin: string;
  /** Replies that are being made now. */
  readonly running: number;
  readonly connections: number;
  readonly work: EngineWork;
  /** Requests, oldest first. */
  readonly asked: readonly Pick<WireExchange, 'method' | 'path' | 'query' | 'headers' | 'body'>[];
  /** Resolves once as many replies are under way; rejects after half a minute. */
  untilRunning(count: number): Promise<void>;
}

/** As many answers as `places` are made at once, the others wait. */
export async function startWireServer(handle: WireHandler, places = 16): Promise<WireServer> {
  const work = new EngineWork(places);
  const asked: WireExchange[] = [];
  let running = 0;
  let connections = 0;
  const server = http.createServer((request, response) => {
    running += 1;
    answer(request, response)
      .catch(() => response.destroy())
      .finally(() => {
        running -= 1;
      });
  });
  server.on('connection', () => {
    connections += 1;
  });
  async function answer(request: http.IncomingMessage, response: http.ServerResponse) {
    const gone = new AbortController();
    response.on('close', () => gone.abort(new Error('the client hung up')));
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const exchange = exchangeOf(request, Buffer.concat(chunks), response, gone.signal, work);
    asked.push(exchange);
    await handle(exchange);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get running() {
      return running;
    },
    get connections() {
      return connections;
    },
    work,
    asked,
    untilRunning: async (count) => {
      const patience = AbortSignal.timeout(30_000);
      while (running !== count) {
        if (patience.aborted) throw new Error(`${running} replies are under way, expected ${count}`);
        await turnOfLoop();
      }
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function exchangeOf(
  request: http.IncomingMessage,
  bytes: Buffer,
  response: http.ServerResponse,
  closed: AbortSignal,
  work: EngineWork,
): WireExchange {
  const url = new URL(request.url ?? '/', 'http://double');
  const isJson = bytes.length > 0 && request.headers['content-type'] !== 'application/octet-stream';
  return {
    method: request.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    bytes,
    body: isJson ? (JSON.parse(bytes.toString('utf8')) as Record<string, unknown>) : {},
    response,
    closed,
    work,
    begin: (contentType) => {
      response.writeHead(200, { 'content-type': contentType });
    },
    send: async (bytes) => {
      closed.throwIfAborted();
      if (!response.write(bytes)) await once(response, 'drain', { signal: closed });
      // The hang-up of a client is heard between two turns.
      await turnOfLoop();
      closed.throwIfAborted();
    },
    json: (status, value, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(value));
    },
  };
}
