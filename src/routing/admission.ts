/**
 * Places at one engine. Most engines queue without bound, so admission is ours (design §5): so many in flight, so many
 * waiting, interactive before ambient, and a place asked for is either given, refused at once, or given up by its signal.
 */
import type { Priority } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';

interface Waiter {
  readonly priority: Priority;
  readonly admit: () => void;
}

/** After this many interactive admissions in a row a waiting ambient one goes next, so that none starves. */
const INTERACTIVE_RUN_MAX = 8;

export interface AdmissionOptions {
  readonly engine: string;
  readonly maxInFlight: number;
  readonly maxQueued: number;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #waiters: Record<Priority, Set<Waiter>> = { interactive: new Set(), ambient: new Set() };
  #running = 0;
  #interactiveRun = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiters.interactive.size + this.#waiters.ambient.size;
  }

  /**
   * Resolves to a place, to be disposed when the work has ended. Throws `overloaded` at once when the queue is full;
   * aborting while waiting leaves the queue and rejects with the signal's reason.
   */
  acquire(priority: Priority, signal: AbortSignal): Promise<Disposable> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#running < this.#options.maxInFlight && this.waiting === 0)
      return Promise.resolve(this.#place());
    if (this.waiting >= this.#options.maxQueued) {
      const { engine, maxQueued } = this.#options;
      return Promise.reject(
        new ServiceError(
          'overloaded',
          `the queue of engine ${engine} is full: ${this.waiting} wait, the limit is ${maxQueued} (engines.${engine}.maxQueued)`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      const queue = this.#waiters[priority];
      const onAbort = () => {
        queue.delete(waiter);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        priority,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#place());
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      queue.add(waiter);
    });
  }

  #place(): Disposable {
    this.#running += 1;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#running -= 1;
        this.#admitNext();
      },
    };
  }

  #admitNext(): void {
    if (this.#running >= this.#options.maxInFlight) return;
    const { interactive, ambient } = this.#waiters;
    const ambientTurn =
      ambient.size > 0 && (interactive.size === 0 || this.#interactiveRun >= INTERACTIVE_RUN_MAX);
    const queue = ambientTurn ? ambient : interactive;
    const [next] = queue;
    if (next === undefined) return;
    queue.delete(next);
    this.#interactiveRun = ambientTurn ? 0 : this.#interactiveRun + 1;
    next.admit();
  }
}
