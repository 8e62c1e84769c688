/** Jobs over a real SQLite store and a clock that is moved by hand; what `run` does is up to the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import type { Job } from '../core/job.ts';
import type { Clock } from '../core/runtime.ts';
import { createTransport } from '../engines/transport.ts';
import { JobService } from '../jobs/jobs.ts';
import { type JobsOptions, jobsOptionsSchema } from '../jobs/options.ts';
import type { RunJob } from '../jobs/runner.ts';
import { realRuntime } from '../runtime.ts';
import { type OpenedStore, openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { JOB_REQUEST, JOB_RESULT } from './job-conformance.ts';
import { ManualClock } from './manual-clock.ts';

export interface JobHarness extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly store: OpenedStore;
  readonly service: JobService;
  /** Another process on the same store. */
  another(run: RunJob): JobService;
  submit(changes?: { readonly webhookUrl?: string; readonly apiKeyId?: string }): Promise<Job>;
  /** Resolves when the job is so; moves the clock on by `stepMs` at each look. */
  until(id: string, holds: (job: Job) => boolean, stepMs?: number): Promise<Job>;
}

export interface JobHarnessOptions {
  readonly run?: RunJob;
  readonly options?: Partial<JobsOptions>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly isStarted?: boolean;
}

/** Calls its engine, which answers at once. */
export const runAtOnce: RunJob = async (_job, begin) => {
  await begin();
  return JOB_RESULT;
};

export async function jobHarness(harness: JobHarnessOptions = {}): Promise<JobHarness> {
  const directory = await mkdtemp(path.join(tmpdir(), 'greenroom-jobs-'));
  const clock = new ManualClock();
  const { random } = realRuntime;
  const never = new AbortController().signal;
  const store = await openStore({ url: undefined, directory, clock, random, log: silentLogger }, never);
  const services: JobService[] = [];
  const another = (run: RunJob) => {
    const service = jobService(store, clock, { ...harness, run });
    services.push(service);
    if (harness.isStarted !== false) service.start();
    return service;
  };
  const service = another(harness.run ?? runAtOnce);
  return {
    clock,
    store,
    service,
    another,
    submit: ({ webhookUrl = null, apiKeyId = '' }: { webhookUrl?: string | null; apiKeyId?: string } = {}) =>
      service.submit({ apiKeyId, request: JOB_REQUEST, webhookUrl }, null),
    until: async (id, holds, stepMs = 0) => {
      const patience = AbortSignal.timeout(30_000);
      for (;;) {
        const job = await store.jobs.get(id);
        if (job !== null && holds(job)) return job;
        if (patience.aborted) throw new Error(`the job stays ${JSON.stringify(job)}`);
        if (stepMs > 0) clock.advance(stepMs);
        await turnOfLoop();
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of services) await each[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export function jobService(
  store: Pick<OpenedStore, 'jobs'>,
  clock: Clock,
  { run = runAtOnce, options = {}, environment = {} }: JobHarnessOptions,
): JobService {
  return new JobService({
    store: store.jobs,
    options: jobsOptionsSchema.parse(options),
    run,
    clock,
    random: realRuntime.random,
    log: silentLogger,
    environment,
    connect: (origin) => createTransport({ baseUrl: origin, connections: 1, connectTimeoutMs: 5_000 }),
  });
}
