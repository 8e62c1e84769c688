/**
 * The real transport: one undici pool per engine origin. Every phase has a bound; undici's own 300 s defaults are
 * replaced, because a dialogue's deadline is the only clock that matters.
 */
import { Pool } from 'undici';
import { ServiceError } from '../core/errors.ts';
import type { Transport, WireRequest, WireResponse } from '../core/transport.ts';

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
  return {
    exchange: async (request: WireRequest, signal: AbortSignal): Promise<WireResponse> => {
      try {
        const reply = await pool.request({
          method: request.method,
          path: base + request.path,
          headers:
            options.headers === undefined ? request.headers : { ...request.headers, ...options.headers },
          body: request.body ?? null,
          signal,
        });
        return { status: reply.statusCode, headers: reply.headers, body: reply.body };
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw unreachable(origin, error);
      }
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}

function unreachable(origin: string, error: unknown): ServiceError {
  const reason =
    error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
  return new ServiceError('engine_unavailable', `no reply from ${origin}: ${reason}`, {
    cause: error,
    details: { origin, reason },
  });
}
