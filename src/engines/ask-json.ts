/**
 * Short questions to an engine that are not words: versions, lists, states. A small JSON object comes back, or a
 * ServiceError says what is wrong.
 */
import { ServiceError } from '../core/errors.ts';
import { readBody, type Transport, type WireRequest } from '../core/transport.ts';
import { type Frame, jsonObject, type Refused, readRefusal } from './reply-stream.ts';

/** A list of a few hundred models with their templates stays well below. */
const REPLY_BYTES_MAX = 8_000_000;

export interface Question {
  readonly engine: string;
  readonly transport: Transport;
  readonly method: WireRequest['method'];
  readonly path: string;
  readonly body?: unknown;
  readonly refused?: (refused: Refused) => ServiceError | null;
}

/**
 * The JSON object that answers. Throws `engine_unavailable` when no reply came, `engine_error` for a 200 that is no JSON
 * object, and what a refusal means otherwise. Aborting rejects with the signal's reason.
 */
export async function askJson(question: Question, signal: AbortSignal): Promise<Frame> {
  const { engine, transport, method, path, body, refused } = question;
  const reply = await transport.exchange(
    {
      method,
      path,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    },
    signal,
  );
  if (reply.status !== 200) {
    const failure = await readRefusal(engine, reply, refused);
    signal.throwIfAborted();
    throw failure;
  }
  try {
    const answer = jsonObject(await readBody(reply.body, REPLY_BYTES_MAX));
    if (answer !== null) return answer;
  } catch (error) {
    signal.throwIfAborted();
    throw new ServiceError('engine_error', `${engine}: the answer of ${path} broke off`, {
      cause: error,
      details: { engine, path },
    });
  }
  throw new ServiceError(
    'engine_error',
    `${engine}: ${path} answered with no JSON object; check the engine's base URL`,
    {
      details: { engine, path },
    },
  );
}

/** A refusal to a readiness question as `not_ready`, which is what it means there; an account stays an account. */
export function asNotReady(error: unknown): unknown {
  if (!(error instanceof ServiceError)) return error;
  if (error.code !== 'unknown_model' && error.code !== 'overloaded') return error;
  return new ServiceError('not_ready', error.message, { cause: error, details: error.details });
}
