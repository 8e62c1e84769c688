/** Loading and checking a folder: everything that is wrong is said at once, by file and field. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { loadCast, readCast } from './cast.ts';
import { lintCast } from './lint.ts';

const never = new AbortController().signal;
const WICK = {
  schema: 'greenroom.persona/1',
  id: 'wick',
  version: 1,
  name: 'Odd Wick',
  monster_type: 'zombie',
  tier: 2,
  summary: 'A lamplighter.',
};

async function withFolder(
  files: Readonly<Record<string, unknown>>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-cast-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      const text =
        typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content);
      await writeFile(join(folder, name), text);
    }
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('a whole cast is read, and a mistyped id finds its neighbour', async () => {
  const files = {
    'cast.json': { world: 'A city.', player_name: 'broker', locations: [{ id: 'quay', name: 'the Quay' }] },
    'personas/wick.json': WICK,
    'lines/zombie.csv': 'id,speaker,trigger,text\nz.1,zombie,spot,You.\n',
    'lines/more.json': [{ id: 'z.2', speaker: 'zombie', trigger: 'lose', text: 'Gone.' }],
  };
  await withFolder(files, async (folder) => {
    const cast = await loadCast(folder, never);
    assert.equal(cast.world, 'A city.');
    assert.equal(cast.lines.served.length, 2);
    assert.deepEqual(cast.near('wik'), ['wick']);
    assert.deepEqual(cast.near('x'.repeat(10_000)), []);
  });
});

test('all problems of all files are in one error, with file, field, value and what was expected', async () => {
  const files = {
    'cast.json': { wrld: 'x' },
    'personas/wick.json': { ...WICK, tier: 9, secrets: [{ text: 'x', reveal_when: 'a >' }], colour: 'red' },
    'personas/other.json': WICK,
    'personas/broken.json': '{"schema":',
    'personas/binary.json': Uint8Array.of(0xff, 0xfe),
    'lines/zombie.csv': 'id,speaker,trigger,text\nz.1,zombie,spot,You.\nz.1,zombie,spott,You.\n',
    'lines/two.csv': 'id,speaker,trigger,text\nz.1,zombie,spot,Again.\n',
  };
  await withFolder(files, async (folder) => {
    await assert.rejects(loadCast(folder, never), (error) => {
      assert.ok(error instanceof ServiceError && error.code === 'cast_invalid');
      for (const expected of [
        /cast\.json: wrld/,
        /personas\/wick\.json: tier is 9; expected one of 1\|2\|3\|4/,
        /secrets\[0\]\.reveal_when is "a >"; expected a condition/,
        /personas\/wick\.json: colour/,
        /personas\/other\.json: id is wick; expected the file's name/,
        /broken\.json: .*JSON/,
        /binary\.json: .*not UTF-8/,
        /zombie\.csv: line 3, trigger is spott; expected one of spot/,
        /zombie\.csv: line 2, id is z\.1; expected an id used once; also in lines\/two\.csv/,
      ]) {
        assert.match(error.message, expected);
      }
      return true;
    });
  });
});

test('a folder without a cast says what it should hold', async () => {
  await withFolder({}, async (folder) => {
    await assert.rejects(loadCast(folder, never), /expected personas\/\*\.json/);
    await assert.rejects(loadCast(join(folder, 'nowhere'), never), /no cast in/);
  });
});

test('the lint finds thin pools, twins, long lines, unreachable lines, markup and leaks', async () => {
  const persona = {
    ...WICK,
    greetings: ['*waves* Hello.'],
    voice: { words_avoid: ['okay'] },
    refusals: ['No, okay.'],
    knowledge: { knows: ['There is brass behind forty-one.'] },
    secrets: [{ text: 'Brass.', canaries: ['brass behind forty-one'] }],
  };
  const rows = [
    'z.1,zombie,spot,There you are at last my friend,',
    'z.2,zombie,spot,"There you are, at last, my friend!",',
    `z.3,zombie,hit,${'word '.repeat(15)},`,
    'z.4,zombie,spot,Never.,health<10;health>50',
    'z.5,zombie,spot,Never.,weather=rain and weather=snow',
    'z.6,ghost,spot,Boo you.,',
    'z.7,zombie,spot,*groans* Here.,',
    'z.8,wick,spot,I hid brass behind forty one.,',
    'z.9,zombie,idle,Sometimes.,health<10;health>5;weather!=rain',
  ];
  const files = {
    'personas/wick.json': persona,
    'lines/z.csv': `id,speaker,trigger,text,when\n${rows.join('\n')}\n`,
  };
  await withFolder(files, async (folder) => {
    const findings = lintCast(await readCast(folder, never));
    const of = (rule: string) =>
      findings.filter((finding) => finding.rule === rule).map((finding) => finding.subject);
    assert.ok(of('thin-pool').includes('zombie × spot'));
    assert.ok(of('silent').includes('zombie × fallback:timeout'));
    assert.deepEqual(of('near-duplicate').slice(0, 1), ['z.2']);
    assert.deepEqual(of('too-long'), ['z.3']);
    assert.deepEqual(of('unreachable'), ['z.4', 'z.5', 'z.6']);
    assert.deepEqual(of('markup').sort(), ['wick greetings[0]', 'z.7']);
    assert.deepEqual(of('avoided-word'), ['wick refusals[0]']);
    assert.deepEqual(of('leak').sort(), ['wick', 'z.8']);
    assert.ok(of('thin-persona').length >= 3);
    const firstWarning = findings.findIndex((finding) => finding.severity === 'warning');
    assert.ok(findings.slice(firstWarning).every((finding) => finding.severity === 'warning'));
  });
});

test('the lint stays quick on thousands of lines that share their words', async () => {
  const rows = Array.from(
    { length: 4_000 },
    (_, index) => `z.${index},zombie,spot,the cold river gives back number ${index} today`,
  );
  await withFolder({ 'lines/z.csv': `id,speaker,trigger,text\n${rows.join('\n')}\n` }, async (folder) => {
    const findings = lintCast(await readCast(folder, never));
    assert.ok(findings.length < 10_000);
  });
});
