/** The door of the Open Inference Protocol: our own driver is its client, so the suite of every engine holds for it too. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { createOipHttp } from '../engines/oip-http.ts';
import { createTransport } from '../engines/transport.ts';
import { DATATYPES } from '../lib/oip/tensor.ts';
import { type ShortWorkHarness, shortWorkHarness } from '../testing/short-work-harness.ts';
import { type OpenedTensorEngine, tensorConformance } from '../testing/tensor-conformance.ts';

async function throughDoor(harness: ShortWorkHarness): Promise<OpenedTensorEngine> {
  const engine = createOipHttp({
    name: 'door',
    kind: 'oip',
    encoding: 'auto',
    replyBytesMax: 32_000_000,
    transport: createTransport({ baseUrl: harness.door.url, connections: 32, connectTimeoutMs: 5_000 }),
  });
  const untilRunning = async (count: number) => {
    while (harness.server.repository.running !== count) await turnOfLoop();
  };
  return await Promise.resolve({
    engine,
    echo: { model: 'echo', versions: ['1', '2'], datatypes: DATATYPES },
    slow: {
      model: 'endless',
      inputs: [{ name: 'IN', datatype: 'INT32', shape: [1], data: Int32Array.of(1) }],
    },
    endsLate: true,
    controls: true,
    untilStarted: () => untilRunning(1),
    untilIdle: () => untilRunning(0),
    [Symbol.asyncDispose]: async () => {
      await engine[Symbol.asyncDispose]();
      await harness[Symbol.asyncDispose]();
    },
  });
}

tensorConformance('The door before a server over HTTP', async () => throughDoor(await shortWorkHarness()));
tensorConformance('The door before a server over gRPC', async () =>
  throughDoor(await shortWorkHarness({ protocol: 'grpc' })),
);

const ECHO = { inputs: [{ name: 'IN_INT32', datatype: 'INT32', shape: [2], data: [1, 2] }] };

test('a client that speaks JSON is answered in JSON, one that names a version in a header by that version', async () => {
  await using harness = await shortWorkHarness();
  const reply = await harness.door.post(
    '/v2/models/echo/infer',
    { id: 'a', ...ECHO },
    { 'x-model-version': '1' },
  );
  assert.equal(reply.status, 200);
  assert.deepEqual(await reply.json(), {
    id: 'a',
    model_name: 'echo',
    model_version: '1',
    outputs: [{ name: 'OUT_INT32', datatype: 'INT32', shape: [2], data: [1, 2] }],
  });
});

test('an unknown version is answered 404 with those that exist, an unknown model with all', async () => {
  await using harness = await shortWorkHarness();
  const version = await harness.door.post('/v2/models/echo/infer', ECHO, { 'x-model-version': '9' });
  assert.equal(version.status, 404);
  assert.deepEqual(await version.json(), {
    error: 'model echo has no version "9"; there is 1, 2',
    code: 'unknown_model',
    available: ['1', '2'],
  });
  const model = await harness.door.get('/v2/models/nobody');
  assert.equal(model.status, 404);
  assert.match(((await model.json()) as { error: string }).error, /there is echo, embed, classify, endless/);
  const both = await harness.door.post('/v2/models/echo/versions/1/infer', ECHO, { 'x-model-version': '2' });
  assert.equal(both.status, 400);
});

test('what is no request is refused in the form of the protocol, naming what is wrong', async () => {
  await using harness = await shortWorkHarness();
  const refused = async (body: unknown, pattern: RegExp, headers: Record<string, string> = {}) => {
    const reply = await harness.door.post('/v2/models/echo/infer', body, headers);
    assert.equal(reply.status, 400);
    assert.match(((await reply.json()) as { error: string }).error, pattern);
  };
  await refused('{', /not JSON/);
  await refused('[]', /not a JSON object/);
  await refused({}, /no list of inputs/);
  await refused({ inputs: [{ name: 'a' }] }, /datatype/);
  await refused({ ...ECHO, outputs: 1 }, /outputs is no list/);
  await refused({ ...ECHO, outputs: [{}] }, /no name/);
  await refused({ ...ECHO, parameters: [] }, /parameters is no object/);
  await refused({ ...ECHO, parameters: { a: { b: 1 } } }, /parameters\.a/);
  await refused({ ...ECHO, parameters: { triton_x: 1 } }, /reserved/);
  await refused(ECHO, /expected a count/, { 'inference-header-content-length': 'x' });
  const empty = await fetch(`${harness.door.url}/v2/models/echo/infer`, { method: 'POST' });
  assert.equal(empty.status, 400);
});

test('loading and unloading needs the scope of an operator, asking that of a game', async () => {
  await using harness = await shortWorkHarness({ door: { authRequired: true } });
  const { keys } = harness.door.store;
  const game = await keys.create({ label: 'g', scopes: ['game'] });
  const operator = await keys.create({ label: 'o', scopes: ['operator'] });
  const ask = (path: string, token: string) =>
    harness.door.post(path, {}, { authorization: `Bearer ${token}` }).then(({ status }) => status);
  assert.equal(await ask('/v2/repository/models/echo/unload', game.token), 403);
  assert.equal(await ask('/v2/repository/models/echo/unload', operator.token), 200);
  assert.equal(harness.server.repository.isReady('echo', ''), false);
  assert.equal(await ask('/v2/repository/models/echo/load', operator.token), 200);
  assert.equal(await ask('/v2/repository/index', game.token), 200);
  assert.equal(await ask('/v2/repository/index', 'wrong'), 401);
});

test('the time of the lane ends a request, and a full lane refuses at once', async () => {
  await using harness = await shortWorkHarness({ timeoutMs: 50, maxInFlight: 1, maxQueued: 0 });
  const endless = { inputs: [{ name: 'IN', datatype: 'INT32', shape: [1], data: [1] }] };
  const late = harness.door.post('/v2/models/endless/infer', endless);
  await harness.door.until(() => harness.server.repository.running === 1);
  const full = await harness.door.post('/v2/models/echo/infer', ECHO);
  assert.equal(full.status, 503);
  assert.notEqual(full.headers.get('retry-after'), null);
  const over = await late;
  assert.equal(over.status, 504);
  assert.match(((await over.json()) as { error: string }).error, /within 50 ms/);
  assert.equal((await harness.door.post('/v2/models/echo/infer', ECHO)).status, 200);
});

test('without a server of tensors the doors are there and say so', async () => {
  const { doorHarness } = await import('../testing/door-harness.ts');
  await using door = await doorHarness();
  assert.deepEqual(await (await door.get('/v2/health/live')).json(), { live: true });
  const reply = await door.post('/v2/models/echo/infer', ECHO);
  assert.equal(reply.status, 404);
  assert.match(((await reply.json()) as { error: string }).error, /no server of tensors is configured/);
  assert.deepEqual(await (await door.post('/v2/repository/index', {})).json(), []);
});
