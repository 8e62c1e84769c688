/** Long work on adapters: it ends once, whoever watches or leaves; one a name; the list has an end. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { abortable } from '../lib/abort.ts';
import { collect } from '../lib/async.ts';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { rejectsWith } from '../testing/store-conformance.ts';
import { AdapterOperations } from './operations.ts';

const never = new AbortController().signal;
const lich = { name: 'lich', version: '7' };
const ended: string[] = [];
const open = () => {
  ended.length = 0;
  return new AdapterOperations({
    ...realRuntime,
    log: silentLogger,
    onEnd: (kind, outcome) => ended.push(`${kind} ${outcome}`),
  });
};

it('tells each step to those who watch, and its end to whoever comes later', async () => {
  await using operations = open();
  const gate = Promise.withResolvers<void>();
  const started = operations.start('add', lich, async (onProgress) => {
    onProgress({ stage: 'fetching', detail: 'fetching 41 %', percent: 41.9 });
    await gate.promise;
    onProgress({ stage: 'staging', detail: 'writing' });
    return 'lich@7 is registered';
  });
  assert.deepEqual([started.stage, started.percent, started.outcome], ['fetching', 41, null]);
  const watching = operations.watch(started.id, never)[Symbol.asyncIterator]();
  assert.equal((await watching.next()).value.detail, 'fetching 41 %');
  gate.resolve();
  const rest: string[] = [];
  for (let next = await watching.next(); !next.done; next = await watching.next())
    rest.push(next.value.stage);
  assert.equal(rest.at(-1), 'done');
  const [last, ...more] = await collect(operations.watch(started.id, never), 9);
  assert.deepEqual(more, []);
  assert.deepEqual(
    [last?.outcome, last?.detail, last?.percent, last?.failure],
    ['succeeded', 'lich@7 is registered', 100, null],
  );
  assert.deepEqual(ended, ['add succeeded']);
  await rejectsWith('not_found', collect(later(operations, 'aop_none'), 1));
});

it('says why it failed, and goes on when who watched has left', async () => {
  await using operations = open();
  const gate = Promise.withResolvers<void>();
  const { id } = operations.start('publish', lich, async () => {
    await gate.promise;
    throw new ServiceError('adapter_failed', 'it answers as the base');
  });
  const left = new AbortController();
  const watching = operations.watch(id, left.signal)[Symbol.asyncIterator]();
  await watching.next();
  const next = watching.next();
  left.abort(new Error('hung up'));
  await assert.rejects(next, /hung up/);
  gate.resolve();
  const last = (await collect(operations.watch(id, never), 9)).at(-1);
  assert.deepEqual(last?.failure, { code: 'adapter_failed', message: 'it answers as the base' });
  assert.equal(last?.stage, 'failed');
  assert.deepEqual(ended, ['publish failed']);
});

it('works on one name once at a time, and on others beside it', async () => {
  await using operations = open();
  const gate = Promise.withResolvers<void>();
  const work = async () => {
    await gate.promise;
    return 'done';
  };
  const { id } = operations.start('publish', lich, work);
  assert.throws(() => operations.start('swap', { name: 'lich', version: '8' }, work), {
    code: 'adapter_busy',
    message: 'the publish of lich@7 is not done yet; wait for its end',
  });
  await rejectsWith(
    'adapter_busy',
    operations.alone('remove', 'lich', () => Promise.resolve()),
  );
  operations.start('publish', { name: 'ghoul', version: '1' }, work);
  gate.resolve();
  await collect(operations.watch(id, never), 9);
  assert.equal(await operations.alone('remove', 'lich', () => Promise.resolve('gone')), 'gone');
});

it('runs a bounded number at once and keeps a bounded number that ended', async () => {
  await using operations = open();
  const gate = Promise.withResolvers<void>();
  const held = Array.from({ length: 15 }, (_, index) =>
    operations.start('add', { name: `held-${index}`, version: '1' }, async () => {
      await gate.promise;
      return 'done';
    }),
  );
  for (let index = 0; index < 120; index += 1) {
    const { id } = operations.start('add', { name: `n-${index}`, version: '1' }, () => Promise.resolve('ok'));
    await collect(operations.watch(id, never), 9);
  }
  assert.equal(operations.list().length, 100);
  assert.equal(operations.list()[0]?.adapter, 'n-119@1');
  for (const { id } of held) assert.equal(operations.get(id).outcome, null);
  operations.start('add', { name: 'one-more', version: '1' }, () => gate.promise.then(() => 'done'));
  const refused = () => operations.start('add', lich, () => Promise.resolve('never'));
  assert.throws(refused, { code: 'adapter_busy', message: /16 operations on adapters run, of at most 16/ });
  assert.throws(refused, { code: 'adapter_busy' }, 'the name was given back');
  gate.resolve();
});

it('stops with the service: the work is aborted, and its end says so', async () => {
  const operations = open();
  const { id } = operations.start('add', lich, (_onProgress, signal) =>
    abortable(new Promise<string>(() => {}), signal),
  );
  await operations[Symbol.asyncDispose]();
  const { outcome, failure } = operations.get(id);
  assert.equal(outcome, 'failed');
  assert.equal(failure?.code, 'draining');
});

async function* later(operations: AdapterOperations, id: string) {
  yield* operations.watch(id, never);
}
