/**
 * Jobs as the doors see them: submit, look, cancel, watch. Holds the runner and the webhooks of this process together;
 * started once the engines can be asked, drained before the store closes.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ServiceError } from '../core/errors.ts';
import { hasEnded, type Job, type JobStore, type Jobs, type NewJob } from '../core/job.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import type { Transport } from '../core/transport.ts';
import { abortable } from '../lib/abort.ts';
import { deliverForever } from './deliveries.ts';
import type { JobsOptions } from './options.ts';
import { JobRunner, type RunJob } from './runner.ts';
import { Webhooks } from './webhook.ts';

/** How often a watcher looks for a change made by another process; one made here wakes it at once. */
const LOOK_EVERY_MS = 1_000;
const HOUR_MS = 3_600_000;

export interface JobServiceParts {
  readonly store: JobStore;
  readonly options: JobsOptions;
  readonly run: RunJob;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** For webhooks: a connection to this origin that follows no redirect. */
  readonly connect: (origin: string) => Transport;
}

export class JobService implements Jobs, AsyncDisposable {
  readonly #parts: JobServiceParts;
  readonly #webhooks: Webhooks;
  readonly #runner: JobRunner;
  readonly #stopping = new AbortController();
  readonly #watchers = new Map<string, Set<() => void>>();
  #delivering: Promise<void> | null = null;

  /** Throws `config_invalid` for a webhook host without its secret. */
  constructor(parts: JobServiceParts) {
    this.#parts = parts;
    this.#webhooks = new Webhooks({
      hosts: parts.options.webhookHosts,
      environment: parts.environment,
      connect: parts.connect,
    });
    this.#runner = new JobRunner({ ...parts, onChange: (id) => this.#tell(id) });
  }

  /** Jobs that this process works on now. */
  get running(): number {
    return this.#runner.running;
  }

  /** Begins to work off jobs and to tell their ends. */
  start(): void {
    this.#runner.start();
    if (this.#parts.options.webhookHosts.length > 0)
      this.#delivering ??= deliverForever(
        { ...this.#parts, webhooks: this.#webhooks },
        this.#stopping.signal,
      );
  }

  async submit(job: Omit<NewJob, 'id'>, onceKey: string | null): Promise<Job> {
    const { store, options, random } = this.#parts;
    if (job.webhookUrl !== null) this.#webhooks.check(job.webhookUrl);
    const id = onceKey === null ? random.id('job') : onceId(job.apiKeyId, onceKey);
    const isNew = await store.create({ ...job, id }, options.maxQueued);
    if (isNew) this.#runner.wake();
    const kept = await store.get(id);
    if (kept === null)
      throw new ServiceError(
        'overloaded',
        `${options.maxQueued} jobs wait, which is the limit (jobs.maxQueued)`,
      );
    if (!isNew && !isDeepStrictEqual([kept.request, kept.webhookUrl], [job.request, job.webhookUrl]))
      throw new ServiceError(
        'idempotency_conflict',
        'this Idempotency-Key came with another job; send a new key with a new job',
      );
    return kept;
  }

  async get(id: string, apiKeyId: string | null): Promise<Job> {
    const job = await this.#parts.store.get(id);
    if (job === null || (apiKeyId !== null && job.apiKeyId !== apiKeyId))
      throw new ServiceError('unknown_job', `no job has the id "${id.slice(0, 100)}"`);
    return job;
  }

  async cancel(id: string, apiKeyId: string | null): Promise<Job> {
    await this.get(id, apiKeyId);
    const job = await this.#parts.store.cancel(id, this.#parts.options.retentionHours * HOUR_MS);
    if (job === null) throw new ServiceError('unknown_job', `no job has the id "${id.slice(0, 100)}"`);
    this.#runner.stop(id, new ServiceError('interrupted', 'the job was cancelled'));
    this.#tell(id);
    return job;
  }

  async *watch(id: string, apiKeyId: string | null, signal: AbortSignal): AsyncGenerator<Job> {
    let told: string | null = null;
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<void>();
      // Listened before it is looked at, so that no change falls between.
      this.#listen(id, resolve);
      using timer = this.#parts.clock.timer(LOOK_EVERY_MS, resolve);
      void timer;
      try {
        const job = await abortable(this.get(id, apiKeyId), signal);
        if (job.status !== told) {
          told = job.status;
          yield job;
        }
        if (hasEnded(job)) return;
        await abortable(promise, signal);
      } finally {
        this.#unlisten(id, resolve);
      }
    }
  }

  /** As `JobRunner.drain`; the telling of ends stops at once, what was not told is due again after the next start. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#stopping.abort(new ServiceError('draining', 'the service is shutting down'));
    await this.#runner.drain(signal);
    await this.#delivering;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(AbortSignal.abort(new ServiceError('draining', 'the service was stopped')));
  }

  #tell(id: string): void {
    for (const wake of this.#watchers.get(id) ?? []) wake();
  }

  #listen(id: string, wake: () => void): void {
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(wake));
  }

  #unlisten(id: string, wake: () => void): void {
    const watchers = this.#watchers.get(id);
    watchers?.delete(wake);
    if (watchers?.size === 0) this.#watchers.delete(id);
  }
}

/** The same for the same key, so that the row itself is what makes a retry harmless, also after a crash. */
function onceId(apiKeyId: string, onceKey: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([apiKeyId, onceKey]))
    .digest('hex');
  return `job_once_${digest.slice(0, 32)}`;
}
