/**
 * The whole of it on the real model: the stages of the start, a conversation that is remembered, prefixes that are
 * computed once, hang-ups that free the engine, and what is left standing when either process is killed.
 */
import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MODEL_PATH, modelMissing } from './engine-harness.ts';
import {
  type Gateway,
  isAlive,
  type StreamEvent,
  startGateway,
  temporaryFolder,
  until,
} from './gateway-process.ts';

const patient = { fillerAfterMs: 0, deadlineMs: 60_000, personaTokens: 150, promptTokens: 420 };
const CONFIG = {
  engines: { local: { kind: 'embedded', sequences: 4, threads: 2 } },
  tiers: { '1': patient, '2': patient, '3': patient, '4': patient },
};
const NPC = 'vampire_salon_keeper';

interface EngineStatus {
  readonly stage: string;
  readonly running: number;
  readonly waiting: number;
  readonly restarts: number;
  readonly pid: number | null;
  readonly reason: string | null;
}

async function engineOf(gateway: Gateway): Promise<EngineStatus> {
  const { body } = await gateway.get('/admin/v1/status');
  const [engine] = (body as { engines: EngineStatus[] }).engines;
  assert.ok(engine !== undefined);
  return engine;
}

/** A number that the engine itself reports, summed over its label sets. */
async function atTheEngine(gateway: Gateway, name: string): Promise<number> {
  const started = gateway.log.findLast((line) => line.event === 'engine.started');
  const text = await (await fetch(`${String(started?.['baseUrl'])}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

describe('greenroom serve on the real model', { skip: modelMissing }, () => {
  const dataDirectory = temporaryFolder();
  let gateway: Gateway;
  const stages = new Set<string>();
  before(async () => {
    gateway = await startGateway({ config: CONFIG, dataDirectory });
    assert.equal((await gateway.get('/livez')).status, 200, 'it lives before it is ready');
    await until('the gateway is ready', async () => {
      const { status, body } = await gateway.get('/readyz');
      const { stage, ready } = body as { stage: string; ready: boolean };
      stages.add(stage);
      assert.equal(status, ready ? 200 : 503);
      return ready;
    });
  });
  after(async () => {
    await gateway?.[Symbol.asyncDispose]();
    rmSync(dataDirectory, { recursive: true, force: true });
  });

  test('readiness tells its stage, and comes after a real line was generated', () => {
    assert.ok(
      [...stages].some((stage) => /fetching|loading|warming/.test(stage)),
      [...stages].join(),
    );
    assert.equal([...stages].at(-1), 'ready');
    const events = gateway.log.map(({ event }) => event);
    assert.ok(events.includes('engine.warm'));
  });

  test('a stream is accepted, sentences, one done that repeats them; the figures are measured', async () => {
    const events: StreamEvent[] = [];
    const body = { npc_id: NPC, prompt: 'Good evening. Who are you?', conversation_id: 'talk' };
    for await (const event of gateway.stream(body)) events.push(event);
    const kinds = events.map(({ event }) => event);
    assert.equal(kinds[0], 'accepted');
    assert.equal(kinds.at(-1), 'done');
    assert.ok(kinds.slice(1, -1).every((kind) => kind === 'sentence') && kinds.length > 2, kinds.join());
    const done = events.at(-1)?.data ?? {};
    assert.deepEqual(
      done['sentences'],
      events.filter(({ event }) => event === 'sentence').map(({ data }) => data['text']),
    );
    const { prompt_tokens: promptTokens } = done['usage'] as { prompt_tokens: number };
    assert.ok(promptTokens > 50, `${promptTokens} tokens of prompt`);
    const timing = done['timing'] as { ttft_ms: number; ttfs_ms: number; total_ms: number };
    assert.ok(timing.ttft_ms > 0 && timing.ttft_ms <= timing.ttfs_ms && timing.ttfs_ms <= timing.total_ms);
    assert.equal((done['conversation'] as { turn: number }).turn, 0);
  });

  test('the second turn is remembered as the second, and a second player finds the prefix warm', async () => {
    const second = await gateway.say({ npc_id: NPC, prompt: 'And your house?', conversation_id: 'talk' });
    assert.deepEqual([second.conversation?.turn, second.conversation?.stored], [1, true]);
    const other = await gateway.say({
      npc_id: NPC,
      prompt: 'I am new in this town.',
      context: { player_id: 'newcomer' },
    });
    assert.ok(other.usage.cached_tokens > 0, JSON.stringify(other.usage));
    assert.ok(other.usage.cached_tokens <= other.usage.prompt_tokens || other.usage.completion_tokens > 0);
  });

  test('a hang-up in the line frees the engine', async () => {
    for (const leaveAt of ['accepted', 'sentence']) {
      const body = {
        npc_id: NPC,
        prompt: `Tell me a long story of the flood, part ${leaveAt}.`,
        context: { player_id: `leaver-${leaveAt}` },
      };
      for await (const { event } of gateway.stream(body)) if (event === leaveAt) break;
      await until('the engine is free', async () => {
        const { running, waiting } = await engineOf(gateway);
        return running + waiting === 0 && (await atTheEngine(gateway, 'vllm:num_requests_running')) === 0;
      });
    }
    assert.equal(await gateway.metric('greenroom_dialogues_active'), 0);
  });

  test('kill -9 on the engine: everyone is answered, and it is whole again without help', async () => {
    const first = await engineOf(gateway);
    assert.ok(first.pid !== null);
    const running = gateway.say({
      npc_id: NPC,
      prompt: 'What do the drowned say at night?',
      context: { player_id: 'witness' },
    });
    await until('the line is under way', async () => (await engineOf(gateway)).running === 1);
    process.kill(first.pid, 'SIGKILL');
    const cut = await running;
    assert.ok(cut.text.length > 0);
    const causes = new Set<string | undefined>();
    await until('a line of the time without an engine', async () => {
      const reply = await gateway.say({
        npc_id: NPC,
        prompt: 'Is it dark?',
        context: { player_id: `waiter-${causes.size}` },
      });
      assert.ok(reply.text.length > 0);
      causes.add(reply.source.cause);
      return reply.source.kind === 'written';
    });
    assert.ok(
      [...causes].some((cause) => cause === 'offline' || cause === 'backend_error'),
      [...causes].join(),
    );
    // The connection may break some moments before the end of the process is heard of.
    await until('the engine is started again', async () => (await engineOf(gateway)).restarts === 1);
    await gateway.untilReady();
    const again = await engineOf(gateway);
    assert.notEqual(again.pid, first.pid);
    const reply = await gateway.say({
      npc_id: NPC,
      prompt: 'Good evening again.',
      context: { player_id: 'afterwards' },
    });
    assert.ok(reply.usage.prompt_tokens > 0, 'the engine was asked');
    assert.equal(await gateway.metric('greenroom_engine_restarts_total'), 1);
  });

  test('kill -9 on the gateway: the engine ends too', async () => {
    const { pid } = await engineOf(gateway);
    assert.ok(pid !== null && isAlive(pid));
    gateway.kill('SIGKILL');
    await gateway.ended;
    await until('the engine has ended', () => !isAlive(pid));
  });

  test('started again it remembers; SIGTERM lets the line finish and leaves no process behind', async () => {
    await using again = await startGateway({ config: CONFIG, dataDirectory });
    await again.untilReady();
    const { pid } = await engineOf(again);
    assert.ok(pid !== null);
    const line = again.say({ npc_id: NPC, prompt: 'Where were we?', conversation_id: 'talk' });
    await until('the line is under way', async () => (await engineOf(again)).running === 1);
    again.kill('SIGTERM');
    const reply = await line;
    assert.deepEqual([reply.conversation?.turn, reply.conversation?.stored], [2, true]);
    assert.equal((await again.ended).code, 0);
    assert.equal(isAlive(pid), false);
  });
});

describe('greenroom serve with an empty cache and a model file that is named', { skip: modelMissing }, () => {
  for (const fastWeights of [true, false]) {
    const what = fastWeights ? 'writes the weights anew for this CPU' : 'leaves the weights as they are';
    test(`${what}, and is ready`, async () => {
      const folder = temporaryFolder();
      try {
        await using gateway = await startGateway({
          config: { ...CONFIG, engines: { local: { ...CONFIG.engines.local, fastWeights } } },
          environment: { GREENROOM_MODEL_FILE: MODEL_PATH, GREENROOM_CACHE: folder },
        });
        await gateway.untilReady();
        const copy = `${basename(MODEL_PATH)}.q8_0.gguf`;
        assert.deepEqual(
          existsSync(join(folder, 'models')) ? readdirSync(join(folder, 'models')).sort() : [],
          fastWeights ? [copy, `${copy}.made.json`] : [],
        );
        const { pid } = await engineOf(gateway);
        const commandLine = `/proc/${pid}/cmdline`;
        if (existsSync(commandLine))
          assert.ok(readFileSync(commandLine, 'utf8').includes(fastWeights ? copy : MODEL_PATH));
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});

describe('greenroom serve with a model file that is cut short', { skip: modelMissing }, () => {
  test('is not ready and says why; NPCs speak written lines; SIGTERM leaves no process behind', async () => {
    const folder = temporaryFolder();
    const cut = join(folder, 'cut.gguf');
    copyFileSync(MODEL_PATH, cut);
    const file = openSync(cut, 'r+');
    ftruncateSync(file, 20_000_000);
    closeSync(file);
    try {
      await using gateway = await startGateway({
        config: CONFIG,
        environment: { GREENROOM_MODEL_FILE: cut },
      });
      const detail = await until('the reason is said', async () => {
        const { status, body } = await gateway.get('/readyz');
        assert.equal(status, 503);
        const { stage, detail: reason } = body as { stage: string; detail: string };
        return stage === 'failed' && reason;
      });
      assert.match(detail, /cut\.gguf/);
      const reply = await gateway.say({ npc_id: NPC, prompt: 'Are you well?' });
      assert.equal(reply.source.kind, 'written');
      assert.equal(reply.source.cause, 'offline');
      gateway.kill('SIGTERM');
      assert.equal((await gateway.ended).code, 0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
