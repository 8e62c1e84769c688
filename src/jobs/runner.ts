/**
 * Works jobs off: takes what is due, runs it, keeps how it ended, tells who is to be told. One loop a process; any number
 * of processes on one store. Its promise: an engine is called for a job at most once. `begin` is kept before the call,
 * and who finds it kept does not call; a runner that cannot renew its lease finds its job gone.
 *
 * A store that is away stops new jobs and settles nothing; what runs goes on and is settled when it is back, or is found
 * interrupted by whoever looks after the lease has ended.
 */
import { ServiceError } from '../core/errors.ts';
import type { Job, JobEnd, JobFailure, JobResult, JobStore } from '../core/job.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import { TaskGroup } from '../lib/async.ts';
import { backoffMs } from './backoff.ts';
import type { JobsOptions } from './options.ts';

const LEASE_MS = 10_000;
/** Also how late a job of another process is seen. */
const TICK_MS = 1_000;
const PRUNE_EVERY_MS = 60_000;
/** An engine that cannot take a job yet is waited for about twenty minutes; it costs nothing. */
const RELEASE_WAITS = { firstMs: 1_000, factor: 2, maxMs: 30_000 } as const;
const RELEASES_MAX = 45;
/** How long the end of a job is tried to be kept, well past any restart of a database. */
const SETTLE_TRIES_MAX = 60;
const HOUR_MS = 3_600_000;

/**
 * Makes the answer. Before the first call to any engine it awaits `begin`; when that rejects it must not call. A failure
 * before `begin` that may pass (`retryable` in the catalogue) sends the job back to the queue. Aborting stops the work.
 */
export type RunJob = (job: Job, begin: () => Promise<void>, signal: AbortSignal) => Promise<JobResult>;

export interface RunnerParts {
  readonly store: JobStore;
  readonly run: RunJob;
  readonly options: JobsOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Told of each change that this process makes. Must not throw. */
  readonly onChange: (jobId: string) => void;
}

interface Running {
  readonly abort: (reason: unknown) => void;
}

export class JobRunner implements AsyncDisposable {
  readonly #parts: RunnerParts;
  readonly #owner: string;
  readonly #tasks: TaskGroup;
  readonly #running = new Map<string, Running>();
  readonly #stopping = new AbortController();
  /** Of jobs sent back, how often; forgotten when they end here, or with the process. */
  readonly #releases = new Map<string, number>();
  #loop: Promise<void> | null = null;
  #wake = Promise.withResolvers<void>();
  #prunedMonoMs = Number.NEGATIVE_INFINITY;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
    this.#owner = parts.random.id('runner');
    this.#tasks = new TaskGroup({
      maxTasks: parts.options.maxRunning,
      onFailure: (name, error) =>
        parts.log.error('job.failed_to_settle', { job: name, reason: String(error) }),
    });
  }

  get running(): number {
    return this.#running.size;
  }

  /** Begins to take jobs; those that a dead process left are settled first, once their lease has ended. */
  start(): void {
    this.#loop ??= this.#work();
  }

  /** Looks now: a job was made, or cancelled. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Stops the work on a job of this process; its end is already kept. */
  stop(id: string, reason: unknown): void {
    this.#running.get(id)?.abort(reason);
  }

  /**
   * Takes no new job and waits for those that run until `signal` aborts; then they are stopped. One that no engine was
   * called for goes back to the queue, another has failed as interrupted.
   */
  async drain(signal: AbortSignal): Promise<void> {
    this.#stopping.abort(new ServiceError('draining', 'the service is shutting down'));
    this.wake();
    await this.#loop;
    // Those that are waited for keep their leases.
    const drained = new AbortController();
    const renewing = this.#renewUntil(drained.signal);
    await this.#tasks.drain(signal);
    drained.abort();
    await renewing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(AbortSignal.abort(new ServiceError('draining', 'the service was stopped')));
  }

  async #work(): Promise<void> {
    const { clock, log } = this.#parts;
    const stopping = this.#stopping.signal;
    let isAway = false;
    while (!stopping.aborted) {
      this.#wake = Promise.withResolvers<void>();
      try {
        await this.#tick();
        isAway = false;
      } catch (error) {
        // Said once, not each second of an outage.
        if (!isAway) log.warn('jobs.store_away', { reason: String(error) });
        isAway = true;
      }
      using timer = clock.timer(TICK_MS, () => this.wake());
      void timer;
      await this.#wake.promise;
    }
  }

  async #renewUntil(drained: AbortSignal): Promise<void> {
    while (!drained.aborted) {
      await this.#renew().catch(() => {});
      await this.#parts.clock.sleep(TICK_MS, drained).catch(() => {});
    }
  }

  async #tick(): Promise<void> {
    const { store, options, clock, log } = this.#parts;
    // Just before the reaping, so that a clock that jumped does not make our own jobs look abandoned.
    await this.#renew();
    const reaped = await store.reap(this.#keepMs);
    if (reaped.requeued + reaped.interrupted > 0) log.warn('jobs.reaped', { ...reaped });
    if (clock.monotonicMs() - this.#prunedMonoMs >= PRUNE_EVERY_MS) {
      await store.prune();
      this.#prunedMonoMs = clock.monotonicMs();
    }
    while (this.#running.size < options.maxRunning && !this.#stopping.signal.aborted) {
      const job = await store.claim(this.#owner, LEASE_MS);
      if (job === null) return;
      await this.#start(job);
    }
  }

  async #renew(): Promise<void> {
    if (this.#running.size === 0) return;
    const ids = [...this.#running.keys()];
    const mine = await this.#parts.store.renew(this.#owner, ids, LEASE_MS);
    for (const id of ids)
      if (!mine.has(id))
        this.stop(id, new ServiceError('interrupted', 'the job was cancelled or taken away'));
  }

  async #start(job: Job): Promise<void> {
    if (this.#tasks.tryStart(job.id, (closing) => this.#runOne(job, closing))) return;
    await this.#parts.store.release(job.id, this.#owner, job.createdAtMs);
  }

  async #runOne(job: Job, closing: AbortSignal): Promise<void> {
    const { options, clock, log } = this.#parts;
    using life = linkSignals(closing);
    this.#running.set(job.id, { abort: life.abort });
    this.#changed(job.id);
    const timeoutMs = options.timeoutSeconds * 1_000;
    using deadline = clock.timer(
      timeoutMs - Math.max(0, clock.nowMs() - (job.startedAtMs ?? clock.nowMs())),
      () =>
        life.abort(
          new ServiceError(
            'deadline_exceeded',
            `the job ran ${timeoutMs} ms, which is the limit (jobs.timeoutSeconds)`,
          ),
        ),
    );
    void deadline;
    try {
      const end = await this.#runToEnd(job, life.signal, closing);
      if (end !== null) await this.#settle(job.id, end);
      log.info('job.ended', { job: job.id, status: end?.status ?? 'released' });
    } finally {
      this.#running.delete(job.id);
      this.#changed(job.id);
      this.wake();
    }
  }

  /** How it ended; null when it went back to the queue. */
  async #runToEnd(job: Job, signal: AbortSignal, closing: AbortSignal): Promise<JobEnd | null> {
    const { store, run } = this.#parts;
    let isSent = false;
    const begin = async () => {
      signal.throwIfAborted();
      if (isSent) return;
      if (!(await store.begin(job.id, this.#owner)))
        throw new ServiceError('interrupted', 'the job was cancelled or taken away before its call');
      isSent = true;
      signal.throwIfAborted();
    };
    try {
      const result = await run(job, begin, signal);
      return { status: 'succeeded', result };
    } catch (caught) {
      const error = closing.aborted
        ? new ServiceError('draining', 'the service was stopped')
        : ServiceError.from(signal.aborted ? signal.reason : caught);
      if (!isSent && (await this.#release(job, error))) return null;
      return { status: 'failed', failure: failureOf(error) };
    }
  }

  async #release(job: Job, error: ServiceError): Promise<boolean> {
    const { store, clock } = this.#parts;
    const times = this.#releases.get(job.id) ?? 0;
    if (!error.retryable || error.code === 'deadline_exceeded' || times >= RELEASES_MAX) return false;
    const waitMs = error.code === 'draining' ? 0 : backoffMs(RELEASE_WAITS, times);
    if (!(await store.release(job.id, this.#owner, clock.nowMs() + waitMs))) return false;
    this.#releases.set(job.id, times + 1);
    return true;
  }

  /** What was billed must be kept: tries again while the store is away. */
  async #settle(id: string, end: JobEnd): Promise<void> {
    const { store, clock, log } = this.#parts;
    const never = new AbortController().signal;
    this.#releases.delete(id);
    for (let tries = 1; ; tries += 1) {
      try {
        if (!(await store.settle(id, this.#owner, end, this.#keepMs)))
          log.debug('job.end_not_wanted', { job: id });
        return;
      } catch (error) {
        if (tries >= SETTLE_TRIES_MAX || this.#stopping.signal.aborted) throw error;
        await clock.sleep(TICK_MS, never);
      }
    }
  }

  get #keepMs(): number {
    return this.#parts.options.retentionHours * HOUR_MS;
  }

  #changed(id: string): void {
    this.#parts.onChange(id);
  }
}

function failureOf(error: ServiceError): JobFailure {
  const { code, message } = error;
  if (code === 'draining')
    return {
      code: 'interrupted',
      reason: 'interrupted',
      message: 'the service was stopped while an engine worked on it; it is not asked again by itself',
    };
  const reason = code === 'deadline_exceeded' ? 'deadline' : code === 'interrupted' ? 'interrupted' : 'error';
  return { code, reason, message };
}
