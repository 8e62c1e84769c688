/**
 * Adapters under bad input and faults, through the front door of a real gateway and its engine. Of each: it is refused by
 * its name or it heals, every operation comes to an end, and players are answered meanwhile in the voice that the reply names.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { peftContent, TINY_BASES, writePeftContent, writePeftFolder } from '../src/testing/peft-folder.ts';
import { modelMissing } from './engine-harness.ts';
import {
  type Gateway,
  isAlive,
  type Reply,
  startGateway,
  temporaryFolder,
  until,
} from './gateway-process.ts';

const FIXTURES = path.resolve(import.meta.dirname, 'fixtures/word-adapters');
const WORDS = ['amber', 'basalt', 'cedar'] as const;
type Word = (typeof WORDS)[number];
const wordFolder = (word: Word) => path.join(FIXTURES, word);
const NPC = 'vampire_salon_keeper';
/** What a laptop of the game's makers would hold in years. */
const REGISTERED = 10_000;

/** An engine that starts again on a busy machine takes its time; what hangs is found out. */
const LOOK_EVERY_MS = 50;
const LOOKS_MAX = 3_000;

const patient = { fillerAfterMs: 0, deadlineMs: 60_000, personaTokens: 100, promptTokens: 300 };
const configWith = (adapters: object = {}) => ({
  engines: { local: { kind: 'embedded', sequences: 4, threads: 2, adapterSlots: 3 } },
  adapters: { pollMs: 100, waitMs: 5_000, ...adapters },
  tiers: { '1': patient, '2': patient, '3': patient, '4': patient },
});

interface Spoken extends Reply {
  readonly source: Reply['source'] & {
    readonly adapter: string | null;
    readonly adapter_missing?: { readonly adapter: string; readonly reason: string };
  };
}

interface Operation {
  readonly id: string;
  readonly kind: string;
  readonly adapter: string;
  readonly stage: string;
  readonly outcome: string | null;
  readonly detail: string;
  readonly failure: { readonly code: string; readonly message: string } | null;
}

interface Shown {
  readonly record: { readonly digest: string };
  readonly is_published: boolean;
  readonly tags: readonly string[];
  readonly replicas: readonly { readonly stage: string }[];
}

/** The doors that these tests use, of one gateway. */
class Operator {
  readonly gateway: Gateway;
  /** By name: what its adapters say. */
  readonly words = new Map<string, Word>();
  #players = 0;

  constructor(gateway: Gateway) {
    this.gateway = gateway;
  }

  /** Nobody has heard anything yet, so a line may be the same for each. */
  player(adapter: string | null) {
    this.#players += 1;
    return {
      npc_id: NPC,
      prompt: 'Who are you, and what do you swear by?',
      adapter,
      temperature: 0,
      context: { player_id: `p${this.#players}` },
    };
  }

  /** A line, whose words are those of the adapter that the reply names. */
  async say(adapter: string | null): Promise<Spoken> {
    const spoken = (await this.gateway.say(this.player(adapter))) as Spoken;
    this.requireTrue(spoken.text, spoken.source);
    return spoken;
  }

  requireTrue(text: string, source: Spoken['source']): void {
    if (source.kind !== 'engine') return;
    const own = source.adapter === null ? null : this.words.get(source.adapter.split('@')[0] ?? '');
    for (const word of WORDS)
      assert.equal(text.toLowerCase().includes(word), word === own, `${source.adapter} said: ${text}`);
  }

  /** What the door says at once. */
  async begin(
    address: string,
    body: object = {},
  ): Promise<{ status: number; body: Operation; text: string }> {
    const reply = await this.gateway.post(`/admin/v1/${address}`, body);
    const text = await reply.text();
    return { status: reply.status, text, body: JSON.parse(text) as Operation };
  }

  async at(id: string): Promise<Operation> {
    return (await this.gateway.get(`/admin/v1/adapter-operations/${id}`)).body as Operation;
  }

  /** Resolves with how it ended. */
  async end({ id, kind, adapter }: Operation): Promise<Operation> {
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const now = await this.at(id);
      if (now.outcome !== null) return now;
      await delay(LOOK_EVERY_MS);
    }
    throw new Error(`the ${kind} of ${adapter} does not end: ${JSON.stringify(await this.at(id))}`);
  }

  async operate(address: string, body: object = {}): Promise<Operation> {
    const begun = await this.begin(address, body);
    assert.equal(begun.status, 202, begun.text);
    return await this.end(begun.body);
  }

  async succeed(address: string, body: object = {}): Promise<Operation> {
    const operation = await this.operate(address, body);
    assert.equal(operation.outcome, 'succeeded', `${address}: ${operation.failure?.message}`);
    return operation;
  }

  async fail(address: string, body: object, code: string, message: RegExp): Promise<void> {
    const { failure } = await this.operate(address, body);
    assert.equal(failure?.code, code, `${address}: ${failure?.message}`);
    assert.match(failure.message, message);
  }

  async add(id: string, word: Word): Promise<Operation> {
    const [name = '', version = ''] = id.split('@');
    this.words.set(name, word);
    return await this.succeed('adapters', { source: wordFolder(word), name, version });
  }

  async show(id: string): Promise<Shown> {
    const { status, body, text } = await this.gateway.get(`/admin/v1/adapters/${id}`);
    assert.equal(status, 200, text);
    return body as Shown;
  }

  async operations(): Promise<readonly Operation[]> {
    const { body } = await this.gateway.get('/admin/v1/adapter-operations');
    return (body as { data: Operation[] }).data;
  }

  async remove(id: string): Promise<{ status: number; text: string }> {
    const reply = await fetch(`${this.gateway.url}/admin/v1/adapters/${id}`, { method: 'DELETE' });
    return { status: reply.status, text: await reply.text() };
  }

  async enginePid(): Promise<number> {
    return await until('the engine runs', async () => {
      const { body } = await this.gateway.get('/admin/v1/status');
      return (body as { engines: { pid: number | null }[] }).engines[0]?.pid;
    });
  }
}

describe('adapters under bad input and faults', { skip: modelMissing, timeout: 900_000 }, () => {
  const dataDirectory = temporaryFolder();
  const made = temporaryFolder();
  const staged = path.join(dataDirectory, 'adapters');
  let operator: Operator;

  before(async () => {
    operator = new Operator(await startGateway({ config: configWith(), dataDirectory }));
    await operator.gateway.untilReady();
    await operator.add('steady@1', 'amber');
    await operator.succeed('adapters/steady@1/publish', { pin: true });
  });
  after(async () => {
    // Its last words, if it ended by itself: every test after that only says that nobody listens.
    if (!isAlive(operator.gateway.pid)) console.error((await operator.gateway.ended).error.slice(-4_000));
    await operator.gateway[Symbol.asyncDispose]();
    for (const folder of [dataDirectory, made]) rmSync(folder, { recursive: true, force: true });
  });

  /** What goes wrong elsewhere is not heard by who talks to another character. */
  async function playersTalk(): Promise<void> {
    const [steady, base] = await Promise.all([operator.say('steady'), operator.say(null)]);
    assert.equal(steady.source.adapter, 'steady@1', JSON.stringify(steady.source));
    assert.equal(base.source.kind, 'engine');
  }

  /** A word adapter with something changed. */
  function copyOf(word: Word, name: string): string {
    const folder = path.join(made, name);
    cpSync(wordFolder(word), folder, { recursive: true });
    return folder;
  }

  function withConfig(name: string, changes: object): string {
    const folder = copyOf('basalt', name);
    const file = path.join(folder, 'adapter_config.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...changes }));
    return folder;
  }

  const REFUSED: readonly {
    readonly what: string;
    readonly source: () => string | Promise<string>;
    readonly more?: object;
    readonly code: string;
    readonly message: RegExp;
  }[] = [
    {
      what: 'an adapter for another base of the same family',
      source: () => writePeftFolder(path.join(made, 'tiny'), { seed: 1, base: TINY_BASES.llama }),
      code: 'adapter_incompatible',
      message: /layers|576/,
    },
    {
      what: 'an adapter for another family',
      source: () => writePeftFolder(path.join(made, 'qwen'), { seed: 1, base: TINY_BASES.qwen2 }),
      code: 'adapter_incompatible',
      message: /layers|576|qwen/,
    },
    {
      what: 'rank 0',
      source: () => withConfig('rank-0', { r: 0 }),
      code: 'adapter_invalid',
      message: /\br\b.*0|rank 0/,
    },
    {
      what: 'rank 512',
      source: () =>
        writePeftFolder(path.join(made, 'rank-512'), {
          seed: 1,
          rank: 512,
          targets: ['q_proj'],
          layers: [0],
        }),
      code: 'adapter_invalid',
      message: /512.*64/,
    },
    {
      what: 'a target module without its weights',
      source: async () => {
        const { config, tensors } = peftContent({ seed: 1 });
        const some = tensors.filter(({ name }) => !/layers\.3\..*v_proj/.test(name));
        return await writePeftContent(path.join(made, 'missing'), { config, tensors: some });
      },
      code: 'adapter_invalid',
      message: /v_proj/,
    },
    {
      what: 'a target module that the base does not have',
      source: () => withConfig('unknown', { target_modules: ['q_proj', 'wobble_proj'] }),
      code: 'adapter_invalid',
      message: /"wobble_proj" .* has no weights/,
    },
    {
      what: 'a truncated file',
      source: () => {
        const folder = copyOf('basalt', 'cut');
        truncateSync(path.join(folder, 'adapter_model.safetensors'), 100_000);
        return folder;
      },
      code: 'adapter_invalid',
      message: /100000|short|cut|bytes/,
    },
    {
      what: 'another digest than was promised',
      source: () => wordFolder('basalt'),
      more: { sha256: '0'.repeat(64) },
      code: 'digest_mismatch',
      message: /0000/,
    },
    {
      what: 'a base that no engine has',
      source: () => wordFolder('basalt'),
      more: { base: 'gpt-9' },
      code: 'bad_request',
      message: /no engine has the base model "gpt-9"; there is: /,
    },
  ];

  test('bad artefacts are refused by their first fault, leave nothing behind, and are heard by nobody', async () => {
    const before = readdirSync(staged).filter((name) => !name.startsWith('.'));
    const talking = playersTalk();
    for (const { what, source, more, code, message } of REFUSED) {
      const body = { source: await source(), name: 'refused', version: '1', ...more };
      const { failure, detail } = await operator.operate('adapters', body);
      assert.equal(failure?.code, code, `${what}: ${failure?.message ?? detail}`);
      assert.match(failure.message, message, what);
      assert.equal((await operator.gateway.get('/admin/v1/adapters/refused@1')).status, 404, what);
    }
    await talking;
    assert.deepEqual(
      readdirSync(staged).filter((name) => !name.startsWith('.')),
      before,
    );
    assert.deepEqual(readdirSync(path.join(staged, '.staging')), []);
  });

  test('a name stands for its bytes, and the same bytes may have two names', async () => {
    const { record } = await operator.show('steady@1');
    await operator.fail(
      'adapters',
      { source: wordFolder('basalt'), name: 'steady', version: '1' },
      'adapter_conflict',
      /steady@1 stands for digest .*new version/,
    );
    const twin = await operator.add('twin@1', 'amber');
    assert.match(twin.detail, /the same bytes are registered as steady@1/);
    assert.equal((await operator.show('twin@1')).record.digest, record.digest);
    await operator.succeed('adapters/twin@1/publish');
    assert.equal((await operator.say('twin')).source.adapter, 'twin@1');
    await operator.succeed('adapters/twin@1/unload', { force: true });
    assert.equal((await operator.remove('twin@1')).status, 204);
    await operator.succeed('adapters/steady@1/verify');
    await playersTalk();
  });

  test('hostile names are refused before anything is done with them', async () => {
    for (const id of [
      '..%2f..%2fetc',
      '%00',
      'lich@%2e%2e',
      '__proto__@1',
      'constructor',
      'a@b@c',
      `${'x'.repeat(5_000)}@1`,
    ]) {
      for (const verb of ['publish', 'swap', 'unload', 'verify', 'pin']) {
        const { status, text } = await operator.begin(`adapters/${id}/${verb}`);
        assert.ok(
          status === 400 || status === 404 || status === 414,
          `${verb} ${id.slice(0, 40)}: ${status} ${text}`,
        );
        assert.match(text, /"code"/);
      }
      assert.ok([400, 404, 414].includes((await operator.remove(id)).status));
    }
    for (const [name, version] of [
      ['../../escape', '1'],
      ['lich', '../7'],
      ['lich', 'stable'],
      ['Lich', '1'],
      ['li\u0000ch', '1'],
    ])
      assert.equal(
        (await operator.begin('adapters', { source: wordFolder('amber'), name, version })).status,
        400,
        `${name}@${version}`,
      );
    assert.equal((await operator.gateway.get('/admin/v1/adapters?after=%27%3B--')).status, 400);
    await playersTalk();
  });

  test('what is resident is not removed, and what is unloaded while it speaks ends its line', async () => {
    await operator.add('leaving@1', 'basalt');
    await operator.succeed('adapters/leaving@1/publish');
    const refused = await operator.remove('leaving@1');
    assert.equal(refused.status, 409);
    assert.match(refused.text, /published; unload it first/);
    const line = operator.gateway.stream({ ...operator.player('leaving'), units: 'token' });
    let text = '';
    let source: Spoken['source'] | null = null;
    let unloading: Promise<Operation> | null = null;
    for await (const { event, data } of line) {
      if (event === 'token') unloading ??= operator.succeed('adapters/leaving@1/unload', { force: true });
      if (event === 'sentence') text += String(data['text']);
      if (event === 'done') source = data['source'] as Spoken['source'];
      assert.notEqual(event, 'error');
    }
    assert.ok(source !== null && unloading !== null);
    assert.equal(source.adapter, 'leaving@1');
    operator.requireTrue(text, source);
    await unloading;
    const next = await operator.say('leaving');
    assert.deepEqual(next.source.adapter_missing, { adapter: 'leaving', reason: 'unknown' });
    assert.equal((await operator.remove('leaving@1')).status, 204);
  });

  test('of two publishes of one name at the same instant one is told to wait, and the tag is where the other put it', async () => {
    await operator.add('rival@1', 'basalt');
    await operator.add('rival@2', 'basalt');
    const both = await Promise.all(
      ['1', '2'].map((version) => operator.begin(`adapters/rival@${version}/publish`)),
    );
    assert.deepEqual(
      both.map(({ status }) => status).sort((a, b) => a - b),
      [202, 409],
    );
    const late = both.find(({ status }) => status === 409);
    assert.match(late?.text ?? '', /adapter_busy.*not done yet/);
    const first = both.find(({ status }) => status === 202)?.body;
    assert.ok(first !== undefined);
    const [{ outcome }] = await Promise.all([operator.end(first), playersTalk()]);
    assert.equal(outcome, 'succeeded');
    assert.equal((await operator.say('rival')).source.adapter, first.adapter);
    await operator.succeed(`adapters/${first.adapter}/unload`, { force: true });
  });

  test('who hangs up in the middle of adding or publishing changes nothing of either', async () => {
    const hangUp = async (address: string, body: object) => {
      const controller = new AbortController();
      const asked = operator.gateway.post(`/admin/v1/${address}`, body, {}, controller.signal);
      const kind = address === 'adapters' ? 'add' : 'publish';
      const begun = await until(`the ${kind} has begun`, async () =>
        (await operator.operations()).find((each) => each.adapter === 'orphan@1' && each.kind === kind),
      );
      controller.abort();
      await asked.then((reply) => reply.body?.cancel()).catch(() => {});
      assert.equal((await operator.end(begun)).outcome, 'succeeded');
    };
    operator.words.set('orphan', 'cedar');
    await hangUp('adapters', { source: wordFolder('cedar'), name: 'orphan', version: '1' });
    await hangUp('adapters/orphan@1/publish', {});
    assert.equal((await operator.say('orphan')).source.adapter, 'orphan@1');
    await operator.succeed('adapters/orphan@1/unload', { force: true });
  });

  test('files that were spoilt after staging fail the publish with what to do, and can be mended', async () => {
    const { record } = await operator.show('orphan@1');
    truncateSync(path.join(staged, record.digest, 'adapter.gguf'), 5_000);
    const [failed] = await Promise.all([operator.operate('adapters/orphan@1/publish'), playersTalk()]);
    assert.equal(failed.failure?.code, 'adapter_failed', failed.detail);
    assert.match(failed.failure.message, /adapter\.gguf/);
    assert.equal((await operator.show('orphan@1')).is_published, false);
    assert.equal((await operator.say('orphan')).source.adapter_missing?.reason, 'unknown');
    await operator.fail('adapters/orphan@1/verify', {}, 'digest_mismatch', /./);
    await operator.succeed('adapters/orphan@1/verify', { refetch: true });
    await operator.succeed('adapters/orphan@1/publish');
    assert.equal((await operator.say('orphan')).source.adapter, 'orphan@1');
    await operator.succeed('adapters/orphan@1/unload', { force: true });
  });

  test('an engine that is killed in the middle of a load comes back, and the publish comes to its end', async () => {
    await operator.add('killed@1', 'basalt');
    const pid = await operator.enginePid();
    const { body: operation } = await operator.begin('adapters/killed@1/publish');
    await until('it loads', async () => {
      const { stage, outcome } = await operator.at(operation.id);
      return stage === 'loading' || outcome !== null;
    });
    process.kill(pid, 'SIGKILL');
    const ended = operator.end(operation);
    // Every line is answered, by whom it says.
    const answered = operator.say('steady');
    const { outcome, failure } = await ended;
    await answered;
    assert.equal(outcome, 'succeeded', failure?.message);
    await until('both speak again', async () => {
      const spoken = await Promise.all([operator.say('steady'), operator.say('killed')]);
      return spoken.every(({ source }) => source.adapter !== null);
    });
    await operator.succeed('adapters/killed@1/unload', { force: true });
  });

  test('a store that takes no writes fails the publish and nothing else; players talk, and later it goes well', async () => {
    await operator.add('later@1', 'basalt');
    using outside = new DatabaseSync(path.join(dataDirectory, 'greenroom.db'));
    outside.exec('begin immediate');
    const [failed] = await Promise.all([operator.operate('adapters/later@1/publish'), playersTalk()]);
    assert.equal(failed.failure?.code, 'store_unavailable', failed.detail);
    await operator.fail(
      'adapters',
      { source: wordFolder('cedar'), name: 'later', version: '2' },
      'store_unavailable',
      /./,
    );
    assert.ok([503, 500].includes((await operator.remove('later@1')).status));
    assert.equal((await operator.say('later')).source.adapter_missing?.reason, 'unknown');
    outside.exec('rollback');
    await operator.succeed('adapters/later@1/publish');
    assert.equal((await operator.say('later')).source.adapter, 'later@1');
    await operator.succeed('adapters/later@1/unload', { force: true });
  });

  test('with ten thousand registered adapters each page is a page, one is found by its name, and players talk', async () => {
    const { record } = await operator.show('steady@1');
    using outside = new DatabaseSync(path.join(dataDirectory, 'greenroom.db'));
    const known = outside
      .prepare('select record_json from adapters where name = ? and version = ?')
      .get('steady', '1');
    const template = JSON.parse(String(known?.['record_json'])) as Record<string, unknown>;
    const insert = outside.prepare(
      'insert into adapters (name, version, digest, added_at_ms, record_json) values (?, ?, ?, ?, ?)',
    );
    outside.exec('begin immediate');
    for (let index = 0; index < REGISTERED; index++) {
      const name = `crowd-${String(index).padStart(5, '0')}`;
      insert.run(
        name,
        '1',
        record.digest,
        index,
        JSON.stringify({ ...template, name, version: '1', addedAtMs: index }),
      );
    }
    outside.exec('commit');
    const names = new Set<string>();
    let after = '';
    const walk = async () => {
      for (;;) {
        const query = `limit=1000${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
        const { status, body, text } = await operator.gateway.get(`/admin/v1/adapters?${query}`);
        assert.equal(status, 200, text.slice(0, 500));
        const { data, next } = body as { data: { id: string }[]; next: string | null };
        assert.ok(data.length <= 1_000);
        for (const { id } of data) names.add(id);
        if (next === null) return;
        after = next;
      }
    };
    await Promise.all([walk(), playersTalk()]);
    assert.ok(
      names.size > REGISTERED && names.has('crowd-09999@1') && names.has('steady@1'),
      `${names.size}`,
    );
    const { body } = await operator.gateway.get('/admin/v1/adapters?name=crowd-07777');
    assert.deepEqual(
      (body as { data: { id: string }[] }).data.map(({ id }) => id),
      ['crowd-07777@1'],
    );
    assert.equal((await operator.gateway.get('/admin/v1/adapters?limit=1001')).status, 400);
    operator.words.set('crowd-07777', 'amber');
    await operator.succeed('adapters/crowd-07777@1/publish');
    assert.equal((await operator.say('crowd-07777')).source.adapter, 'crowd-07777@1');
    await operator.succeed('adapters/crowd-07777@1/unload', { force: true });
  });

  test('a gateway that is killed in the middle of a publish comes back with what it had acknowledged', async () => {
    await operator.add('half@1', 'cedar');
    const enginePid = await operator.enginePid();
    const { body: operation } = await operator.begin('adapters/half@1/publish');
    await until('it loads', async () => {
      const { stage, outcome } = await operator.at(operation.id);
      return stage === 'loading' || outcome !== null;
    });
    operator.gateway.kill('SIGKILL');
    await operator.gateway.ended;
    await operator.gateway[Symbol.asyncDispose]();
    await until('no engine is left over', () => !isAlive(enginePid));
    const { words } = operator;
    operator = new Operator(await startGateway({ config: configWith(), dataDirectory }));
    for (const [name, word] of words) operator.words.set(name, word);
    await operator.gateway.untilReady();
    await playersTalk();
    assert.equal((await operator.show('half@1')).record.digest.length, 64);
    await operator.succeed('adapters/half@1/publish');
    assert.equal((await operator.say('half')).source.adapter, 'half@1');
    assert.deepEqual(readdirSync(path.join(staged, '.staging')), []);
    for (const { outcome } of await operator.operations()) assert.notEqual(outcome, null);
  });
});

test('a disk that fills while an adapter is staged fails the adding alone, and there is room again', {
  skip: modelMissing,
  timeout: 300_000,
}, async (context) => {
  const dataDirectory = temporaryFolder();
  const small = path.join(dataDirectory, 'small');
  mkdirSync(small);
  try {
    // Room for what is fetched, and not for both formats of it.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=300k', 'none', small], { stdio: 'ignore' });
  } catch {
    rmSync(dataDirectory, { recursive: true, force: true });
    context.skip('a small file system cannot be mounted here');
    return;
  }
  try {
    await using gateway = await startGateway({ config: configWith({ directory: small }), dataDirectory });
    const operator = new Operator(gateway);
    await gateway.untilReady();
    const body = { source: wordFolder('amber'), name: 'large', version: '1' };
    const [failed] = await Promise.all([operator.operate('adapters', body), operator.say(null)]);
    assert.equal(failed.failure?.code, 'out_of_space', failed.detail);
    assert.match(failed.failure.message, /adapters\.directory/);
    const left = readdirSync(small, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    assert.deepEqual(
      left.map(({ name }) => name).filter((name) => !name.endsWith('.lock')),
      [],
    );
    execFileSync('mount', ['-o', 'remount,size=5m', small], { stdio: 'ignore' });
    await operator.add('large@1', 'amber');
    await operator.succeed('adapters/large@1/publish');
    assert.equal((await operator.say('large')).source.adapter, 'large@1');
  } finally {
    execFileSync('umount', [small], { stdio: 'ignore' });
    rmSync(dataDirectory, { recursive: true, force: true });
  }
});

test('a declared adapter whose gateway died before its tag moved gets its tag at the next start', {
  skip: modelMissing,
  timeout: 300_000,
}, async () => {
  const dataDirectory = temporaryFolder();
  const config = configWith({ published: { 'declared@1': { from: wordFolder('basalt') } } });
  const start = async () => {
    const operator = new Operator(await startGateway({ config, dataDirectory }));
    operator.words.set('declared', 'basalt');
    return operator;
  };
  const isServed = async (operator: Operator) =>
    await until('it is what its name means', async () => {
      const { status, body } = await operator.gateway.get('/admin/v1/adapters/declared@1');
      return status === 200 && (body as Shown).tags.includes('stable');
    });
  try {
    const first = await start();
    await isServed(first);
    first.gateway.kill('SIGKILL');
    await first.gateway.ended;
    await first.gateway[Symbol.asyncDispose]();
    {
      using outside = new DatabaseSync(path.join(dataDirectory, 'greenroom.db'));
      const row = outside.prepare('select desired_json from desired_adapters').get();
      const desired = JSON.parse(String(row?.['desired_json'])) as { published: unknown[]; tags: object };
      assert.equal(desired.published.length, 1);
      const before = JSON.stringify({ ...desired, tags: {} });
      outside.prepare('update desired_adapters set desired_json = ?').run(before);
    }
    const second = await start();
    await using _gateway = second.gateway;
    await isServed(second);
    await second.gateway.untilReady();
    await until('it speaks', async () => (await second.say('declared')).source.adapter === 'declared@1');
  } finally {
    rmSync(dataDirectory, { recursive: true, force: true });
  }
});
