/**
 * Adapters on the real engine, through the front door: published, spoken with, swapped under load, and back after the engine
 * was killed. Each adapter makes the model say one word, so that a test hears which one spoke, whatever the reply claims.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { modelMissing } from './engine-harness.ts';
import { type Gateway, type Reply, startGateway, temporaryFolder, until } from './gateway-process.ts';

const WORDS = ['amber', 'basalt'] as const;
const FIXTURES = path.resolve(import.meta.dirname, 'fixtures/word-adapters');
const NPC = 'vampire_salon_keeper';
/** The seeds ask for 50; the soak makes them, the daily run fewer. */
const SWAPS = process.env['GREENROOM_SOAK'] === '1' ? 50 : 5;
const TALKERS = 3;

const patient = { fillerAfterMs: 0, deadlineMs: 60_000, personaTokens: 100, promptTokens: 300 };
const CONFIG = {
  engines: { local: { kind: 'embedded', sequences: 4, threads: 2, adapterSlots: 3 } },
  adapters: {
    pollMs: 100,
    waitMs: 20_000,
    published: { 'declared@1': { from: path.join(FIXTURES, 'amber') } },
  },
  tiers: { '1': patient, '2': patient, '3': patient, '4': patient },
  routing: { budgets: { gapMs: 20_000 } },
};

interface Spoken extends Reply {
  readonly source: Reply['source'] & {
    readonly adapter: string | null;
    readonly adapter_generation?: number;
    readonly adapter_missing?: { readonly adapter: string; readonly reason: string };
  };
}

interface Operation {
  readonly id: string;
  readonly outcome: string | null;
  readonly detail: string;
  readonly failure: { readonly code: string; readonly message: string } | null;
}

describe('adapters on the real engine', { skip: modelMissing }, () => {
  const dataDirectory = temporaryFolder();
  let gateway: Gateway;
  let players = 0;

  before(async () => {
    gateway = await startGateway({ config: CONFIG, dataDirectory });
    await gateway.untilReady();
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    rmSync(dataDirectory, { recursive: true, force: true });
  });

  /** Nobody has heard anything yet, so a line may be the same for each. */
  const say = async (adapter: string | null, more: object = {}): Promise<Spoken> => {
    players += 1;
    return (await gateway.say({
      npc_id: NPC,
      prompt: 'Who are you, and what do you swear by?',
      adapter,
      temperature: 0,
      context: { player_id: `p${players}` },
      ...more,
    })) as Spoken;
  };

  /** Resolves with what the operation became. */
  async function operate(address: string, body: object = {}): Promise<Operation> {
    const reply = await gateway.post(`/admin/v1/${address}`, body);
    const text = await reply.text();
    assert.equal(reply.status, 202, text);
    const { id } = JSON.parse(text) as Operation;
    return await until(`${address} ends`, async () => {
      const { body: now } = await gateway.get(`/admin/v1/adapter-operations/${id}`);
      return (now as Operation).outcome === null ? null : (now as Operation);
    });
  }

  async function succeed(address: string, body: object = {}): Promise<void> {
    const { outcome, failure } = await operate(address, body);
    assert.equal(outcome, 'succeeded', `${address}: ${failure?.message}`);
  }

  /** Odd versions say the first word, even ones the second. */
  const wordOf = (id: string) => WORDS[(Number(id.split('@')[1]) + 1) % 2] ?? '';
  const add = (name: string, version: number) =>
    succeed('adapters', {
      source: path.join(FIXTURES, wordOf(`x@${version}`)),
      name,
      version: String(version),
    });

  function requireTrue({ text, source }: Spoken): void {
    assert.equal(source.kind, 'engine', `${source.cause}: ${text}`);
    const own = source.adapter === null ? null : wordOf(source.adapter);
    for (const word of WORDS)
      assert.equal(text.toLowerCase().includes(word), word === own, `${source.adapter} said: ${text}`);
  }

  test('what the configuration declares is registered and published without anybody asking', async () => {
    await until('it is resident', async () => {
      const { body } = await gateway.get('/admin/v1/adapters/declared@1');
      return (body as { replicas?: { stage: string }[] }).replicas?.some(({ stage }) => stage === 'resident');
    });
    const query = new URLSearchParams({
      engine: 'llama-server',
      base: '/models/base.gguf',
      folder: '/there',
    });
    const { body } = await gateway.get(`/admin/v1/adapters/declared@1/export?${query.toString()}`);
    assert.match((body as { text: string }).text, /--lora \/there\/adapter\.gguf/);
    const spoken = await say('declared');
    assert.equal(spoken.source.adapter, 'declared@1');
    requireTrue(spoken);
    await succeed('adapters/declared@1/unload', { force: true });
  });

  test('a published adapter speaks for whoever names it, and the base for everybody else', async () => {
    await add('word', 1);
    const before = await say('word');
    assert.equal(before.source.adapter, null);
    assert.deepEqual(before.source.adapter_missing, { adapter: 'word', reason: 'unknown' });
    requireTrue(before);
    await succeed('adapters/word@1/publish');
    const spoken = await say('word');
    assert.equal(spoken.source.adapter, 'word@1');
    requireTrue(spoken);
    requireTrue(await say(null));
  });

  test('swaps under load: no line fails, none says a word that is not its own, and none is old after the moment', {
    timeout: 1_500_000,
  }, async () => {
    const heard = new Map<string, number>();
    let isOver = false;
    let newest = 1;
    const talk = async () => {
      while (!isOver) {
        const atLeast = newest;
        const spoken = await say('word');
        requireTrue(spoken);
        const version = Number(spoken.source.adapter?.split('@')[1]);
        assert.ok(version >= atLeast, `${spoken.source.adapter} spoke after word@${atLeast} was the one`);
        heard.set(`${version}`, (heard.get(`${version}`) ?? 0) + 1);
      }
    };
    const talkers = Array.from({ length: TALKERS }, talk);
    const talking = Promise.all(talkers);
    try {
      for (let swap = 0; swap < SWAPS; swap++) {
        const next = newest + 1;
        await add('word', next);
        await Promise.race([talking, succeed(`adapters/word@${next}/swap`)]);
        newest = next;
        await Promise.race([talking, until('the new version was heard', () => heard.has(String(next)))]);
      }
    } finally {
      isOver = true;
      await talking;
    }
    const { body } = await gateway.get('/admin/v1/adapter-replicas');
    const [replica] = (body as { data: { adapters: { id: string; stage: string }[] }[] }).data;
    const resident = replica?.adapters.filter(({ stage }) => stage === 'resident').map(({ id }) => id);
    assert.deepEqual(resident, [`word@${newest}`], 'what was swapped out is gone');
  });

  test('two adapters speak at the same time, each its own word', async () => {
    await add('other', 1);
    await succeed('adapters/other@1/publish');
    await add('third', 2);
    await succeed('adapters/third@2/publish');
    const spoken = await Promise.all([say('other'), say('third'), say('other'), say('third'), say(null)]);
    for (const each of spoken) requireTrue(each);
    assert.deepEqual(
      spoken.map(({ source }) => source.adapter),
      ['other@1', 'third@2', 'other@1', 'third@2', null],
    );
  });

  test('an engine that was killed comes back with its adapters, and nothing is said in a wrong voice meanwhile', async () => {
    const { body } = await gateway.get('/admin/v1/status');
    const { pid } = (body as { engines: { pid: number | null }[] }).engines[0] ?? {};
    assert.ok(typeof pid === 'number');
    process.kill(pid, 'SIGKILL');
    await until('the adapter speaks again', async () => {
      const spoken = await say('other');
      // Written lines and the base may speak meanwhile; whoever names an adapter must be it.
      if (spoken.source.kind === 'engine') requireTrue(spoken);
      return spoken.source.adapter === 'other@1';
    });
  });

  test('an adapter in use is not removed, and one that was unloaded is gone at the engine', async () => {
    const refused = await fetch(`${gateway.url}/admin/v1/adapters/other@1`, { method: 'DELETE' });
    assert.equal(refused.status, 409, await refused.text());
    await succeed('adapters/other@1/unload', { force: true });
    const spoken = await say('other');
    assert.equal(spoken.source.adapter, null);
    requireTrue(spoken);
    const started = gateway.log.findLast((line) => line.event === 'engine.started');
    const models = await (await fetch(`${String(started?.['baseUrl'])}/v1/models`)).text();
    assert.ok(!models.includes('other@1'), models);
  });
});
