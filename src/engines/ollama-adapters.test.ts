import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { adapterConformance } from '../testing/adapter-conformance.ts';
import { adapterFolders } from '../testing/adapter-folders.ts';
import { openDriver, say } from '../testing/driver-harness.ts';
import { startOllamaDouble } from '../testing/wires/ollama.ts';
import { ollama } from './ollama.ts';
import { isAdapterOf, ollamaAdapterName } from './ollama-adapters.ts';

const never = new AbortController().signal;

async function open() {
  await using parts = new AsyncDisposableStack();
  const folders = parts.use(await adapterFolders());
  const double = parts.use(await startOllamaDouble());
  const driver = parts.use(openDriver(ollama, double.origin, {}));
  const { adapters } = driver;
  assert.ok(adapters !== undefined);
  await driver.prepare?.(never);
  const owned = parts.move();
  return { folders, double, driver, adapters, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

adapterConformance('Ollama before its double', async () => {
  const opened = await open();
  const { folders, double, driver, adapters } = opened;
  return {
    engine: driver.engine,
    adapters,
    model: 'm',
    good: [
      await folders.make('lich', '7'),
      await folders.make('lich', '8'),
      await folders.make('ghoul', '1'),
    ],
    missing: folders.missing('ghoul', '2'),
    // What is on its disk it loads again by itself.
    keepsOverRestart: true,
    restart: async () => double.restart(),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
});

describe('Ollama with adapters', () => {
  it('is told the file once, and asked for a model whose name says adapter, version, digest and base', async () => {
    await using opened = await open();
    const adapter = await opened.folders.make('lich', '7');
    await opened.adapters.load(adapter, never);
    await opened.adapters.unload(adapter, never);
    await opened.adapters.load(adapter, never);
    const asked = opened.double.asked.map(({ method, path: route }) => `${method} ${route.slice(0, 10)}`);
    assert.equal(asked.filter((each) => each === 'POST /api/blobs').length, 1);
    assert.equal(asked.filter((each) => each === 'HEAD /api/blobs').length, 2);
    const [name] = opened.double.made.keys();
    assert.match(name ?? '', /^greenroom-lich:7-[0-9a-f]{8}\.[0-9a-f]{8}$/);
  });

  it('keeps the adapters of two bases apart, and a base without a tag is the latest', () => {
    const name = ollamaAdapterName('lich@7-3fa9c1d2', 'm');
    assert.equal(ollamaAdapterName('lich@7-3fa9c1d2', 'm:latest'), name);
    assert.notEqual(ollamaAdapterName('lich@7-3fa9c1d2', 'm:q8'), name);
    assert.ok(isAdapterOf(name, 'm:latest'));
    assert.ok(!isAdapterOf(name, 'm:q8'));
    assert.ok(!isAdapterOf('m:latest', 'm'));
  });

  it('is ready while an adapter of its model is in the place of the model', async () => {
    await using opened = await open();
    await opened.adapters.load(await opened.folders.make('lich', '7'), never);
    await opened.driver.probe.ready(never);
  });

  it('loads once however often an adapter speaks', async () => {
    await using opened = await open();
    const adapter = await opened.folders.make('lich', '7');
    await opened.adapters.load(adapter, never);
    const before = opened.double.loads;
    for (const maxTokens of [2, 3, 4]) await say(opened.driver, { adapter, maxTokens });
    assert.equal(opened.double.loads, before);
  });

  it('says that the file is not on this machine', async () => {
    await using opened = await open();
    const adapter = await opened.folders.make('lich', '7');
    await rm(path.join(adapter.localPath, 'adapter.gguf'));
    await assert.rejects(
      opened.adapters.load(adapter, never),
      (error) =>
        error instanceof ServiceError &&
        error.code === 'adapter_failed' &&
        error.message.includes(adapter.localPath) &&
        error.details['isPermanent'] === false,
    );
  });

  it('says what Ollama says of a base that it does not have', async () => {
    await using opened = await open();
    await using absent = openDriver(ollama, opened.double.origin, {}, { model: 'absent' });
    await assert.rejects(
      absent.adapters?.load(await opened.folders.make('lich', '7'), never) ?? Promise.resolve(),
      (error) =>
        error instanceof ServiceError &&
        error.code === 'adapter_failed' &&
        /file does not exist/.test(error.message),
    );
  });
});
