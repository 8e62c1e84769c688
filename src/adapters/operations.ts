/**
 * Long work on adapters as people see it: started, goes on when the caller hangs up, watched by whoever likes, ended once.
 * Invariants: one at most for each adapter's name at any moment, in this process; what ended is kept for a while, what runs
 * is never forgotten. Between processes the store decides (a digest, a revision), so the limit here is for order, not safety.
 */
import { ERRORS, ServiceError } from '../core/errors.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import { abortable } from '../lib/abort.ts';
import { TaskGroup } from '../lib/async.ts';
import type { AdapterProgress } from './views.ts';

export const OPERATION_KINDS = ['add', 'publish', 'swap', 'unload', 'verify', 'remove', 'pin'] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

export interface AdapterOperation {
  readonly id: string;
  readonly kind: OperationKind;
  /** `lich@7`. */
  readonly adapter: string;
  readonly stage: 'starting' | AdapterProgress['stage'] | 'failed';
  /** One sentence for people. */
  readonly detail: string;
  /** Of the stage; null where it cannot be said. */
  readonly percent: number | null;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  readonly outcome: null | 'succeeded' | 'failed';
  readonly failure: { readonly code: string; readonly message: string } | null;
}

/** The work itself. Resolves to the sentence that says what was done. */
export type OperationWork = (
  onProgress: (progress: AdapterProgress) => void,
  signal: AbortSignal,
) => Promise<string>;

export interface OperationsOptions {
  readonly clock: Clock;
  readonly random: Pick<Random, 'id'>;
  readonly log: Logger;
  /** Told once of each that ended, for the metric. */
  readonly onEnd?: (kind: OperationKind, outcome: 'succeeded' | 'failed') => void;
}

const KEPT_MAX = 100;
/** Each holds a fetch, a staging or some loads; far below what is kept, so that none that runs is ever forgotten. */
const RUNNING_MAX = 16;

export class AdapterOperations implements AsyncDisposable {
  readonly #options: OperationsOptions;
  readonly #tasks: TaskGroup;
  /** Oldest first. */
  readonly #kept = new Map<string, AdapterOperation>();
  /** Names that somebody works on, with what it is. */
  readonly #busy = new Map<string, string>();
  readonly #watchers = new Map<string, Set<() => void>>();

  constructor(options: OperationsOptions) {
    this.#options = options;
    this.#tasks = new TaskGroup({
      maxTasks: RUNNING_MAX,
      onFailure: (name, error) => options.log.error('adapter.operation_lost', { name, error }),
    });
  }

  /**
   * Begins it; it ends by itself. Throws `adapter_busy` while another works on the same name, or 16 run. Its signal aborts
   * when the service stops.
   */
  start(
    kind: OperationKind,
    adapter: { readonly name: string; readonly version: string },
    work: OperationWork,
  ): AdapterOperation {
    const id = `${adapter.name}@${adapter.version}`;
    const release = this.#take(adapter.name, `${kind} of ${id}`);
    const operation: AdapterOperation = {
      id: this.#options.random.id('aop'),
      kind,
      adapter: id,
      stage: 'starting',
      detail: `${kind} ${id}`,
      percent: null,
      startedAtMs: this.#options.clock.nowMs(),
      endedAtMs: null,
      outcome: null,
      failure: null,
    };
    this.#keep(operation);
    const isStarted = this.#tasks.tryStart(operation.id, async (signal) => {
      const end = await this.#run(operation, work, signal);
      // Before the end is told: who hears of it may begin the next at once.
      release();
      this.#end(end, operation);
    });
    if (isStarted) return this.#kept.get(operation.id) ?? operation;
    release();
    this.#kept.delete(operation.id);
    throw new ServiceError(
      'adapter_busy',
      `${this.#tasks.size} operations on adapters run, of at most ${RUNNING_MAX}; wait until one has ended`,
    );
  }

  /** Short work under the same rule: nobody else works on this name meanwhile. Throws `adapter_busy`. */
  async alone<T>(kind: OperationKind, name: string, work: () => Promise<T>): Promise<T> {
    const release = this.#take(name, `${kind} of ${name}`);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** The newest first. */
  list(): readonly AdapterOperation[] {
    return [...this.#kept.values()].reverse();
  }

  /** Throws `not_found` for one that is not known, or no longer. */
  get(id: string): AdapterOperation {
    const operation = this.#kept.get(id);
    if (operation === undefined)
      throw new ServiceError(
        'not_found',
        `no operation on adapters has the id ${JSON.stringify(id.slice(0, 80))}; this gateway keeps the last ${KEPT_MAX} since its start`,
      );
    return operation;
  }

  /**
   * The operation as it stands, then as it changes, up to its end; a reader that is slow misses steps, never the last one.
   * Throws `not_found` at once. Aborting rejects with the signal's reason and stops the watching, not the work.
   */
  watch(id: string, signal: AbortSignal): AsyncIterable<AdapterOperation> {
    const first = this.get(id);
    return this.#watch(first, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
  }

  async *#watch(first: AdapterOperation, signal: AbortSignal): AsyncGenerator<AdapterOperation> {
    const { id } = first;
    let wake = Promise.withResolvers<void>();
    const watcher = () => wake.resolve();
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(watcher));
    try {
      let told: AdapterOperation | null = null;
      for (let now: AdapterOperation = this.#kept.get(id) ?? first; ; now = this.#kept.get(id) ?? now) {
        if (now === told) {
          await abortable(wake.promise, signal);
          wake = Promise.withResolvers<void>();
          continue;
        }
        told = now;
        yield now;
        if (now.outcome !== null) return;
      }
    } finally {
      watchers.delete(watcher);
      if (watchers.size === 0) this.#watchers.delete(id);
    }
  }

  /** Resolves to how it ended; never rejects. */
  async #run(
    operation: AdapterOperation,
    work: OperationWork,
    signal: AbortSignal,
  ): Promise<Partial<AdapterOperation>> {
    let hasEnded = false;
    try {
      const detail = await work(({ stage, detail: step, percent }) => {
        // Late news of work that has ended changes nothing.
        if (hasEnded) return;
        const now = this.#kept.get(operation.id) ?? operation;
        this.#keep({
          ...now,
          stage,
          detail: step,
          percent: percent === undefined ? null : Math.floor(percent),
        });
      }, signal);
      return { stage: 'done', detail, percent: 100, outcome: 'succeeded' };
    } catch (error) {
      const known = ServiceError.from(signal.aborted ? stopped(operation) : error);
      const { code } = known;
      // What failed inside is logged, never shown.
      const message = code === 'internal' ? ERRORS.internal.title : known.message;
      if (code === 'internal')
        this.#options.log.error('adapter.operation_broke', { id: operation.id, error });
      return {
        stage: 'failed',
        detail: message,
        percent: null,
        outcome: 'failed',
        failure: { code, message },
      };
    } finally {
      hasEnded = true;
    }
  }

  #end(end: Partial<AdapterOperation>, { id, kind, adapter, startedAtMs }: AdapterOperation): void {
    const endedAtMs = this.#options.clock.nowMs();
    this.#keep({ ...this.get(id), ...end, endedAtMs });
    const { outcome, detail } = this.get(id);
    if (outcome !== null) this.#options.onEnd?.(kind, outcome);
    this.#options.log.info('adapter.operation_ended', {
      ...{ id, kind, adapter, outcome, detail },
      durationMs: endedAtMs - startedAtMs,
    });
  }

  #keep(operation: AdapterOperation): void {
    this.#kept.set(operation.id, operation);
    for (const [id, { outcome }] of this.#kept) {
      if (this.#kept.size <= KEPT_MAX) break;
      if (outcome !== null) this.#kept.delete(id);
    }
    for (const wake of this.#watchers.get(operation.id) ?? []) wake();
  }

  #take(name: string, what: string): () => void {
    const other = this.#busy.get(name);
    if (other !== undefined)
      throw new ServiceError('adapter_busy', `the ${other} is not done yet; wait for its end`);
    this.#busy.set(name, what);
    return () => void this.#busy.delete(name);
  }
}

function stopped({ kind, adapter }: AdapterOperation): ServiceError {
  return new ServiceError(
    'draining',
    `the gateway stopped during the ${kind} of ${adapter}; what was kept is kept, so do it again`,
  );
}
