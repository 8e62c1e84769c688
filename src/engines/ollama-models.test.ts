import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { startOllamaDouble } from '../testing/wires/ollama.ts';
import { createOllamaModels, isSameModel, type PullProgress } from './ollama-models.ts';
import { ollamaOptions } from './ollama-options.ts';
import { createTransport } from './transport.ts';

const signal = new AbortController().signal;

async function open(model = 'm') {
  const double = await startOllamaDouble();
  const transport = createTransport({ baseUrl: double.origin, connections: 2, connectTimeoutMs: 5_000 });
  const options = ollamaOptions.parse({});
  return {
    double,
    models: createOllamaModels({ name: 'tested', model, options, transport: () => transport }),
    [Symbol.asyncDispose]: async () => {
      await transport[Symbol.asyncDispose]();
      await double[Symbol.asyncDispose]();
    },
  };
}

test('a load brings the model into memory as the requests will ask for it; an unload takes it out', async () => {
  await using opened = await open();
  assert.deepEqual(await opened.models.loaded(signal), []);
  await opened.models.load(signal);
  assert.deepEqual(await opened.models.loaded(signal), [
    {
      name: 'm:latest',
      bytes: 4_000_000_000,
      gpuBytes: 4_000_000_000,
      contextTokens: 4_096,
      isPartlyOffloaded: false,
    },
  ]);
  await opened.models.unload(signal);
  assert.deepEqual(await opened.models.loaded(signal), []);
});

test('a model that is not there is unknown_model, to load and to show', async () => {
  await using opened = await open('absent');
  const isUnknown = (error: unknown) => error instanceof ServiceError && error.code === 'unknown_model';
  await assert.rejects(opened.models.load(signal), isUnknown);
  await assert.rejects(opened.models.show('absent', signal), isUnknown);
  assert.deepEqual((await opened.models.show('m', signal))['capabilities'], ['completion']);
});

test('a pull tells how far it is, part by part, and ends with success', async () => {
  await using opened = await open();
  const told: PullProgress[] = [];
  await opened.models.pullModel('m', (progress) => told.push(progress), signal);
  assert.deepEqual(
    told.map(({ status }) => status.split(' ')[0]),
    ['pulling', 'pulling', 'pulling', 'pulling', 'verifying', 'writing', 'success'],
  );
  assert.deepEqual(
    told.slice(0, 4).map(({ completedBytes, totalBytes }) => [completedBytes, totalBytes]),
    [
      [null, null],
      [null, 100],
      [40, 100],
      [100, 100],
    ],
  );
});

test('a pull that fails says so after its 200, and one that ends without success is none', async () => {
  await using opened = await open();
  await assert.rejects(
    opened.models.pullModel('nowhere', () => {}, signal),
    /file does not exist/,
  );
  await assert.rejects(
    opened.models.pullModel('cut', () => {}, signal),
    /ended without success/,
  );
});

test('a pull stops when it is aborted, with the reason', async () => {
  await using opened = await open();
  const controller = new AbortController();
  const reason = new Error('enough');
  await assert.rejects(
    opened.models.pullModel('m', () => controller.abort(reason), controller.signal),
    (error) => error === reason,
  );
  await opened.double.untilRunning(0);
});

test('a name without a tag is the latest', () => {
  assert.ok(isSameModel('m', 'm:latest'));
  assert.ok(isSameModel('hub.example:5000/a/m', 'hub.example:5000/a/m:latest'));
  assert.ok(!isSameModel('m:7b', 'm'));
});
