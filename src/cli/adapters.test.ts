/** `greenroom adapters` as an operator runs it, against a real door and registry; engines are played. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, before, describe, it, mock } from 'node:test';
import { type AdapterService, adapterService } from '../testing/adapter-service.ts';
import { type DoorHarness, doorHarness } from '../testing/door-harness.ts';
import { runCommandLine } from './index.ts';
import { OperationDisplay, stepLine } from './operation-display.ts';

const main = path.join(import.meta.dirname, '..', 'main.ts');

describe('greenroom adapters', () => {
  let door: DoorHarness;
  let service: AdapterService;
  let gate: Promise<void> = Promise.resolve();
  before(async () => {
    const made: AdapterService[] = [];
    door = await doorHarness({
      adapters: (store) => {
        made.push(adapterService(store, { during: () => gate }));
        return made[0]?.admin;
      },
    });
    const [only] = made;
    assert.ok(only);
    service = only;
    process.chdir(service.home);
    await service.write('one', 1);
    await service.write('two', 2);
  });
  after(async () => {
    process.chdir(import.meta.dirname);
    await service[Symbol.asyncDispose]();
    await door[Symbol.asyncDispose]();
  });

  const command = (argv: readonly string[]) => ['adapters', ...argv, '--url', door.url];
  /** In this process: a process for each would take longer than what it does. */
  const run = async (...argv: readonly string[]) => {
    const said = { out: '', error: '' };
    const log = mock.method(console, 'log', (text: string) => {
      said.out += `${text}\n`;
    });
    const error = mock.method(console, 'error', (text: string) => {
      said.error += `${text}\n`;
    });
    const write = mock.method(process.stderr, 'write', (text: string) => {
      said.error += text;
      return true;
    });
    try {
      const code = await runCommandLine(['node', 'greenroom', ...command(argv)]);
      return { code, ...said };
    } finally {
      for (const mocked of [log, error, write]) mocked.mock.restore();
    }
  };

  it('adds from where it is run, shows its progress, and says what is registered', async () => {
    const empty = await run('list');
    assert.match(empty.out, /^No adapters\. Add one: greenroom adapters add/);
    const named = ['--name', 'lich', '--version', '7', '--licence', 'CC0-1.0', '--notes', 'cold\u001b[2J'];
    const added = await run('add', './one', ...named);
    assert.equal(added.code, 0, added.error);
    assert.match(added.out, /^lich@7 is registered: rank 4, .* for tiny-llama\.\n$/);
    assert.match(added.error, /^lich@7: (starting|fetching|staging)/m);
    const other = await run('add', './two', '--name', 'lich', '--version', '7');
    assert.equal(other.code, 1);
    assert.match(other.error, /lich@7 stands for digest .*\n {2}A version never changes/);
    const show = await run('show', 'lich@7');
    assert.match(show.out, /^lich@7\n {2}state {4}registered\n/);
    assert.match(show.out, new RegExp(`source {3}${service.home}/one`));
    assert.doesNotMatch(show.out, /\u001b/);
    const undotted = await run('add', 'one', ...named);
    assert.match(undotted.out, /^lich@7 was registered already/, undotted.error);
    const absent = await run('add', 'none/such', ...named);
    assert.match(absent.error, /write \.\/none\/such for a path on this machine, or hf:\/\/none\/such/);
    const wrong = await run('add', './one', '--name', 'lich');
    assert.equal(wrong.code, 2);
  });

  it('publishes, swaps, pins, unloads and removes, and says what each means', async () => {
    await run('add', './two', '--name', 'lich', '--version', '8');
    const published = await run('publish', 'lich@7', '--pin');
    assert.equal(published.out, 'lich@7 is published as lich@stable, resident on gpu-1.\n', published.error);
    assert.match(published.error, /^lich@7: (starting|loading)/m);
    assert.equal((await run('swap', 'lich@8', '--json')).code, 0);
    const listed = await run('list', 'lich');
    assert.match(listed.out, /^ADAPTER +STATE +TAGS .*\nlich@7 +published, pinned +tiny-llama .* gpu-1 /);
    assert.match(listed.out, /\nlich@8 +published +stable +tiny-llama/);
    const json = JSON.parse((await run('list', '--json')).out) as { id: string }[];
    assert.deepEqual(
      json.map(({ id }) => id),
      ['lich@7', 'lich@8'],
    );
    const replicas = await run('replicas');
    assert.match(replicas.out, /^gpu-1 \(tiny-llama\): 2 of 20 slots, .*\n {2}lich@7 +resident/);
    assert.equal((await run('unpin', 'lich@7')).out, 'lich@7 is not pinned any more.\n');
    assert.equal((await run('pin', 'lich@8')).out, 'lich@8 is pinned.\n');
    const busy = await run('remove', 'lich@8');
    assert.equal(busy.code, 1);
    assert.match(busy.error, /lich@8 is published; unload it first/);
    assert.match((await run('unload', 'lich@7')).out, /^lich@7 is not served any more/);
    assert.match((await run('verify', 'lich@7')).out, /every byte is as it was staged/);
    assert.equal((await run('remove', 'lich@7')).out, 'lich@7 is removed.\n');
    assert.match(
      (await run('operations')).out,
      /^OPERATION +STARTED +WHAT .*\naop_\w+ .* verify +lich@7 +succeeded/,
    );
  });

  it('goes on at the gateway when it is interrupted, and is found again', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    const child = spawn(process.execPath, [main, ...command(['swap', 'lich@8'])], {
      cwd: service.home,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let error = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      error += text;
      if (error.includes('lich@8: 50 %, loading on gpu-1') && !child.killed) child.kill('SIGINT');
    });
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 130);
    const [, id = ''] =
      /The swap of lich@8 goes on; follow it: greenroom adapters operations (\w+)/.exec(error) ?? [];
    const waiting = run('operations', id);
    resolve();
    assert.match((await waiting).out, /^lich@8 speaks from now on as lich@stable/);
    const detached = await run('verify', 'lich@8', '--detach');
    assert.match(detached.out, /^aop_\w+\n$/);
  });
});

it('draws one line on a terminal and plain ones elsewhere', () => {
  const written: string[] = [];
  let nowMs = 0;
  const options = {
    write: (text: string) => written.push(text),
    columns: () => 60,
    monotonicMs: () => nowMs,
  };
  const step = { adapter: 'lich@7', stage: 'fetching', detail: 'fetching \u001b[31mx', percent: 10 };
  {
    using plain = new OperationDisplay({ ...options, isTerminal: false });
    for (const percent of [10, 20, 30]) plain.show({ ...step, percent });
    nowMs = 5_000;
    plain.show({ ...step, percent: 40 });
    plain.show({ ...step, stage: 'staging', percent: null });
  }
  assert.deepEqual(written.splice(0), [
    'lich@7: 10 %, fetching  [31mx\n',
    'lich@7: 40 %, fetching  [31mx\n',
    'lich@7: staging, fetching  [31mx\n',
  ]);
  {
    using terminal = new OperationDisplay({ ...options, isTerminal: true });
    terminal.show(step);
  }
  assert.match(written[0] ?? '', /^\r\u001b\[2Kfetching {2}██░+ {2}10 % {2}fetching/);
  assert.equal(written[1], '\r\u001b[2K');
  assert.equal(stepLine({ ...step, detail: 'x'.repeat(200) }, 60).length, 59);
});
