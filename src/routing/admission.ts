/**
 * Places at one engine. Most engines queue without bound, so admission is ours (design §5): so many in flight, so many
 * waiting, interactive before ambient, and a place asked for is either given, refused at once, or given up by its signal.
 */
import type { Priority } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';

export interface AdmissionAsk {
  readonly priority: Priority;
  /** Who is served fairly within a source; null: one nameless player. */
  readonly player: string | null;
  /** The game server: the id of its API key, or `local`. */
  readonly source: string;
  readonly promptTokens: number;
  /** Most tokens of the answer. */
  readonly maxTokens: number;
  /** The monotonic time after which a place is of no use; infinite: whenever it comes. */
  readonly deadlineMonoMs: number;
}

/** A place at the engine, until it is disposed. */
export interface Place extends Disposable {
  readonly waitedMs: number;
}

interface Waiter {
  readonly priority: Priority;
  readonly admit: () => void;
}

/** After this many interactive admissions in a row a waiting ambient one goes next, so that none starves. */
const INTERACTIVE_RUN_MAX = 8;

export interface AdmissionOptions {
  readonly engine: string;
  readonly maxInFlight: number;
  /** Prompt tokens in flight at once; null or left out: bounded by `maxInFlight` alone. */
  readonly maxPromptTokens?: number | null;
  readonly maxQueued: number;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #clock: Pick<Clock, 'monotonicMs' | 'timer'> | null;
  readonly #waiters: Record<Priority, Set<Waiter>> = { interactive: new Set(), ambient: new Set() };
  #running = 0;
  #runningPromptTokens = 0;
  #interactiveRun = 0;

  constructor(options: AdmissionOptions, parts?: { readonly clock: Pick<Clock, 'monotonicMs' | 'timer'> }) {
    this.#options = options;
    this.#clock = parts?.clock ?? null;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiters.interactive.size + this.#waiters.ambient.size;
  }

  /** Prompt tokens of the requests under way. */
  get runningPromptTokens(): number {
    return this.#runningPromptTokens;
  }

  get options(): AdmissionOptions {
    return this.#options;
  }

  /** Milliseconds that a new request of this priority would probably wait; 0 when a place is free or nothing is known. */
  predictedWaitMs(_priority: Priority): number {
    return 0;
  }

  /**
   * Resolves to a place, to be disposed when the work has ended. Throws `overloaded` at once when the queue is full or the
   * predicted wait passes the deadline; aborting while waiting leaves the queue and rejects with the signal's reason.
   */
  acquire(ask: AdmissionAsk | Priority, signal: AbortSignal): Promise<Place> {
    const priority = typeof ask === 'string' ? ask : ask.priority;
    const askedMonoMs = this.#clock?.monotonicMs() ?? 0;
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#running < this.#options.maxInFlight && this.waiting === 0)
      return Promise.resolve(this.#place(askedMonoMs));
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
          resolve(this.#place(askedMonoMs));
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      queue.add(waiter);
    });
  }

  #place(askedMonoMs: number): Place {
    this.#running += 1;
    let held = true;
    return {
      waitedMs: (this.#clock?.monotonicMs() ?? 0) - askedMonoMs,
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
