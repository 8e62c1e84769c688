/**
 * Background work with an owner, and time limits on streams. A promise that nobody awaits belongs to a TaskGroup, so that
 * shutdown can wait for it and its failure is heard. Time comes in as `timer`; core's Clock fits.
 */
import { invariant } from './invariant.ts';

export interface Timers {
  /** Calls back once after `durationMs` unless the returned disposable is disposed first. */
  timer(durationMs: number, callback: () => void): Disposable;
}

export interface TaskGroupOptions {
  /** Tasks at once; `tryStart` refuses beyond it. */
  readonly maxTasks: number;
  /** Told of every task that failed for another reason than being stopped. Must not throw. */
  readonly onFailure: (name: string, error: unknown) => void;
}

/** Owns background tasks. Disposing stops them and waits until the last has ended. */
export class TaskGroup implements AsyncDisposable {
  readonly #options: TaskGroupOptions;
  readonly #controller = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: TaskGroupOptions) {
    invariant(options.maxTasks > 0, `a task group of ${options.maxTasks} tasks`);
    this.#options = options;
  }

  get size(): number {
    return this.#running.size;
  }

  /**
   * Starts `task` in the background, at once. Its signal aborts when the group is stopped. False, and nothing started,
   * when the group is full or closed: the caller decides what that means.
   */
  tryStart(name: string, task: (signal: AbortSignal) => Promise<void>): boolean {
    if (this.#isClosed || this.#running.size >= this.#options.maxTasks) return false;
    const run = this.#run(name, task).finally(() => this.#running.delete(run));
    this.#running.add(run);
    return true;
  }

  /** Takes no new task and waits for the running ones; when `signal` aborts they are stopped, and still awaited. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#isClosed = true;
    const stop = () => this.#controller.abort(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    try {
      await Promise.all(this.#running);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new Error('the task group was stopped'));
    await this.drain(this.#controller.signal);
  }

  async #run(name: string, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#controller;
    try {
      await task(signal);
    } catch (error) {
      if (!(signal.aborted && error === signal.reason)) this.#options.onFailure(name, error);
    }
  }
}

export interface IdleTimeoutOptions {
  /** Longest wait for one item, counted from when it is asked for: a slow reader is not the source's fault. */
  readonly idleMs: number;
  readonly timers: Timers;
  /** Makes the error that is thrown when nothing came in time. */
  readonly onIdle: () => Error;
}

/**
 * Passes items on, and throws `onIdle()` when the next does not come in time. Then, and when the loop is left, the source
 * is returned; its own pending step is not awaited after a timeout, because it may never end: link a signal to stop it.
 */
export async function* withIdleTimeout<T>(
  source: AsyncIterable<T>,
  options: IdleTimeoutOptions,
): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let isStalled = false;
  try {
    for (;;) {
      const step = iterator.next();
      const result = await new Promise<IteratorResult<T>>((resolve, reject) => {
        const timer = options.timers.timer(options.idleMs, () => {
          isStalled = true;
          reject(options.onIdle());
        });
        step.then(resolve, reject).finally(() => timer[Symbol.dispose]());
      });
      if (result.done) return;
      yield result.value;
    }
  } finally {
    const closing = iterator.return?.();
    if (isStalled) closing?.catch(() => {});
    else await closing;
  }
}

/** All items of a stream, at most `maxItems`; beyond it throws, and returns the source. */
export async function collect<T>(source: AsyncIterable<T>, maxItems: number): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) {
    invariant(items.length < maxItems, `a stream gave more than ${maxItems} items`);
    items.push(item);
  }
  return items;
}
