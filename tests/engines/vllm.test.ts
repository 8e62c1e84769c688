/**
 * A real vLLM on this machine's processor: the suite of every engine through our driver, and what only the real one can
 * prove: whose work stops when, streamed and unary, queued, in prefill and decoding; priority; its prefix cache; refusals.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Flags, openEngine } from '../../scripts/engines/frame.ts';
import { VLLM_MODEL, vllm } from '../../scripts/engines/vllm.ts';
import type { GenerateEvent, GenerateRequest } from '../../src/core/engine.ts';
import { ServiceError } from '../../src/core/errors.ts';
import { readBody, type Transport } from '../../src/core/transport.ts';
import type { Driver } from '../../src/engines/driver.ts';
import { DRIVERS } from '../../src/engines/index.ts';
import { prometheusSum } from '../../src/engines/prometheus-text.ts';
import { createTransport } from '../../src/engines/transport.ts';
import { adapterConformance } from '../../src/testing/adapter-conformance.ts';
import { say } from '../../src/testing/driver-harness.ts';
import { engineConformance, lineRequest, occupy } from '../../src/testing/engine-conformance.ts';
import { type StagedAdapters, stagedAdapters } from '../../src/testing/staged-adapters.ts';
import { skipUnlessAsked } from './when-asked.ts';

const skip = skipUnlessAsked(vllm, 3);
const never = new AbortController().signal;
const LIFE_MS = 900_000;
const PLACES = 2;
/** Its metrics page costs it 60 ms of the event loop that also serves the lines: asked without a pause it does little else. */
const LOOK_EVERY_MS = 200;
/** Steps of few tokens, so that a long prompt is read in many of them and can be left half-read. */
const FLAGS = { 'max-num-seqs': `${PLACES}`, 'max-num-batched-tokens': '64', 'max-num-queued-reqs': '12' };

interface Vllm extends Driver, AsyncDisposable {
  readonly model: string;
  readonly transport: Transport;
}

async function open(flags: Flags = FLAGS): Promise<Vllm> {
  await using parts = new AsyncDisposableStack();
  const running = parts.use(await openEngine(vllm, { flags, lifeMs: LIFE_MS }, never));
  const transport = parts.use(
    createTransport({ baseUrl: running.origin, connections: 32, connectTimeoutMs: 5_000 }),
  );
  const options = DRIVERS.vllm.options.parse({});
  const driver = DRIVERS.vllm.create({
    name: 'real',
    model: VLLM_MODEL,
    options,
    transport: () => transport,
  });
  const owned = parts.move();
  return {
    ...driver,
    probe: {
      ...driver.probe,
      load: async (signal) => {
        await delay(LOOK_EVERY_MS, undefined, { signal });
        return await driver.probe.load(signal);
      },
    },
    model: VLLM_MODEL,
    transport,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** One server for the whole file: it takes a minute to start. */
let server: Promise<Vllm> | null = null;
const shared = () => {
  server ??= open();
  return server;
};
after(async () => {
  if (server !== null) await (await server)[Symbol.asyncDispose]();
});

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const patience = AbortSignal.timeout(60_000); !(await holds()); )
    assert.ok(!patience.aborted, `never ${what}`);
}

async function untilIdle(driver: Driver): Promise<void> {
  await until('idle', async () => {
    const load = await driver.probe.load(never);
    return load?.running === 0 && load.waiting === 0;
  });
}

engineConformance(
  'A real vLLM',
  async () => {
    const opened = await shared();
    return {
      engine: opened.engine,
      probe: opened.probe,
      model: opened.model,
      untilIdle: () => untilIdle(opened),
      // How long a prompt is read cannot be held; the tests below leave a long one half-way.
      hold: async (phase) => {
        // Its gauges are of its last step: one that is left may still be counted.
        await untilIdle(opened);
        if (phase === 'queued') return await occupy(opened, PLACES);
        return phase === 'decoding' ? { [Symbol.asyncDispose]: async () => {} } : null;
      },
      [Symbol.asyncDispose]: async () => {},
    };
  },
  { skip },
);

/** About 1,700 tokens, told apart by their beginning, so that no prefix cache helps. */
const longPrompt = (name: string) =>
  `${name} speaks. ${'The harbour is dark and the old vampire counts his coins again. '.repeat(120)}`;

describe('Only a real vLLM can show that', { skip }, () => {
  let real: Vllm;
  before(async () => {
    real = await shared();
  });

  const counter = async (name: string) => {
    const reply = await real.transport.exchange({ method: 'GET', path: '/metrics', headers: {} }, never);
    return prometheusSum((await readBody(reply.body, 4_000_000)).toString(), name) ?? 0;
  };
  const generated = () => counter('vllm:generation_tokens_total');
  const streamed = async (request: GenerateRequest, signal: AbortSignal) => {
    const events: GenerateEvent[] = [];
    for await (const event of real.engine.generate(request, signal)) events.push(event);
    return events;
  };
  const unary = async (request: GenerateRequest, signal: AbortSignal) => {
    const { model, messages, maxTokens } = request;
    const body = JSON.stringify({ model, messages, max_tokens: maxTokens, ignore_eos: true });
    const headers = { 'content-type': 'application/json' };
    const reply = await real.transport.exchange(
      { method: 'POST', path: '/v1/chat/completions', headers, body },
      signal,
    );
    return await readBody(reply.body, 1_000_000);
  };

  it('it says its version, its model and that it is ready', async () => {
    assert.equal(await real.probe.version(never), vllm.version);
    assert.deepEqual(await real.probe.models(never), [
      { id: VLLM_MODEL, maxModelTokens: 2_048, parent: null },
    ]);
    await real.probe.live(never);
    await real.probe.ready(never);
  });

  it('it counts tokens as it will see them', async () => {
    const text = 'Who guards the harbour at night?';
    const count = await real.counter.count(text, never);
    assert.ok(count >= 6 && count <= 9, `${count} tokens`);
  });

  for (const [wire, ask] of [
    ['streamed', streamed],
    ['unary', unary],
  ] as const) {
    const leave = async (request: GenerateRequest, whenThere: () => Promise<void>) => {
      const controller = new AbortController();
      const heard = ask(request, controller.signal);
      // Looked at only once it is awaited.
      heard.catch(() => {});
      const reason = new Error('hung up');
      try {
        await whenThere();
      } finally {
        // Else it speaks for another minute, and every test behind fails for it.
        controller.abort(reason);
      }
      await assert.rejects(heard, (error) => error === reason);
    };
    const running = async () => (await real.probe.load(never))?.running ?? 0;
    const waiting = async () => (await real.probe.load(never))?.waiting ?? 0;

    it(`a ${wire} line that is left while decoding makes no more tokens`, async () => {
      const before = await generated();
      await leave(line('Tell everything.'), () =>
        until('decoding', async () => (await running()) === 1 && (await generated()) > before + 3),
      );
      await untilIdle(real);
      const made = await generated();
      await streamed(line('Hello', { maxTokens: 1 }), never);
      assert.equal(await generated(), made + 1);
      assert.ok(made < before + 900);
    });

    it(`a ${wire} line that is left in prefill never gets to its first token`, async () => {
      const before = await generated();
      await leave(line(longPrompt(wire), { maxTokens: 300 }), () =>
        until('in prefill', async () => (await running()) === 1),
      );
      await untilIdle(real);
      assert.equal(await generated(), before);
    });

    it(`a ${wire} line that is left in the queue is never begun`, async () => {
      await using _places = await occupy(real, PLACES);
      await leave(line('Next, please.'), () => until('queued', async () => (await waiting()) === 1));
      await until('gone from the queue', async () => (await waiting()) === 0);
      assert.equal(await running(), PLACES);
    });
  }

  it('the player in front of the NPC overtakes chatter in its queue', async () => {
    const places = await occupy(real, PLACES);
    const order: string[] = [];
    const speak = async (priority: 'ambient' | 'interactive') => {
      await streamed(line(`As ${priority}.`, { priority, maxTokens: 2 }), never);
      order.push(priority);
    };
    const queue = async (count: number) =>
      await until(`${count} queued`, async () => (await real.probe.load(never))?.waiting === count);
    const said: Promise<void>[] = [];
    // More chatter than places: were it first in, first out, the player would come last.
    for (let count = 1; count <= 2 * PLACES; count++) {
      said.push(speak('ambient'));
      await queue(count);
    }
    said.push(speak('interactive'));
    await queue(2 * PLACES + 1);
    await places[Symbol.asyncDispose]();
    await Promise.all(said);
    assert.ok(order.indexOf('interactive') < PLACES, order.join(', '));
  });

  it('a prompt that it has read before is read from its cache, and said to be', async () => {
    const request = line(longPrompt('Twice'), { maxTokens: 1 });
    const usage = async () => {
      const finish = (await streamed(request, never)).at(-1);
      assert.ok(finish?.type === 'finish');
      return finish.usage;
    };
    const first = await usage();
    assert.equal(first.cachedTokens, 0);
    const second = await usage();
    assert.ok(second.cachedTokens > 0.8 * second.promptTokens, JSON.stringify(second));
  });

  const refused = async (code: string, request: GenerateRequest) =>
    await assert.rejects(
      streamed(request, never),
      (error) => error instanceof ServiceError && error.code === code,
    );

  it('a prompt over its context is refused as such', async () => {
    await refused('context_length_exceeded', line(longPrompt('First').repeat(2), { maxTokens: 10 }));
  });

  it('an answer over its context is refused as such', async () => {
    await refused('context_length_exceeded', line('Hello', { maxTokens: 5_000 }));
  });

  it('a full queue is refused as overload', async () => {
    await using _places = await occupy(real, PLACES);
    const leave = new AbortController();
    const outcomes = Array.from({ length: 14 }, (_, index) =>
      streamed(line(`Guest ${index}`), leave.signal).then(
        () => 'answered',
        (error: unknown) => (error instanceof ServiceError ? error.code : 'left'),
      ),
    );
    const first = await Promise.race(outcomes);
    leave.abort(new Error('enough'));
    const all = await Promise.all(outcomes);
    assert.equal(first, 'overloaded');
    assert.ok(all.includes('left'));
  });
});

/** The one server with adapters: two speak at once, four are kept. The one without is ended first: they share two cores. */
let withAdapters: Promise<{ readonly real: Vllm; readonly staged: StagedAdapters }> | null = null;
const sharedWithAdapters = () => {
  withAdapters ??= (async () => {
    if (server !== null) await (await server)[Symbol.asyncDispose]();
    server = null;
    const staged = await stagedAdapters();
    return { real: await open({ lora: true, 'max-num-seqs': '4' }), staged };
  })();
  return withAdapters;
};
after(async () => {
  if (withAdapters === null) return;
  const { real, staged } = await withAdapters;
  await real[Symbol.asyncDispose]();
  await staged[Symbol.asyncDispose]();
});

adapterConformance(
  'A real vLLM',
  async () => {
    const { real, staged } = await sharedWithAdapters();
    assert.ok(real.adapters !== undefined);
    return {
      engine: real.engine,
      adapters: real.adapters,
      model: real.model,
      good: [await staged.word('amber'), await staged.word('basalt'), await staged.seeded('ghoul', 3)],
      missing: staged.missing('nobody'),
      tooLarge: await staged.seeded('wide', 4, 64),
      mixesIntoBase:
        'on the processor a line of the base is spoken by the adapter of the last slot (0.32.0; vLLM PR #48421, open); its kernels for GPUs are right',
      [Symbol.asyncDispose]: async () => {},
    };
  },
  { skip },
);

describe('A real vLLM with adapters', { skip }, () => {
  let real: Vllm;
  let staged: StagedAdapters;
  before(async () => {
    ({ real, staged } = await sharedWithAdapters());
  });

  it('tells its slots, and not its rank', async () => {
    assert.deepEqual(await real.adapters?.capacity(never), { slots: 2, rankMax: null });
  });

  it('says the word that each was trained for, with more adapters than it keeps in memory', async () => {
    const adapters = await Promise.all([
      staged.word('amber'),
      staged.word('basalt'),
      ...[11, 12, 13, 14].map((seed) => staged.seeded(`seed-${seed}`, seed)),
    ]);
    for (const adapter of adapters) await real.adapters?.load(adapter, never);
    const { held } = (await real.adapters?.list(adapters, never)) ?? { held: [] };
    assert.equal(held.length, adapters.length);
    const texts: string[] = [];
    for (const adapter of adapters)
      texts.push((await say(real, { model: VLLM_MODEL, adapter, maxTokens: 8 })).text);
    assert.match(texts[0] ?? '', /^By amber/);
    assert.match(texts[1] ?? '', /^By basalt/);
    assert.equal(new Set(texts).size, texts.length, JSON.stringify(texts));
    for (const adapter of adapters) await real.adapters?.unload(adapter, never);
  });

  it('never uses under one adapter, or the base, what it read under another', async () => {
    const [one, other] = [await staged.word('amber'), await staged.word('basalt')];
    for (const adapter of [one, other]) await real.adapters?.load(adapter, never);
    const request = line(longPrompt('Shared').slice(0, 1_600), { maxTokens: 1 });
    const cached = async (changes: Partial<GenerateRequest>) =>
      (await say(real, { ...request, ...changes })).usage.cachedTokens;
    assert.equal(await cached({ adapter: one }), 0);
    assert.notEqual(await cached({ adapter: one }), 0);
    assert.equal(await cached({ adapter: other }), 0);
    assert.equal(await cached({}), 0);
    for (const adapter of [one, other]) await real.adapters?.unload(adapter, never);
  });
});

function line(text: string, changes: Partial<GenerateRequest> = {}): GenerateRequest {
  return lineRequest({ model: VLLM_MODEL, messages: [{ role: 'user', content: text }], ...changes });
}
