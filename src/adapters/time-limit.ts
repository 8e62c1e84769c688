/** Work under a limit of its own: its signal aborts when the limit passes or a parent aborts, and it is awaited no longer. */
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { abortable, linkSignals } from '../lib/abort.ts';

/**
 * Resolves as `work` does. Rejects with `adapter_failed` naming `what` when `timeoutMs` pass first, and with the reason of
 * `signal` when that aborts first, even if the work does not listen.
 */
export async function withinTime<T>(
  clock: Pick<Clock, 'timer'>,
  { what, timeoutMs }: { readonly what: string; readonly timeoutMs: number },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  using link = linkSignals(signal);
  using _limit = clock.timer(timeoutMs, () =>
    link.abort(new ServiceError('adapter_failed', `${what} took longer than ${timeoutMs} ms`)),
  );
  return await abortable(work(link.signal), link.signal);
}
