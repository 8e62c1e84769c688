import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import type { RepositoryEntry, TensorEngine } from '../core/tensors.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { TensorLanes, type TensorServer } from './lanes.ts';

const anAsk = {
  priority: 'interactive',
  player: null,
  source: 'local',
  promptTokens: 1,
  maxTokens: 0,
  deadlineMonoMs: Number.POSITIVE_INFINITY,
} as const;
const never = new AbortController().signal;

/** An engine that only lists; what it lists may change. */
function lister(name: string, names: () => readonly string[]) {
  const asked = { times: 0 };
  const engine: Pick<TensorEngine, 'name' | 'repositoryIndex'> = {
    name,
    repositoryIndex: (): Promise<readonly RepositoryEntry[]> => {
      asked.times += 1;
      return Promise.resolve().then(() =>
        names().map((each) => ({ name: each, version: '1', state: 'READY', reason: '' })),
      );
    },
  };
  return { asked, engine: engine as TensorEngine };
}

const server = (engine: TensorEngine, models: readonly string[] = []): TensorServer => ({
  engine,
  models,
  maxInFlight: 1,
  maxQueued: 0,
  timeoutMs: 500,
});

test('a model goes to the server that has it, by the configuration or by the index, asked once for all', async () => {
  const clock = new ManualClock();
  const one = lister('one', () => ['echo', 'embed']);
  const two = lister('two', () => ['never asked']);
  const lanes = new TensorLanes([server(one.engine), server(two.engine, ['vision'])], clock);
  const routes = await Promise.all(['echo', 'embed', 'vision'].map((model) => lanes.find(model, never)));
  assert.deepEqual(
    routes.map(({ engine }) => engine.name),
    ['one', 'one', 'two'],
  );
  assert.deepEqual([one.asked.times, two.asked.times], [1, 0]);
});

test('a model that nobody has is unknown, with what exists; a new one is found after a while, or at once after a load', async () => {
  const clock = new ManualClock();
  const names = ['echo'];
  const one = lister('one', () => names);
  const lanes = new TensorLanes([server(one.engine)], clock);
  await assert.rejects(lanes.find('late', never), (error) => {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, 'unknown_model');
    assert.match(error.message, /"late"; there is echo/);
    return true;
  });
  names.push('late');
  await assert.rejects(lanes.find('late', never), /there is echo/);
  lanes.forget();
  assert.equal((await lanes.find('late', never)).engine.name, 'one');
  names.push('later');
  clock.advance(6_000);
  assert.equal((await lanes.find('later', never)).engine.name, 'one');
});

test('while a server that may have it is silent, a model is not called unknown', async () => {
  const clock = new ManualClock();
  const dead = lister('dead', () => {
    throw new ServiceError('engine_unavailable', 'no reply');
  });
  const one = lister('one', () => ['echo']);
  const lanes = new TensorLanes([server(dead.engine), server(one.engine)], clock);
  assert.equal((await lanes.find('echo', never)).engine.name, 'one');
  await assert.rejects(lanes.find('other', never), /no reply/);
  assert.deepEqual(await lanes.index(never), [{ name: 'echo', version: '1', state: 'READY', reason: '' }]);
});

test('a server that never answers holds nobody for long, and who leaves is let go', async () => {
  const clock = new ManualClock();
  const mute: Pick<TensorEngine, 'name' | 'repositoryIndex'> = {
    name: 'mute',
    repositoryIndex: (signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
      ),
  };
  const lanes = new TensorLanes([server(mute as TensorEngine)], clock);
  const leaving = new AbortController();
  const left = lanes.find('echo', leaving.signal);
  const waits = lanes.find('echo', never);
  leaving.abort(new Error('left'));
  await assert.rejects(left, /left/);
  clock.advance(2_000);
  await assert.rejects(waits, /did not list its models within 2000 ms/);
});

test('places at one server are its own', async () => {
  const lanes = new TensorLanes(
    [server(lister('one', () => []).engine), server(lister('two', () => []).engine)],
    new ManualClock(),
  );
  const [one, two] = lanes.routes;
  using _held = await one?.admission.acquire(anAsk, never);
  await assert.rejects(
    one?.admission.acquire(anAsk, never) ?? Promise.resolve(),
    /queue of engine one is full|overloaded|full/,
  );
  using _other = await two?.admission.acquire(anAsk, never);
});
