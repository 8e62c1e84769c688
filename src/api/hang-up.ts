/** The client's patience as a signal: it aborts when the connection closes before the reply has ended. */
import type { ServerResponse } from 'node:http';
import { ServiceError } from '../core/errors.ts';
import { abortable, type LinkedSignal } from '../lib/abort.ts';

/** Aborts with `client_closed`. Dispose it when the reply is written; then a closing connection means nothing. */
export function untilHangUp(raw: ServerResponse): LinkedSignal {
  const controller = new AbortController();
  const onClose = () => {
    if (!raw.writableFinished)
      controller.abort(new ServiceError('client_closed', 'the client closed the connection'));
  };
  raw.once('close', onClose);
  if (raw.closed || raw.destroyed) onClose();
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]: () => void raw.off('close', onClose),
  };
}

/** Writes, and waits while the client reads slower than we write, so that the engine is slowed too. */
export async function writeAll(
  raw: ServerResponse,
  chunk: string | Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (raw.write(chunk)) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  raw.once('drain', resolve);
  try {
    await abortable(promise, signal);
  } finally {
    raw.off('drain', resolve);
  }
}
