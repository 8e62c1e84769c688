/**
 * The one way to the database. Every query passes here, so that whatever goes wrong becomes `store_unavailable` with
 * what to do, waits are bounded, and a database that is gone is not asked by every dialogue in turn.
 */
import type { Kysely } from 'kysely';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import { InvariantError } from '../lib/invariant.ts';
import type { Backend, Failure } from './backend.ts';
import type { Tables } from './tables.ts';

/** More queries at once than this are refused: memory stays bounded when the database crawls. */
const IN_FLIGHT_MAX = 500;
/** How long a query asks again while another process holds the lock. */
const BUSY_WAIT_MAX_MS = 5_000;
/** After the database could not be reached, so long every query fails at once; then one tries. */
const REST_MS = 1_000;
/** One line in the log for this long, however many queries fail. */
const LOG_EVERY_MS = 10_000;

export interface AccessOptions {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called for each operation that failed, for the metric. */
  readonly onFailure?: (operation: string) => void;
}

export class Access {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Logger;
  readonly #onFailure: (operation: string) => void;
  readonly #closing = new AbortController();
  #inFlight = 0;
  #restUntilMonoMs = Number.NEGATIVE_INFINITY;
  #loggedMonoMs = Number.NEGATIVE_INFINITY;
  /** By operation, what failed last and did not succeed since. As long as our list of operations. */
  readonly #failures = new Map<string, Failure>();

  constructor(options: AccessOptions) {
    this.backend = options.backend;
    this.clock = options.clock;
    this.log = options.log;
    this.#onFailure = options.onFailure ?? (() => {});
  }

  /** What fails at present: an operation's last failure, until that operation succeeds. */
  get failure(): string | null {
    return [...this.#failures.values()].at(-1)?.message ?? null;
  }

  /** Aborts when the store closes; background work hangs on it. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * Runs one query, which must be a single statement or only read: it is asked again while another process holds the
   * lock. `operation` names it in the log and the metric. Throws `store_unavailable` for whatever went wrong.
   */
  async run<T>(operation: string, query: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    this.closing.throwIfAborted();
    if (this.clock.monotonicMs() < this.#restUntilMonoMs)
      throw this.#refuse(operation, this.failure ?? 'the store could not be reached a moment ago');
    if (this.#inFlight >= IN_FLIGHT_MAX)
      throw this.#refuse(
        operation,
        `${this.#inFlight} queries wait for ${this.backend.location}, which is the limit`,
      );
    this.#inFlight += 1;
    try {
      const result = await this.#untilFree(query);
      if (this.#failures.size > 0) this.#recovered(operation);
      return result;
    } catch (error) {
      throw this.#failed(operation, error);
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** Refuses further queries and closes the connections; queries that run may fail. */
  async close(): Promise<void> {
    if (this.closing.aborted) return;
    this.#closing.abort(
      new ServiceError('store_unavailable', `the store ${this.backend.location} is closed`),
    );
    await this.backend.db.destroy();
  }

  async #untilFree<T>(query: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    const startedMonoMs = this.clock.monotonicMs();
    for (let waitMs = 2; ; waitMs = Math.min(waitMs * 2, 100)) {
      try {
        return await query(this.backend.db);
      } catch (error) {
        const isBusy = this.backend.explain(error).kind === 'busy';
        if (!isBusy || this.clock.monotonicMs() - startedMonoMs > BUSY_WAIT_MAX_MS) throw error;
        await this.clock.sleep(waitMs, this.closing);
      }
    }
  }

  /** A disk that is full still lets one read, so a success speaks for its own operation, or for the connection. */
  #recovered(operation: string): void {
    this.#failures.delete(operation);
    for (const [name, failure] of this.#failures)
      if (failure.kind === 'unreachable') this.#failures.delete(name);
    if (this.#failures.size === 0) this.log.info('store.recovered', { location: this.backend.location });
  }

  #failed(operation: string, error: unknown): Error {
    if (error instanceof ServiceError || error instanceof InvariantError) return error;
    const failure = this.backend.explain(error);
    const { kind, message } = failure;
    const nowMs = this.clock.monotonicMs();
    if (kind === 'unreachable') this.#restUntilMonoMs = nowMs + REST_MS;
    // Deleted first, so that the newest is last.
    this.#failures.delete(operation);
    this.#failures.set(operation, failure);
    if (nowMs - this.#loggedMonoMs >= LOG_EVERY_MS) {
      this.#loggedMonoMs = nowMs;
      this.log.error('store.failed', { operation, reason: message });
    }
    return this.#refuse(operation, message, error);
  }

  #refuse(operation: string, message: string, cause?: unknown): ServiceError {
    this.#onFailure(operation);
    return new ServiceError('store_unavailable', message, {
      ...(cause === undefined ? {} : { cause }),
      details: { operation },
    });
  }
}
