/**
 * llm-d's simulator of vLLM behind our driver for vLLM: the suite of every engine, each failure that it injects as the code
 * the ladder acts on, adapters by name, and its queue by its own count. It knows no stop strings, no schemas and no
 * priorities, and speaks on when its caller hangs up, so it is no witness of those.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { openEngine } from '../../scripts/engines/frame.ts';
import { llmDSim, SIMULATED_MODEL } from '../../scripts/engines/llm-d-sim.ts';
import { type AdapterAddress, engineNameOf } from '../../src/core/adapter.ts';
import type { Engine, EngineProbe, GenerateRequest } from '../../src/core/engine.ts';
import { type ErrorCode, ServiceError } from '../../src/core/errors.ts';
import type { Transport, WireRequest } from '../../src/core/transport.ts';
import { DRIVERS } from '../../src/engines/index.ts';
import { prometheusSum } from '../../src/engines/prometheus-text.ts';
import { cutAtStop } from '../../src/engines/stop-strings.ts';
import { createTransport } from '../../src/engines/transport.ts';
import { say } from '../../src/testing/driver-harness.ts';
import { engineConformance, lineRequest, occupy } from '../../src/testing/engine-conformance.ts';
import { untilTrue } from './hang-up.ts';
import { skipUnlessAsked } from './when-asked.ts';

const skip = skipUnlessAsked(llmDSim, 1);
const never = new AbortController().signal;
const LIFE_MS = 170_000;
const PLACES = 2;
const ADAPTERS = ['guard-v3', 'ghoul-v1'] as const;

async function open(flags: Readonly<Record<string, string>> = {}) {
  const server = await openEngine(
    llmDSim,
    { flags: { 'max-num-seqs': String(PLACES), ...flags }, lifeMs: LIFE_MS },
    never,
  );
  const transport = createTransport({ baseUrl: server.origin, connections: 16, connectTimeoutMs: 5_000 });
  const wholeLines: Transport = {
    ...transport,
    exchange: (request, signal) => transport.exchange(withoutChance(request), signal),
  };
  const driver = DRIVERS.vllm.create({
    name: 'simulator',
    model: SIMULATED_MODEL,
    options: DRIVERS.vllm.options.parse({}),
    transport: () => wholeLines,
  });
  return {
    ...driver,
    model: SIMULATED_MODEL,
    origin: server.origin,
    [Symbol.asyncDispose]: async () => {
      await transport[Symbol.asyncDispose]();
      // Told to end it would first speak to the end what nobody hears any more.
      process.kill(server.pid, 'SIGKILL');
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Else it ends a line by chance before its limit. */
function withoutChance(request: WireRequest): WireRequest {
  if (request.path !== '/v1/chat/completions') return request;
  const body = JSON.parse(String(request.body)) as object;
  return { ...request, body: JSON.stringify({ ...body, ignore_eos: true }) };
}

async function untilIdle({ probe }: { readonly probe: EngineProbe }): Promise<void> {
  await untilTrue('it works on nothing', async () => {
    const load = await probe.load(never);
    return load?.running === 0 && load.waiting === 0;
  });
}

/** What it does not know is left to us, as for an engine that takes no stop strings; no schema is asked for. */
function withoutWhatItIgnores(engine: Engine): Engine {
  return {
    ...engine,
    capabilities: { ...engine.capabilities, structuredOutput: 'none' },
    generate: (request, signal) => cutAtStop(engine.generate({ ...request, stop: [] }, signal), request.stop),
  };
}

engineConformance(
  `llm-d-inference-sim ${llmDSim.version}`,
  async () => {
    // Slow enough to be left half-way, and over in two seconds, because it speaks on.
    const opened = await open({ 'inter-token-latency': '2ms' });
    return {
      ...opened,
      engine: withoutWhatItIgnores(opened.engine),
      untilIdle: () => untilIdle(opened),
      // Asked for its work it would seem to stop, when it only came to its end.
      probe: { ...opened.probe, load: () => Promise.resolve(null) },
    };
  },
  { skip },
);

/** It believes any path, and answers with chance: what an adapter changes is for engines with a model. */
function anAdapter(index: number): AdapterAddress {
  const digest = createHash('sha256').update(`adapter ${index}`).digest('hex');
  const path = `/adapters/${digest}`;
  const engineName = engineNameOf({ name: `npc-${index}`, version: '1', digest });
  return { engineName, number: index + 1, path, localPath: path, rank: 8 };
}

const FAILURES: readonly (readonly [string, ErrorCode])[] = [
  ['rate_limit', 'overloaded'],
  ['server_error', 'overloaded'],
  ['invalid_api_key', 'engine_account'],
  ['context_length', 'context_length_exceeded'],
  ['invalid_request', 'bad_request'],
  ['model_not_found', 'unknown_model'],
];

const isCode = (code: ErrorCode) => (error: unknown) => error instanceof ServiceError && error.code === code;

describe('What the simulator injects', { skip }, () => {
  let opened: Awaited<ReturnType<typeof open>>;
  before(async () => {
    opened = await open({ lora: ADAPTERS.join(',') });
  });
  after(() => opened[Symbol.asyncDispose]());
  const ask = (changes: Partial<GenerateRequest> = {}) =>
    say(opened, { model: SIMULATED_MODEL, maxTokens: 20, ...changes });
  const setFailures = async (type: string, rate: number) => {
    const reply = await fetch(`${opened.origin}/admin/config`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ 'failure-injection-rate': rate, 'failure-types': [type] }),
    });
    assert.equal(reply.status, 200, await reply.text());
  };

  const injecting = async <T>(type: string, rate: number, work: () => Promise<T>) => {
    await setFailures(type, rate);
    try {
      return await work();
    } finally {
      await setFailures(type, 0);
    }
  };

  for (const [type, code] of FAILURES)
    it(`${type} is ${code}, and over when it is over`, async () => {
      await injecting(type, 100, () => assert.rejects(ask(), isCode(code)));
      assert.notEqual((await ask()).text, '');
    });

  it('some of the requests fail, the others are whole', async () => {
    const end = () =>
      ask().then(
        ({ reason }) => reason,
        (error: unknown) => (isCode('overloaded')(error) ? 'overloaded' : String(error)),
      );
    const ends = await injecting('server_error', 34, () => Promise.all(Array.from({ length: 60 }, end)));
    assert.deepEqual([...new Set(ends)].sort(), ['length', 'overloaded']);
  });

  it('is not ready while it fails, and ready again', async () => {
    await injecting('server_error', 100, () =>
      assert.rejects(opened.probe.ready(never), isCode('not_ready')),
    );
    await opened.probe.ready(never);
  });

  it('adapters stand in the model list under their base, and answer by their names', async () => {
    const models = await opened.probe.models(never);
    const byName = new Map(models.map((model) => [model.id, model.parent]));
    assert.equal(byName.get(SIMULATED_MODEL), null);
    for (const adapter of ADAPTERS) {
      assert.equal(byName.get(adapter), SIMULATED_MODEL);
      assert.notEqual((await ask({ model: adapter })).text, '');
    }
  });

  it('a hundred adapters are loaded by call, listed, addressed, and gone when they are unloaded', async () => {
    const { adapters } = opened;
    assert.ok(adapters !== undefined);
    const all = Array.from({ length: 100 }, (_, index) => anAdapter(index));
    const [first] = all;
    assert.ok(first !== undefined);
    assert.deepEqual(await adapters.capacity(never), { slots: ADAPTERS.length, rankMax: null });
    await Promise.all(all.map((adapter) => adapters.load(adapter, never)));
    const there = await adapters.list(all, never);
    assert.deepEqual([...there.held].sort(), all.map(({ engineName }) => engineName).sort());
    assert.deepEqual([there.stale, there.foreign], [[], ADAPTERS.length]);
    assert.equal((await adapters.list(all.slice(10), never)).stale.length, 10);
    for (const adapter of all) assert.notEqual((await ask({ adapter, maxTokens: 2 })).text, '');
    await Promise.all(all.map((adapter) => adapters.unload(adapter, never)));
    await adapters.unload(first, never);
    assert.deepEqual((await adapters.list(all, never)).held, []);
    await assert.rejects(ask({ adapter: first }), isCode('unknown_model'));
  });

  it('has no page for its version, which is unknown then', async () => {
    assert.equal(await opened.probe.version(never), 'unknown');
  });

  it('a prompt with its answer over the context is refused as such', async () => {
    await assert.rejects(ask({ maxTokens: 3_000 }), isCode('context_length_exceeded'));
  });
});

describe('The queue of the simulator', { skip }, () => {
  let opened: Awaited<ReturnType<typeof open>>;
  before(async () => {
    opened = await open({
      'time-to-first-token': '300ms',
      'inter-token-latency': '100ms',
      'max-waiting-queue-length': '1',
    });
  });
  after(() => opened[Symbol.asyncDispose]());

  it('is told by its own counts; who finds it full is told so', async () => {
    const leave = new AbortController();
    await using _places = await occupy(opened, PLACES);
    const said = lineRequest({ model: SIMULATED_MODEL });
    const queued = Array.fromAsync(opened.engine.generate(said, leave.signal));
    queued.catch(() => {});
    await untilTrue('one waits', async () => (await opened.probe.load(never))?.waiting === 1);
    await assert.rejects(Array.fromAsync(opened.engine.generate(said, never)), isCode('overloaded'));
    const reason = new Error('enough');
    leave.abort(reason);
    await assert.rejects(queued, (error) => error === reason);
  });
});

describe('Whoever hangs up on the simulator', { skip }, () => {
  let opened: Awaited<ReturnType<typeof open>>;
  before(async () => {
    opened = await open({ 'inter-token-latency': '100ms' });
  });
  after(() => opened[Symbol.asyncDispose]());

  it('is not noticed: the line is made to its end, so that its counts prove nothing about us', async () => {
    const generated = async () =>
      prometheusSum(await (await fetch(`${opened.origin}/metrics`)).text(), 'vllm:generation_tokens_total') ??
      0;
    const before = await generated();
    for await (const event of opened.engine.generate(
      lineRequest({ model: SIMULATED_MODEL, maxTokens: 30 }),
      never,
    ))
      if (event.type === 'text') break;
    await untilIdle(opened);
    assert.equal(await generated(), before + 30);
  });
});
