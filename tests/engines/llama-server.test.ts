/**
 * The real llama-server behind our driver: the suite of every engine, and that who hangs up frees its slot, by its own
 * count: while queued, while it reads the prompt and while it speaks, streamed and whole.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BASE_MODEL } from '../../scripts/engines/base-model.ts';
import { openEngine } from '../../scripts/engines/frame.ts';
import { llamaServer } from '../../scripts/engines/llama-server.ts';
import { DRIVERS } from '../../src/engines/index.ts';
import { adapterConformance } from '../../src/testing/adapter-conformance.ts';
import { openDriver } from '../../src/testing/driver-harness.ts';
import { engineConformance, lineRequest, occupy } from '../../src/testing/engine-conformance.ts';
import { stagedAdapters } from '../../src/testing/staged-adapters.ts';
import { hangUpUnary, LONG_PROMPT, untilTrue } from './hang-up.ts';
import { skipUnlessAsked } from './when-asked.ts';

const SLOTS = 2;
const LIFE_MS = 600_000;
const skip = skipUnlessAsked(llamaServer, 1);

async function open() {
  const server = await openEngine(
    llamaServer,
    { flags: { slots: String(SLOTS), context: '8192', threads: '1' }, lifeMs: LIFE_MS },
    AbortSignal.timeout(90_000),
  );
  const driver = openDriver(
    DRIVERS['llama-server'],
    server.origin,
    {},
    { model: BASE_MODEL, connections: 16 },
  );
  /** Slots at work and requests before them, as `/metrics` has them. */
  const work = async () => {
    const load = await driver.probe.load(AbortSignal.timeout(20_000));
    assert.ok(load !== null);
    return load.running + load.waiting;
  };
  return {
    ...driver,
    origin: server.origin,
    model: BASE_MODEL,
    ignoresModel: true,
    work,
    untilIdle: () => untilTrue('it works on nothing', async () => (await work()) === 0),
    hold: async (phase: 'queued' | 'prefill' | 'decoding') =>
      phase === 'queued' ? await occupy({ ...driver, model: BASE_MODEL }, SLOTS) : null,
    [Symbol.asyncDispose]: async () => {
      await driver[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

engineConformance(`llama-server ${llamaServer.version}`, open, { skip });

/** Started with two that are trained to say a word and a seeded one. */
async function openWithAdapters(cache: 'off' | 'slot') {
  await using parts = new AsyncDisposableStack();
  const staged = parts.use(await stagedAdapters());
  const good = [await staged.word('amber'), await staged.word('basalt'), await staged.seeded('ghoul', 3)];
  const lora = good.map(({ localPath }) => `${localPath}/adapter.gguf`).join(',');
  const server = parts.use(
    await openEngine(
      llamaServer,
      { flags: { slots: '2', context: '4096', threads: '1', lora }, lifeMs: LIFE_MS },
      AbortSignal.timeout(90_000),
    ),
  );
  const driver = parts.use(
    openDriver(
      DRIVERS['llama-server'],
      server.origin,
      { adapterCache: cache },
      { model: BASE_MODEL, connections: 16 },
    ),
  );
  assert.ok(driver.adapters !== undefined);
  const owned = parts.move();
  return {
    engine: driver.engine,
    adapters: driver.adapters,
    model: BASE_MODEL,
    good,
    missing: staged.missing('nobody'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

for (const cache of ['off', 'slot'] as const)
  adapterConformance(
    `llama-server ${llamaServer.version}, adapterCache ${cache},`,
    () => openWithAdapters(cache),
    {
      skip,
    },
  );

describe('Who hangs up on llama-server', { skip }, () => {
  let opened: Awaited<ReturnType<typeof open>>;
  before(async () => {
    opened = await open();
  });
  after(() => opened[Symbol.asyncDispose]());

  it('says which build it is', async () => {
    assert.match(await opened.probe.version(AbortSignal.timeout(20_000)), /^b11434-/);
  });

  it('frees the slot while the prompt is read, before the first word', async () => {
    const controller = new AbortController();
    const reason = new Error('hung up');
    const messages = [{ role: 'user', content: LONG_PROMPT }] as const;
    const heard = opened.engine
      .generate(lineRequest({ model: BASE_MODEL, messages }), controller.signal)
      [Symbol.asyncIterator]()
      .next();
    heard.catch(() => {});
    await untilTrue('it reads', async () => (await opened.work()) > 0);
    controller.abort(reason);
    await assert.rejects(heard, (error) => error === reason);
    await opened.untilIdle();
  });

  for (const [phase, prompt] of [
    ['reading the prompt', LONG_PROMPT],
    ['speaking', 'Tell me an endless story.'],
  ] as const)
    it(`frees the slot of a whole answer while ${phase}`, async () => {
      await hangUpUnary(
        `${opened.origin}/v1/chat/completions`,
        { max_tokens: 3_000, ignore_eos: true, messages: [{ role: 'user', content: prompt }] },
        async () => {
          await untilTrue('it works', async () => (await opened.work()) > 0);
        },
      );
      await opened.untilIdle();
    });

  it('never begins what was hung up on in the queue, once the others are done', async () => {
    await using held = await occupy({ ...opened, model: BASE_MODEL }, SLOTS);
    const waiting = async () => (await opened.probe.load(AbortSignal.timeout(20_000)))?.waiting ?? -1;
    await hangUpUnary(
      `${opened.origin}/v1/chat/completions`,
      { max_tokens: 3_000, ignore_eos: true, messages: [{ role: 'user', content: 'And I?' }] },
      () => untilTrue('it waits', async () => (await waiting()) === 1),
    );
    await held[Symbol.asyncDispose]();
    await opened.untilIdle();
  });
});
