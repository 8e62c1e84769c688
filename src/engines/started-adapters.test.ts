import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AdapterAddress } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import { adapterConformance } from '../testing/adapter-conformance.ts';
import { adapterFolders } from '../testing/adapter-folders.ts';
import { openBefore } from '../testing/chat-doubles.ts';
import { say } from '../testing/driver-harness.ts';
import { LLAMA_SERVER_WITHOUT_METRICS } from '../testing/wires/llama-server.ts';
import { PLAIN_WIRE } from '../testing/wires/openai.ts';
import { TGI_WIRE } from '../testing/wires/tgi.ts';
import { DRIVERS } from './index.ts';

const never = new AbortController().signal;

/** A server that lists its adapters among its models. */
const LISTING_WIRE: typeof PLAIN_WIRE = {
  ...PLAIN_WIRE,
  title: 'a server with adapters as models',
  adapterCards: (state) => [...state.adapters.held.keys()].map((id) => ({ ...PLAIN_WIRE.card(state), id })),
  addressed: ({ model }, { adapters }) => (adapters.held.has(String(model)) ? String(model) : null),
};

/** Started with three adapters. */
async function openStarted(
  kind: 'tgi' | 'openai-compatible' | 'llama-server',
  optionsOf: (good: readonly AdapterAddress[]) => Readonly<Record<string, unknown>> = () => ({}),
) {
  await using parts = new AsyncDisposableStack();
  const folders = parts.use(await adapterFolders());
  const good = [
    await folders.make('lich', '7'),
    await folders.make('lich', '8'),
    await folders.make('ghoul', '1'),
  ];
  const wires = {
    tgi: TGI_WIRE,
    'openai-compatible': LISTING_WIRE,
    'llama-server': LLAMA_SERVER_WITHOUT_METRICS,
  };
  const double = parts.use(await openBefore(wires[kind], DRIVERS[kind], { options: optionsOf(good) }));
  const { adapters } = double;
  assert.ok(adapters !== undefined);
  const state = double.double.state.adapters;
  for (const { engineName, path } of good) state.hold(engineName, path);
  const owned = parts.move();
  return {
    double,
    state,
    engine: double.engine,
    adapters,
    model: double.model,
    good,
    missing: folders.missing('ghoul', '2'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const named = (good: readonly AdapterAddress[]) => ({ adapters: good.map(({ engineName }) => engineName) });

adapterConformance('TGI before its double', () => openStarted('tgi', named));
adapterConformance('a server with adapters as models', () =>
  openStarted('openai-compatible', () => ({ adapters: 'models' })),
);

describe('A server that takes adapters when it starts', () => {
  for (const [kind, optionsOf, words] of [
    ['tgi', named, /LORA_ADAPTERS=ghoul@2-[0-9a-f]{8}=\/.*option adapters/],
    ['llama-server', () => ({}), /--lora \/.*\/adapter\.gguf --cache-ram 0/],
    ['openai-compatible', () => ({ adapters: 'models' }), /an adapter of the name ghoul@2-/],
  ] as const)
    it(`says how ${kind} gets an adapter that is not there, and that trying again is of no use`, async () => {
      await using opened = await openStarted(kind, optionsOf);
      await assert.rejects(
        opened.adapters.load(opened.missing, never),
        (error) =>
          error instanceof ServiceError &&
          error.code === 'adapter_failed' &&
          error.details['isPermanent'] === true &&
          words.test(error.message),
      );
    });

  it('is not asked at all for one that TGI would answer as the base', async () => {
    await using opened = await openStarted('tgi');
    const [adapter] = opened.good;
    assert.ok(adapter !== undefined);
    const before = opened.double.double.asked.length;
    await assert.rejects(
      say(opened.double, { model: opened.model, adapter }),
      (error) => error instanceof ServiceError && error.code === 'unknown_model',
    );
    assert.equal(opened.double.double.asked.length, before);
  });
});

describe('llama-server with adapters', () => {
  const bodies = (asked: readonly { readonly path: string; readonly body: object }[]) =>
    asked.filter(({ path }) => path.endsWith('/chat/completions')).map(({ body }) => body) as Readonly<
      Record<string, unknown>
    >[];

  it('finds an adapter at its place, also when a restart has given it another', async () => {
    await using opened = await openStarted('llama-server');
    const [first, second] = opened.good;
    assert.ok(first !== undefined && second !== undefined);
    const ask = () => say(opened.double, { model: opened.model, adapter: second, maxTokens: 2 });
    const { text } = await ask();
    opened.state.restart();
    for (const each of [second, first]) opened.state.hold(each.engineName, each.path);
    assert.equal((await ask()).text, text);
    assert.deepEqual(
      bodies(opened.double.double.asked).map(({ lora }) => lora),
      [[{ id: 1, scale: 1 }], [{ id: 0, scale: 1 }]],
    );
  });

  it('asks for the base in so many words, and has every prompt read anew, because its cache is of no adapter', async () => {
    await using opened = await openStarted('llama-server');
    const [adapter] = opened.good;
    assert.ok(adapter !== undefined);
    await opened.adapters.list(opened.good, never);
    const base = await say(opened.double, { model: opened.model, maxTokens: 2 });
    await say(opened.double, { model: opened.model, adapter, maxTokens: 2 });
    assert.equal((await say(opened.double, { model: opened.model, maxTokens: 2 })).text, base.text);
    const sent = bodies(opened.double.double.asked);
    assert.deepEqual(sent[0]?.['lora'], [{ id: 0, scale: 0 }]);
    assert.ok(sent.every((body) => body['cache_prompt'] === false));
  });

  it('keeps its cache where it has no adapters', async () => {
    await using opened = await openStarted('llama-server');
    opened.state.restart();
    await say(opened.double, { model: opened.model, maxTokens: 2 });
    const [sent] = bodies(opened.double.double.asked);
    assert.deepEqual([sent?.['lora'], sent?.['cache_prompt']], [[{ id: 0, scale: 0 }], undefined]);
  });

  it('counts what others gave it', async () => {
    await using opened = await openStarted('llama-server');
    const list = await opened.adapters.list(opened.good.slice(0, 1), never);
    assert.deepEqual([list.held.length, list.stale, list.foreign], [1, [], 2]);
  });
});
