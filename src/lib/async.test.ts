import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, TaskGroup, type Timers, withIdleTimeout } from './async.ts';

const failures: unknown[] = [];
const group = (maxTasks = 4) =>
  new TaskGroup({ maxTasks, onFailure: (name, error) => failures.push([name, error]) });
const never = new AbortController().signal;
const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error)),
  );

test('draining waits for running tasks and takes no new one', async () => {
  const tasks = group();
  const gate = Promise.withResolvers<void>();
  const done: string[] = [];
  assert.equal(
    tasks.tryStart('slow', async () => {
      await gate.promise;
      done.push('slow');
    }),
    true,
  );
  const drained = tasks.drain(never).then(() => done.push('drained'));
  assert.equal(
    tasks.tryStart('late', () => Promise.resolve()),
    false,
  );
  gate.resolve();
  await drained;
  assert.deepEqual(done, ['slow', 'drained']);
  assert.equal(tasks.size, 0);
});

test('a full group refuses, and room comes back', async () => {
  const tasks = group(1);
  const gate = Promise.withResolvers<void>();
  assert.equal(
    tasks.tryStart('one', () => gate.promise),
    true,
  );
  assert.equal(
    tasks.tryStart('two', () => gate.promise),
    false,
  );
  gate.resolve();
  await tasks.drain(never);
});

test('stopping aborts the tasks; only real failures are told, also those thrown at once', async () => {
  failures.length = 0;
  const broken = new Error('broken');
  {
    await using tasks = group();
    tasks.tryStart('stopped', untilAborted);
    tasks.tryStart('broken', () => {
      throw broken;
    });
  }
  assert.deepEqual(failures, [['broken', broken]]);
  const tasks = group();
  tasks.tryStart('stopped', untilAborted);
  const patience = new AbortController();
  const drained = tasks.drain(patience.signal);
  patience.abort(new Error('enough'));
  await drained;
  assert.equal(failures.length, 1);
});

/** Timers that fire by hand. */
function handTimers(): Timers & { fire(): void; readonly pending: number } {
  const pending = new Set<() => void>();
  return {
    timer(_durationMs, callback) {
      pending.add(callback);
      return { [Symbol.dispose]: () => pending.delete(callback) };
    },
    fire: () => {
      for (const callback of [...pending]) callback();
    },
    get pending() {
      return pending.size;
    },
  };
}

test('a stream that goes on passes, and leaves no timer', async () => {
  const timers = handTimers();
  async function* source() {
    yield* await Promise.resolve([1, 2, 3]);
  }
  const items = await collect(
    withIdleTimeout(source(), { idleMs: 5, timers, onIdle: () => new Error('idle') }),
    3,
  );
  assert.deepEqual(items, [1, 2, 3]);
  assert.equal(timers.pending, 0);
});

test('a stream that stalls throws, and is not waited for', async () => {
  const timers = handTimers();
  async function* source() {
    yield 1;
    await new Promise(() => {});
  }
  const stream = withIdleTimeout(source(), { idleMs: 5, timers, onIdle: () => new Error('idle') });
  assert.deepEqual(await stream.next(), { done: false, value: 1 });
  const next = stream.next();
  await Promise.resolve();
  timers.fire();
  await assert.rejects(next, /idle/);
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test('leaving the loop closes the source, and its failure passes', async () => {
  let isClosed = false;
  async function* source() {
    try {
      yield await Promise.resolve(1);
      yield 2;
    } finally {
      isClosed = true;
    }
  }
  const options = { idleMs: 5, timers: handTimers(), onIdle: () => new Error('idle') };
  for await (const item of withIdleTimeout(source(), options)) {
    assert.equal(item, 1);
    break;
  }
  assert.equal(isClosed, true);
  async function* failing(): AsyncGenerator<number> {
    yield await Promise.reject<number>(new Error('socket'));
  }
  await assert.rejects(collect(withIdleTimeout(failing(), options), 9), /socket/);
  await assert.rejects(collect(source(), 1), /more than 1/);
});
