/**
 * Linked abort signals that unhook themselves. `AbortSignal.any` against a process-long signal leaks on long runs
 * (nodejs/node #54614), so every link is a disposable: `using link = linkSignals(a, b)`.
 */

export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
}

/** A signal that aborts with the reason of the first parent that aborts, or by `abort`. Dispose it to unhook. */
export function linkSignals(...parents: readonly AbortSignal[]): LinkedSignal {
  const controller = new AbortController();
  const unhook: (() => void)[] = [];
  const dispose = () => {
    for (const remove of unhook.splice(0)) remove();
  };
  for (const parent of parents) {
    if (parent.aborted) {
      controller.abort(parent.reason);
      break;
    }
    const listener = () => {
      controller.abort(parent.reason);
      dispose();
    };
    parent.addEventListener('abort', listener, { once: true });
    unhook.push(() => parent.removeEventListener('abort', listener));
  }
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]: dispose,
  };
}

/** Rejects with `signal.reason` when it aborts; otherwise settles as `promise` does. Unhooks either way. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {});
    return Promise.reject(signal.reason as Error);
  }
  return new Promise<T>((resolve, reject) => {
    const listener = () => reject(signal.reason as Error);
    signal.addEventListener('abort', listener, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', listener));
  });
}
