/** `greenroom lines` as a designer runs it, against a real door, store and pool. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it, mock } from 'node:test';
import { parseLinesCsv } from '../cast/written-lines.ts';
import { realRuntime } from '../runtime.ts';
import { type DoorHarness, doorHarness } from '../testing/door-harness.ts';
import { aSmallCast, hearing, learningOver } from '../testing/line-learning.ts';
import { runCommandLine } from './index.ts';

const WINE = 'Sit down, the wine will not drink itself.';
const STAIR = 'Mind the third stair, it remembers people.';

describe('greenroom lines', () => {
  const cast = aSmallCast();
  const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-lines-'));
  let learning: ReturnType<typeof learningOver>;
  let door: DoorHarness;
  before(async () => {
    door = await doorHarness({
      lines: (store) => {
        learning = learningOver(store, cast);
        return learning;
      },
    });
  });
  after(async () => {
    await door[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const run = async (...argv: readonly string[]) => {
    const said = { out: '', error: '' };
    const add = (to: 'out' | 'error') => (text: string) => {
      said[to] += `${text}\n`;
    };
    const mocked = [
      mock.method(console, 'log', add('out')),
      mock.method(console, 'error', add('error')),
      mock.method(process.stderr, 'write', (text: string) => {
        said.error += text;
        return true;
      }),
    ];
    const runtime = { ...realRuntime, environment: { USER: 'mara' } };
    try {
      const words = ['node', 'greenroom', 'lines', ...argv, '--url', door.url];
      const code = await runCommandLine(words, runtime);
      return { code, ...said };
    } finally {
      for (const each of mocked) each.mock.restore();
    }
  };

  it('says how a line comes to be offered while there is none', async () => {
    const none = await run('candidates');
    assert.equal(none.code, 0, none.error);
    assert.match(
      none.out,
      /^No candidates\. 0 lines are being counted; one is offered after 10 hearings by 5 players\./,
    );
    assert.match((await run('list')).out, /^Nothing is learned yet/);
  });

  it('shows candidates, approves by the beginning of an id, lists, exports and retires', async () => {
    hearing(learning, WINE, 8);
    hearing(learning, STAIR, 6, { occasion: 'answer' });
    hearing(learning, 'We have nine keys.', 6);
    const shown = await run('candidates');
    assert.match(shown.out, /^ID +SPEAKER +TRIGGER +HEARD +PLAYERS +CUT OFF +TEXT\n/);
    assert.match(shown.out, /ilse +greet +16 +8 +0 % +Sit down, the wine/);
    assert.match(shown.out, /ilse +\(answer\) +12/);
    assert.match(shown.out, /not offered: 1 secret\./);
    const [wine = '', stair = ''] = shown.out
      .split('\n')
      .slice(1)
      .map((row) => row.split(' ', 1)[0] ?? '');
    assert.match(wine, /^[0-9a-f]{8}$/);

    const unclear = await run('approve', stair);
    assert.equal(unclear.code, 1);
    assert.match(unclear.error, /trigger is missing/);
    const approved = await run(
      'approve',
      stair,
      '--trigger',
      'idle',
      '--when',
      'health<30',
      'a=b',
      '--text',
      'Mind it.',
    );
    assert.equal(approved.code, 0, approved.error);
    assert.equal(approved.out, 'ilse.idle.learned-001 is approved by mara and serves now: Mind it.\n');
    const rejected = await run('reject', wine, '--by', 'Ivo');
    assert.match(rejected.out, /is rejected by Ivo; it is not offered again\.\n$/);
    const again = await run('reject', wine);
    assert.equal(again.code, 1);
    assert.match(again.error, /no candidate's id begins with/);
    assert.match((await run('approve', '')).error, /is the beginning of|no candidate's id/);

    const list = await run('list');
    assert.match(list.out, /ilse\.idle\.learned-001 +approved +mara +20\d\d-\d\d-\d\d \d\d:\d\d +Mind it\./);
    const file = path.join(folder, 'learned.csv');
    assert.match((await run('export', file)).out, /learned\.csv: 1 lines\./);
    const read = parseLinesCsv(readFileSync(file, 'utf8'), file);
    assert.deepEqual(read.problems, []);
    assert.deepEqual(
      read.lines[0]?.when.map(({ text }) => text),
      ['health<30', 'a=b'],
    );
    const there = await run('export', file, '--format', 'yarn');
    assert.equal(there.code, 1);
    assert.match(there.error, /it exists already; add --force/);
    assert.equal((await run('export', file, '--format', 'yarn', '--all', '--force')).code, 0);
    assert.match(readFileSync(file, 'utf8'), /#line:ilse\.idle\.learned-001/);
    const unreal = await run('export', '--format', 'unreal', '--locale', 'en');
    assert.match(unreal.out, /^\ufeffKey,SourceString,Comment\n"ilse\.idle\.learned-001","Mind it\."/);
    assert.equal((await run('export', '--format', 'ink')).code, 2);

    assert.match((await run('retire', 'ilse.idle.learned-001')).out, /is retired by mara/);
    assert.match((await run('list')).out, /retired by mara/);
    const gone = await run('retire', 'nobody');
    assert.match(gone.error, /no learned line has the id "nobody"/);
  });

  it('gives everything as JSON where a program asks', async () => {
    for (const verb of ['candidates', 'list']) assert.ok(JSON.parse((await run(verb, '--json')).out));
    hearing(learning, 'You bring the cold in with you.', 8);
    const { data } = JSON.parse((await run('candidates', '--json')).out) as { data: { id: string }[] };
    const id = data[0]?.id ?? '';
    assert.equal(
      (JSON.parse((await run('approve', id, '--json')).out) as { status: string }).status,
      'approved',
    );
    const told = await run('reject', id, '--json');
    assert.match(
      told.error,
      /mara approved this line as .*\n {2}The detail says who and how; nothing was changed\./,
    );
  });
});
