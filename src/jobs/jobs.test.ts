import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ServiceError } from '../core/errors.ts';
import { hasEnded, type Job } from '../core/job.ts';
import { abortable } from '../lib/abort.ts';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { JOB_REQUEST, JOB_RESULT, newJob } from '../testing/job-conformance.ts';
import { jobHarness, jobService, runAtOnce } from '../testing/job-service.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { backoffMs } from './backoff.ts';
import type { RunJob } from './runner.ts';

const never = new AbortController().signal;

/** An engine that answers when the test says so, and counts its calls. */
function heldEngine() {
  const state = { calls: 0, stopped: 0, answer: Promise.withResolvers<void>() };
  const run: RunJob = async (_job, begin, signal) => {
    await begin();
    state.calls += 1;
    try {
      await abortable(state.answer.promise, signal);
    } catch (error) {
      state.stopped += 1;
      throw error;
    }
    return JOB_RESULT;
  };
  return { state, run };
}

async function untilTrue(holds: () => boolean): Promise<void> {
  const patience = AbortSignal.timeout(30_000);
  while (!holds()) {
    patience.throwIfAborted();
    await turnOfLoop();
  }
}

test('a job is worked on and keeps what came of it', async () => {
  await using harness = await jobHarness();
  const { id, status } = await harness.submit();
  assert.match(id, /^job_/);
  assert.equal(status, 'queued');
  const job = await harness.until(id, hasEnded);
  assert.deepEqual([job.status, job.result, job.failure], ['succeeded', JOB_RESULT, null]);
});

test('no more jobs run at once than are allowed, and no more wait', async () => {
  const { state, run } = heldEngine();
  await using harness = await jobHarness({ run, options: { maxRunning: 2, maxQueued: 1 } });
  const first = await harness.submit();
  await harness.until(first.id, ({ status }) => status === 'running');
  const second = await harness.submit();
  await harness.until(second.id, ({ status }) => status === 'running');
  const third = await harness.submit();
  await assert.rejects(
    harness.submit(),
    (error) =>
      error instanceof ServiceError && error.code === 'overloaded' && /jobs\.maxQueued/.test(error.message),
  );
  assert.equal(harness.service.running, 2);
  state.answer.resolve();
  await harness.until(third.id, hasEnded);
  assert.equal(state.calls, 3);
});

test('what cannot be called yet is asked again later, what was called never', async () => {
  let tries = 0;
  const run: RunJob = async (_job, begin) => {
    tries += 1;
    if (tries < 4) throw new ServiceError('not_ready', 'the engine loads');
    await begin();
    throw new ServiceError('engine_error', 'it broke');
  };
  await using harness = await jobHarness({ run });
  const { id } = await harness.submit();
  const job = await harness.until(id, hasEnded, 500);
  assert.equal(tries, 4);
  assert.deepEqual(job.failure, { code: 'engine_error', reason: 'error', message: 'it broke' });
});

test('what no later try would mend has failed at once', async () => {
  const run: RunJob = () =>
    Promise.reject(new ServiceError('budget_exceeded', 'the cap of the day is reached'));
  await using harness = await jobHarness({ run });
  const job = await harness.until((await harness.submit()).id, hasEnded);
  assert.equal(job.failure?.code, 'budget_exceeded');
});

test('an engine that never can be asked is given up after a bounded number of tries', async () => {
  let tries = 0;
  const run: RunJob = () => {
    tries += 1;
    return Promise.reject(new ServiceError('engine_unavailable', 'nobody there'));
  };
  await using harness = await jobHarness({ run });
  const job = await harness.until((await harness.submit()).id, hasEnded, 5_000);
  assert.equal(job.failure?.code, 'engine_unavailable');
  assert.equal(tries, 46);
});

test('a job that takes too long is stopped at its engine', async () => {
  const { state, run } = heldEngine();
  await using harness = await jobHarness({ run, options: { timeoutSeconds: 60 } });
  const { id } = await harness.submit();
  await untilTrue(() => state.calls === 1);
  harness.clock.advance(60_000);
  const job = await harness.until(id, hasEnded);
  assert.deepEqual(
    [job.failure?.code, job.failure?.reason, state.stopped],
    ['deadline_exceeded', 'deadline', 1],
  );
});

test('a cancelled job is stopped at its engine; one that waits is never begun', async () => {
  const { state, run } = heldEngine();
  await using harness = await jobHarness({ run, options: { maxRunning: 1 } });
  const runs = await harness.submit();
  await untilTrue(() => state.calls === 1);
  const waits = await harness.submit();
  assert.equal((await harness.service.cancel(waits.id, null)).status, 'cancelled');
  assert.equal((await harness.service.cancel(runs.id, null)).status, 'cancelled');
  await untilTrue(() => state.stopped === 1 && harness.service.running === 0);
  assert.equal((await harness.store.jobs.get(runs.id))?.status, 'cancelled');
  assert.equal(state.calls, 1);
});

test('a job that is cancelled in another process is stopped when its lease is renewed', async () => {
  const { state, run } = heldEngine();
  await using harness = await jobHarness({ run });
  const { id } = await harness.submit();
  await untilTrue(() => state.calls === 1);
  await harness.store.jobs.cancel(id, 1_000_000);
  while (state.stopped === 0) {
    harness.clock.advance(1_000);
    await turnOfLoop();
  }
  assert.equal((await harness.store.jobs.get(id))?.status, 'cancelled');
});

test('a runner that works keeps its job, however long it takes and however many look', async () => {
  const { state, run } = heldEngine();
  await using harness = await jobHarness({ run });
  const { id } = await harness.submit();
  await untilTrue(() => state.calls === 1);
  const other = heldEngine();
  harness.another(other.run);
  for (let second = 0; second < 40; second += 1) {
    harness.clock.advance(1_000);
    for (let turn = 0; turn < 10; turn += 1) await turnOfLoop();
  }
  assert.equal((await harness.store.jobs.get(id))?.status, 'running');
  state.answer.resolve();
  assert.equal((await harness.until(id, hasEnded)).status, 'succeeded');
  assert.deepEqual([state.calls, other.state.calls], [1, 0]);
});

test('a clock that jumps takes no job from who works on it', async () => {
  const { state, run } = heldEngine();
  await using harness = await jobHarness({ run, options: { timeoutSeconds: 86_400 } });
  const { id } = await harness.submit();
  await untilTrue(() => state.calls === 1);
  for (let jump = 0; jump < 5; jump += 1) {
    harness.clock.advance(3_600_000);
    for (let turn = 0; turn < 30; turn += 1) await turnOfLoop();
  }
  state.answer.resolve();
  assert.equal((await harness.until(id, hasEnded)).status, 'succeeded');
});

test('a shutdown waits for what runs; then it is interrupted, and what was not called goes back', async () => {
  const { state, run } = heldEngine();
  await using harness = await jobHarness({ run });
  const called = await harness.submit();
  await untilTrue(() => state.calls === 1);
  const patience = new AbortController();
  const draining = harness.service.drain(patience.signal);
  const late = await harness.submit();
  patience.abort(new Error('no more patience'));
  await draining;
  const job = await harness.store.jobs.get(called.id);
  assert.deepEqual(
    [job?.status, job?.failure?.reason, job?.failure?.code],
    ['failed', 'interrupted', 'interrupted'],
  );
  assert.equal((await harness.store.jobs.get(late.id))?.status, 'queued');
  await using next = harness.another(runAtOnce);
  next.start();
  await harness.until(late.id, hasEnded, 1_000);
});

test('a shutdown before the call gives the job back at once', async () => {
  const run: RunJob = async (_job, _begin, signal) => await abortable(Promise.race<never>([]), signal);
  await using harness = await jobHarness({ run });
  const { id } = await harness.submit();
  await harness.until(id, ({ status }) => status === 'running');
  await harness.service.drain(AbortSignal.abort(new Error('now')));
  assert.equal((await harness.store.jobs.get(id))?.status, 'queued');
});

test('an end that cannot be kept is tried again until the store is back; the engine is not', async () => {
  await using harness = await jobHarness({ isStarted: false });
  const { jobs } = harness.store;
  let calls = 0;
  let refusals = 0;
  const away = () => Promise.reject(new ServiceError('store_unavailable', 'the disk is full'));
  const flaky = new Proxy(jobs, {
    get: (target, name: keyof typeof jobs) => {
      if (name === 'settle' && refusals < 3) {
        refusals += 1;
        return away;
      }
      if (name === 'reap' && calls === 1) return away;
      return target[name].bind(target);
    },
  });
  const run: RunJob = async (job, begin, signal) => {
    calls += 1;
    return await runAtOnce(job, begin, signal);
  };
  await using service = jobService({ jobs: flaky }, harness.clock, { run });
  service.start();
  const { id } = await harness.submit();
  const job = await harness.until(id, hasEnded, 100);
  assert.deepEqual([job.status, calls, refusals], ['succeeded', 1, 3]);
});

test('the same key gives the same job, another job with it is refused', async () => {
  await using harness = await jobHarness({ isStarted: false });
  const job = { apiKeyId: 'k', request: JOB_REQUEST, webhookUrl: null };
  const first = await harness.service.submit(job, 'once');
  const again = await Promise.all([harness.service.submit(job, 'once'), harness.service.submit(job, 'once')]);
  assert.deepEqual(again, [first, first]);
  assert.notEqual((await harness.service.submit({ ...job, apiKeyId: 'other' }, 'once')).id, first.id);
  await assert.rejects(
    harness.service.submit({ ...job, request: { ...JOB_REQUEST, maxTokens: 1 } }, 'once'),
    (error) => error instanceof ServiceError && error.code === 'idempotency_conflict',
  );
});

test('a job is seen by who sent it and by the operator', async () => {
  await using harness = await jobHarness({ isStarted: false });
  const { id } = await harness.submit({ apiKeyId: 'mine' });
  assert.equal((await harness.service.get(id, 'mine')).id, id);
  assert.equal((await harness.service.get(id, null)).id, id);
  const isUnknown = (error: unknown) => error instanceof ServiceError && error.code === 'unknown_job';
  await assert.rejects(harness.service.get(id, 'other'), isUnknown);
  await assert.rejects(harness.service.cancel(id, 'other'), isUnknown);
  await assert.rejects(harness.service.watch(id, 'other', never)[Symbol.asyncIterator]().next(), isUnknown);
});

test('who watches hears each change once, up to the end, also one made elsewhere; who leaves is forgotten', async () => {
  const { state, run } = heldEngine();
  await using harness = await jobHarness({ run, isStarted: false });
  const { id } = await harness.submit();
  const heard: string[] = [];
  const watching = (async () => {
    for await (const { status } of harness.service.watch(id, null, never)) heard.push(status);
  })();
  await untilTrue(() => heard.length === 1);
  harness.service.start();
  await untilTrue(() => heard.length === 2);
  state.answer.resolve();
  await watching;
  assert.deepEqual(heard, ['queued', 'running', 'succeeded']);
  const other = await harness.submit();
  await harness.until(other.id, hasEnded);
  const gone = new AbortController();
  const left = await harness.store.jobs.create(newJob('job_elsewhere'), 10);
  assert.ok(left);
  const lines = harness.service.watch('job_elsewhere', null, gone.signal)[Symbol.asyncIterator]();
  assert.equal(((await lines.next()).value as Job).status, 'queued');
  const reason = new Error('left');
  const next = lines.next();
  gone.abort(reason);
  await assert.rejects(
    next.then(() => lines.next()),
    (error) => error === reason,
  );
});

test('old jobs are forgotten when their time is over', async () => {
  await using harness = await jobHarness({ options: { retentionHours: 1 } });
  const { id } = await harness.submit();
  await harness.until(id, hasEnded);
  harness.clock.advance(3_600_000);
  while ((await harness.store.jobs.get(id)) !== null) {
    harness.clock.advance(60_000);
    await turnOfLoop();
  }
});

test('waits grow to a bound', () => {
  const waits = { firstMs: 1_000, factor: 2, maxMs: 5_000 };
  assert.deepEqual(
    [0, 1, 2, 3, 400].map((failures) => backoffMs(waits, failures)),
    [1_000, 2_000, 4_000, 5_000, 5_000],
  );
});

const worker = path.join(import.meta.dirname, '../testing/job-worker.ts');

for (const [what, hangsBefore, status, callsMade] of [
  ['after its call has failed as interrupted, and is not called again', '', 'failed', 1],
  ['before its call is worked on by the next', 'before', 'succeeded', 0],
] as const) {
  test(`a job whose process is killed ${what}`, async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'greenroom-killed-'));
    const calls = path.join(directory, 'calls');
    const open = (clock: ManualClock | typeof realRuntime.clock) =>
      openStore({ url: undefined, directory, clock, random: realRuntime.random, log: silentLogger }, never);
    try {
      {
        await using store = await open(realRuntime.clock);
        await store.jobs.create(newJob('job_killed'), 10);
      }
      const child = spawn(process.execPath, [worker, directory, calls, hangsBefore], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      await once(child.stdout, 'data');
      child.kill('SIGKILL');
      assert.deepEqual(await exited, [null, 'SIGKILL']);
      // The next process begins after the lease of the dead one has ended.
      const clock = new ManualClock(realRuntime.clock.nowMs() + 10_001);
      await using store = await open(clock);
      let calledAgain = 0;
      const run: RunJob = async (job, begin, signal) => {
        calledAgain += 1;
        return await runAtOnce(job, begin, signal);
      };
      await using service = jobService(store, clock, { run });
      service.start();
      let job = await store.jobs.get('job_killed');
      const patience = AbortSignal.timeout(30_000);
      while (job === null || !hasEnded(job)) {
        patience.throwIfAborted();
        await turnOfLoop();
        job = await store.jobs.get('job_killed');
      }
      assert.equal(job.status, status);
      assert.equal(job.failure?.reason, callsMade === 1 ? 'interrupted' : undefined);
      const lines = await readFile(calls, 'utf8').catch(() => '');
      assert.equal(lines.split('\n').length - 1, callsMade);
      assert.equal(calledAgain, 1 - callsMade);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
}
