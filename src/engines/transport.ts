/**
 * The real transport: one undici pool per engine. Every phase has a bound; undici's own 300 s defaults are replaced,
 * because a dialogue's deadline is the only clock that matters. A redirect is a reply like any other: it is not followed,
 * so that a key never wanders to another host.
 */
import { Readable } from 'node:stream';
import { Pool } from 'undici';
import { ServiceError } from '../core/errors.ts';
import type { Transport, WireRequest, WireResponse } from '../core/transport.ts';
import { Exchange } from './exchange.ts';

export interface TransportOptions {
  /**
   * Scheme, host, port and perhaps a path that stands before the path of every request: `http://127.0.0.1:8000`,
   * `https://name.example/openai`. A slash at its end counts for nothing.
   */
  readonly baseUrl: string;
  /** Connections kept to the engine; also the most requests under way at once. */
  readonly connections: number;
  readonly connectTimeoutMs: number;
  /** Sent with every request: the engine's API key. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * An exchange rejects with `engine_unavailable` when no reply came, with `engine_error` when what came is no sound reply,
 * each with the origin and undici's, the system's or OpenSSL's own code; a body throws `engine_error` when it breaks off.
 * Aborting rejects at once with the signal's reason, also while a connection is waited for.
 */
export function createTransport(options: TransportOptions): Transport {
  const { origin, pathname } = new URL(options.baseUrl);
  const base = pathname.replace(/\/+$/, '');
  const pool = new Pool(origin, {
    connections: options.connections,
    pipelining: 1,
    connect: { timeout: options.connectTimeoutMs },
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: 4_000,
  });
  const errors = { broken: (error: Error, isAnswered: boolean) => broken(origin, error, isAnswered) };
  return {
    exchange: (request: WireRequest, signal: AbortSignal): Promise<WireResponse> => {
      if (signal.aborted) return Promise.reject(signal.reason as Error);
      const exchange = new Exchange(signal, errors);
      pool.dispatch(
        {
          method: request.method,
          path: base + request.path,
          headers:
            options.headers === undefined ? request.headers : { ...request.headers, ...options.headers },
          body: request.body ?? (request.upload === undefined ? null : Readable.from(request.upload)),
        },
        exchange,
      );
      return exchange.answered;
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}

/** What undici's parser says of a length that is none or contradicts itself; it has no code for it (8.12.4). */
const WRONG_LENGTH = /content.length|transfer.encoding/i;

function broken(origin: string, error: Error, isAnswered: boolean): ServiceError {
  const reason = (error as NodeJS.ErrnoException).code ?? error.message;
  const what = isAnswered ? 'broke off' : WRONG_LENGTH.test(reason) ? 'is not sound' : null;
  const details = { origin, reason };
  return what === null
    ? new ServiceError('engine_unavailable', `no reply from ${origin}: ${reason}`, { cause: error, details })
    : new ServiceError('engine_error', `the reply from ${origin} ${what}: ${reason}`, {
        cause: error,
        details,
      });
}
