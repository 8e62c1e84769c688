/** `greenroom recall` as an operator runs it, against a real door and a real cache. */
import assert from 'node:assert/strict';
import { after, before, describe, it, mock } from 'node:test';
import { realRuntime } from '../runtime.ts';
import { type DoorHarness, doorHarness } from '../testing/door-harness.ts';
import { aRecallHouse, type RecallHouse } from '../testing/recall-desk.ts';
import { runCommandLine } from './index.ts';

describe('greenroom recall', () => {
  let house: RecallHouse;
  let door: DoorHarness;
  before(async () => {
    house = aRecallHouse();
    door = await doorHarness({ recall: house.desk });
  });
  after(() => door[Symbol.asyncDispose]());

  const run = async (...argv: readonly string[]) => {
    const said = { out: '', error: '' };
    const add = (to: 'out' | 'error') => (text: string) => {
      said[to] += `${text}\n`;
    };
    const mocked = [mock.method(console, 'log', add('out')), mock.method(console, 'error', add('error'))];
    try {
      const words = ['node', 'greenroom', 'recall', ...argv, '--url', door.url];
      return { code: await runCommandLine(words, { ...realRuntime, environment: {} }), ...said };
    } finally {
      for (const each of mocked) each.mock.restore();
    }
  };

  it('says what brings hits while there are none', async () => {
    const { code, out, error } = await run('show');
    assert.equal(code, 0, error);
    assert.match(out, /^Nobody asked for a line in the last minutes\.\nNothing is saved yet: a line is kept/);
    assert.match(out, /No shared tier: this gateway remembers for itself\./);
  });

  it('says why lines pass the cache by', async () => {
    house.heard('vey', 'bypass');
    assert.match((await run('show')).out, /^No line of the last 1 min was for the cache: 1 without words/);
  });

  it('shows what was saved and who says most again', async () => {
    house.heard('ilse', 'miss');
    house.heard('ilse', 'hit', 2_500);
    house.heard('ilse', 'joined');
    house.heard('vey', 'miss');
    house.generated('ilse', 450);
    house.keep('ilse', 'who');
    house.keep('vey', 'who');
    const { out } = await run('show');
    assert.match(out, /^50 % of the lines of the last 1 min cost nothing now\./);
    assert.match(out, /1 said again, 1 joined, 2 generated, 1 not for the cache\./);
    assert.match(out, /Saved: \$0\.0025, 1\.2 s of waiting, 430 tokens\./);
    assert.match(out, /90 % had been read before/);
    assert.match(
      out,
      /NPC +AGAIN +JOINED .*\nilse +1 +1 +1 +66 % +\$0\.0025 +1\.2 s +90 %\nvey +0 +0 +1 +0 %/,
    );
    const json = JSON.parse((await run('show', '--json')).out) as { total: { hits: number } };
    assert.equal(json.total.hits, 1);
  });

  it('forgets one NPC, and everybody only when that is said', async () => {
    const unclear = await run('forget');
    assert.equal(unclear.code, 1);
    assert.match(unclear.error, /either the id of one NPC, or --all/);
    assert.equal((await run('forget', 'ilse', '--all')).code, 1);
    assert.match((await run('forget', 'ilsa')).error, /did you mean ilse\?/);
    assert.equal((await run('forget', 'ilse')).out, 'Forgotten: what ilse said to 1 question.\n');
    assert.equal((await run('forget', '--all')).out, 'Forgotten: what everybody said to 1 question.\n');
    assert.deepEqual(JSON.parse((await run('forget', '--all', '--json')).out), { npc_id: null, keys: 0 });
  });
});
