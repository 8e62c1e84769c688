/** The forms of written lines: what is read, what is named as wrong, and that writing and reading agree. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatLinesCsv, LINE_TRIGGERS, parseLinesCsv, parseLinesJson } from './written-lines.ts';

test('a row needs four cells; the others have defaults', () => {
  const { lines, problems } = parseLinesCsv(
    '\uFEFFid,speaker,trigger,text\r\nz.1,zombie,spot,"You, there."\r\n',
    'z.csv',
  );
  assert.deepEqual(problems, []);
  assert.equal(lines[0]?.text, 'You, there.');
  assert.equal(lines[0]?.status, 'approved');
  assert.equal(lines[0]?.origin, 'z.csv, line 2');
});

test('every bad cell is named with its row, and the good rows are still there', () => {
  const { lines, problems } = parseLinesCsv(
    'id,speaker,trigger,text,when,weight\nz.1,zombie,spott,Hm.\nz.2,zombie,spot,Good.\nz.3,Zombie,spot,Hm.,health<,-1\nz.4,zombie,spot,a,b,c,d\n',
    'z.csv',
  );
  assert.deepEqual(
    lines.map((line) => line.id),
    ['z.2'],
  );
  const fields = problems.map((problem) => problem.field).sort();
  assert.deepEqual(fields, ['line 2, trigger', 'line 4, speaker', 'line 4, weight', 'line 5']);
});

test('a table that is none, an unknown column and a wrong JSON form are problems, not crashes', () => {
  assert.equal(parseLinesCsv('id,speaker,trigger,text,volume\na,b,spot,c,9\n', 'z.csv').problems.length, 1);
  assert.equal(parseLinesCsv('"', 'z.csv').lines.length, 0);
  assert.equal(parseLinesJson({}, 'z.json').problems.length, 1);
  assert.equal(parseLinesJson([null, 3, 'x'], 'z.json').problems.length, 3);
  assert.equal(
    parseLinesJson([{ id: 'a', speaker: 'b', trigger: 'spot', text: 'c', when: ['x=1', 'y<2'] }], 'z')
      .lines[0]?.specificity,
    2,
  );
});

test('lines written as CSV are read back as they were', () => {
  const spoken = fc
    .string({ minLength: 1, maxLength: 80, unit: 'binary' })
    .map((text) => text.replace(/[\r\uFEFF]/g, '').trim())
    .filter((text) => text !== '' && text.isWellFormed());
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          id: fc.stringMatching(/^[a-z][a-z0-9.]{0,12}$/),
          speaker: fc.constantFrom('zombie', 'common', 'wick_2'),
          trigger: fc.constantFrom(...LINE_TRIGGERS),
          text: spoken,
          when: fc.constantFrom([], ['health<30'], ['weather=rain', 'a or b']),
          mood: fc.constantFrom('sad', undefined),
          weight: fc.constantFrom(2, 0.5, undefined),
          cooldown_s: fc.constantFrom(0, 30, undefined),
          once: fc.constantFrom('player', 'world', undefined),
          tags: fc.constantFrom([], ['combat', 'x']),
          rating: fc.constantFrom('teen', undefined),
        }),
        { maxLength: 8 },
      ),
      (rows) => {
        const before = parseLinesJson(JSON.parse(JSON.stringify(rows)), 'x');
        assert.deepEqual(before.problems, []);
        const after = parseLinesCsv(formatLinesCsv(before.lines), 'x');
        const bare = (lines: typeof before.lines) => lines.map(({ origin: _, ...line }) => line);
        assert.deepEqual(after.problems, []);
        assert.deepEqual(bare(after.lines), bare(before.lines));
      },
    ),
  );
});

test('a file cut off at any byte is read without a crash', () => {
  const whole = Buffer.from(
    'id,speaker,trigger,text,when\nz.1,zombie,spot,"You, ""there"".",health<30\nz.2,zombie,lose,Gône.\n',
  );
  for (let length = 0; length < whole.length; length++) {
    parseLinesCsv(whole.subarray(0, length).toString('utf8'), 'z.csv');
  }
});
