import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import type { EngineAdapters } from '../core/adapter.ts';
import type { GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { adapterConformance } from '../testing/adapter-conformance.ts';
import { type AdapterFolders, adapterFolders } from '../testing/adapter-folders.ts';
import { CHAT_CASES, type ChatCase, type OpenedDouble, openChatDouble } from '../testing/chat-doubles.ts';
import { say } from '../testing/driver-harness.ts';
import { voiceOf } from '../testing/wires/double-adapters.ts';

const never = new AbortController().signal;

interface Opened extends AsyncDisposable {
  readonly double: OpenedDouble;
  readonly adapters: EngineAdapters;
  readonly folders: AdapterFolders;
}

async function open(chatCase: ChatCase): Promise<Opened> {
  await using parts = new AsyncDisposableStack();
  const folders = parts.use(await adapterFolders());
  const double = parts.use(await openChatDouble(chatCase));
  assert.ok(double.adapters !== undefined);
  const owned = parts.move();
  return { double, adapters: double.adapters, folders, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** What the suite should know of a wire. */
const SUITED: Readonly<Record<string, { readonly reloadsByItself?: boolean }>> = {
  vllm: {},
  sglang: { reloadsByItself: true },
  'tensorrt-llm': {},
  'llama-server': {},
};

const vllmCase = CHAT_CASES.find(({ kind }) => kind === 'vllm');
assert.ok(vllmCase !== undefined);
const openVllm = () => open(vllmCase);

for (const chatCase of CHAT_CASES.filter(({ kind }) => kind in SUITED)) {
  adapterConformance(`${chatCase.kind} before ${chatCase.wire.title}`, async () => {
    const opened = await open(chatCase);
    const { double, adapters, folders } = opened;
    const state = double.double.state.adapters;
    const good = [
      await folders.make('lich', '7'),
      await folders.make('lich', '8'),
      await folders.make('ghoul', '1'),
    ];
    const start = () => {
      if (adapters.traits.loads === 'start')
        for (const { engineName, path } of good) state.hold(engineName, path);
    };
    start();
    const tooLarge = await folders.make('ghoul', '3', 128);
    return {
      engine: double.engine,
      adapters,
      model: double.model,
      good,
      missing: folders.missing('ghoul', '2'),
      ...(adapters.traits.loads === 'start' ? {} : { tooLarge }),
      ...SUITED[chatCase.kind],
      restart: async () => {
        state.restart();
        start();
      },
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  });
}

describe('A double with a trap', () => {
  const openLoaded = async () => {
    const opened = await openVllm();
    const adapter = await opened.folders.make('lich', '7');
    await opened.adapters.load(adapter, never);
    const { adapters: state } = opened.double.double.state;
    const speak = async (changes: Partial<GenerateRequest>) =>
      (await say(opened.double, { model: opened.double.model, maxTokens: 1, ...changes })).text;
    const dispose = () => opened[Symbol.asyncDispose]();
    return { ...opened, adapter, state, speak, [Symbol.asyncDispose]: dispose };
  };

  it('says that it loaded, and answers as the base', async () => {
    await using opened = await openLoaded();
    const { adapter, state, speak } = opened;
    assert.match(await speak({ adapter }), new RegExp(`^${voiceOf(adapter.engineName)}:`));
    state.traps.answersAsBase = true;
    assert.equal(await speak({ adapter }), await speak({}));
  });

  it('answers as another, for an adapter and for the base', async () => {
    await using opened = await openLoaded();
    const { adapter, state, speak } = opened;
    state.traps.answersAs = 'ghoul@1-01234567';
    assert.match(await speak({ adapter }), /^01234567:/);
    state.traps.baseAnswersAs = adapter.engineName;
    assert.match(await speak({}), new RegExp(`^${voiceOf(adapter.engineName)}:`));
  });

  it('unloads, and frees nothing until it is restarted', async () => {
    await using opened = await openLoaded();
    opened.state.traps.keepsUnloaded = true;
    await opened.adapters.unload(opened.adapter, never);
    assert.deepEqual([opened.state.held.size, opened.state.taken], [0, 1]);
    opened.state.restart();
    assert.equal(opened.state.taken, 0);
  });

  it('stalls a load, which then is left by whoever waits for it', async () => {
    await using opened = await openLoaded();
    const stall = Promise.withResolvers<void>();
    opened.state.traps.loadsWaitFor = stall.promise;
    const leave = new AbortController();
    const loading = opened.adapters.load(await opened.folders.make('lich', '8'), leave.signal);
    loading.catch(() => {});
    await opened.double.double.untilRunning(1);
    const reason = new Error('enough');
    leave.abort(reason);
    await assert.rejects(loading, (error) => error === reason);
    stall.resolve();
    await opened.double.double.untilRunning(0);
  });
});

describe('vLLM with adapters', () => {
  it('tells its slots from the newest of its series', async () => {
    await using opened = await openVllm();
    const state = opened.double.double.state.adapters;
    state.slots = 3;
    const address = await opened.folders.make('lich', '7');
    await opened.adapters.load(address, never);
    await say(opened.double, { model: opened.double.model, adapter: address, maxTokens: 2 });
    assert.deepEqual(await opened.adapters.capacity(never), { slots: 3, rankMax: null });
  });

  it('says what to set where its routes are off, and that trying again is of no use', async () => {
    await using opened = await openVllm();
    opened.double.double.state.adapters.takesCalls = false;
    const address = await opened.folders.make('lich', '7');
    for (const work of [opened.adapters.load(address, never), opened.adapters.unload(address, never)])
      await assert.rejects(
        work,
        (error) =>
          error instanceof ServiceError &&
          error.code === 'adapter_failed' &&
          error.details['isPermanent'] === true &&
          error.message.includes('VLLM_ALLOW_RUNTIME_LORA_UPDATING=1'),
      );
  });

  it('names the path and the option for the path, where the engine does not see the files', async () => {
    await using opened = await openVllm();
    const missing = opened.folders.missing('lich', '7');
    await assert.rejects(
      opened.adapters.load(missing, never),
      (error) =>
        error instanceof ServiceError &&
        error.details['isPermanent'] === false &&
        error.message.includes(missing.path) &&
        error.message.includes('artefactRoot'),
    );
  });

  it('leaves alone what somebody else loaded, and counts it', async () => {
    await using opened = await openVllm();
    opened.double.double.state.adapters.hold('theirs', '/somewhere/else');
    assert.deepEqual(await opened.adapters.list([], never), { held: [], stale: [], foreign: 1 });
  });

  it('takes the same artefact under another mount for itself', async () => {
    await using opened = await openVllm();
    const address = await opened.folders.make('lich', '7');
    await opened.adapters.load(address, never);
    const elsewhere = { ...address, path: address.path.replace(opened.folders.root, '/mnt/adapters') };
    assert.deepEqual((await opened.adapters.list([elsewhere], never)).held, [address.engineName]);
    await opened.adapters.load(elsewhere, never);
  });
});

test('a wire without adapters refuses one, because its answer would be the base’s', async () => {
  const plain = CHAT_CASES.find(({ kind }) => kind === 'openai');
  assert.ok(plain !== undefined);
  await using double = await openChatDouble(plain);
  await using folders = await adapterFolders();
  assert.equal(double.adapters, undefined);
  await assert.rejects(
    say(double, { model: double.model, adapter: folders.missing('lich', '7') }),
    (error) => error instanceof ServiceError && error.code === 'adapter_failed',
  );
});
