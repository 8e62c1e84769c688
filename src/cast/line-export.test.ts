/** Lines as files: what is written is read back whole, by our own parser and by the rules of those who read the others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { exportLines, formatUnreal, formatYarn } from './line-export.ts';
import { formatLinesCsv, parseLinesCsv, parseLinesJson, type WrittenLine } from './written-lines.ts';

function aLine(text: string, changes: Readonly<Record<string, unknown>> = {}): WrittenLine {
  const row = { id: 'vampire.greet.learned-001', speaker: 'vampire', trigger: 'greet', text, ...changes };
  const { lines, problems } = parseLinesJson([row], 'test');
  assert.deepEqual(problems, []);
  const [line] = lines;
  assert.ok(line);
  return line;
}

/** Texts a translator may have made: quotes, commas, markup, line ends, other scripts, and what each format escapes. */
const texts = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 8 }),
      fc.constantFrom(
        ...[
          '"',
          "'",
          ',',
          ';',
          '\n',
          '\r\n',
          '\t',
          '\\',
          '\\n',
          '#line:x',
          '//',
          '<<if',
          '>>',
          '{',
          '}',
          '[b]',
          '{player}',
        ],
        ...['=> ', '-> ', 'Ilse: ', '$x', '===', '---', 'Żółw', 'نعم', '日本', '\u2028', '🦇', '=1+1', ' '],
      ),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.join('').trim().toWellFormed())
  .filter(
    (text) => text.length > 0 && text.length <= 600 && !text.includes('\0') && !text.startsWith('\ufeff'),
  );

describe('our CSV', () => {
  it('is read back as the same lines', () => {
    fc.assert(
      fc.property(fc.array(texts, { maxLength: 5 }), texts, (all, mood) => {
        const lines = all.map((text, at) =>
          aLine(text, {
            id: `vampire.greet.learned-${at + 1}`,
            mood: mood.slice(0, 60).toWellFormed().trim(),
            when: ['health<30', 'weather = "heavy, \'rain\'"'],
            tags: ['locale:pt-BR'],
            source: 'generated_approved',
          }),
        );
        const { lines: read, problems } = parseLinesCsv(formatLinesCsv(lines), 'test');
        assert.deepEqual(problems, []);
        const plain = (line: WrittenLine) => ({ ...line, origin: '' });
        assert.deepEqual(read.map(plain), lines.map(plain));
      }),
      { numRuns: 500 },
    );
  });
});

describe("Unreal's string table", () => {
  it('is read back by the rules of FStringTable::ImportStrings', () => {
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 5 }), (all) => {
        const lines = all.map((text, at) => aLine(text, { id: `vampire.greet.${at}` }));
        const [header, ...rows] = readUnreal(formatUnreal(lines));
        assert.deepEqual(header, ['Key', 'SourceString', 'Comment']);
        assert.deepEqual(
          rows,
          lines.map((line) => [line.id, line.text, 'vampire, greet']),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('looks as Unreal itself writes it', () => {
    assert.equal(
      formatUnreal([aLine('He said "no", {player}.\nThen\\there.')]),
      '\ufeffKey,SourceString,Comment\n"vampire.greet.learned-001","He said ""no"", {player}.\\nThen\\\\there.","vampire, greet"\n',
    );
  });
});

describe('Yarn line groups', () => {
  it('are read back by the rules of its lexer, whatever the text', () => {
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 5 }), (all) => {
        const lines = all.map((text, at) => aLine(text, { id: `vampire.greet.${at}` }));
        const read = readYarn(formatYarn(lines));
        assert.deepEqual(
          read,
          lines.map((line) => ({
            title: 'vampire_greet',
            character: 'vampire',
            text: line.text.replaceAll('{player}', '{$player_name}').replace(/\s+/gu, ' ').trim(),
            id: line.id,
          })),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('carry conditions, mood, once and the rest of a line', () => {
    const text = formatYarn([
      aLine('One.', { when: ['quest.bell >= 3 and not weather="heavy rain"', 'alarm or 2nd=true'] }),
      aLine('Two.', { id: 'v.2', once: 'player', when: ['health<30'], mood: 'tense' }),
      aLine('Three.', { id: 'v.3', once: 'world', weight: 2, cooldown_s: 45, tags: ['locale:de', 'a b#c'] }),
      aLine('Four.', { id: 'v.4', speaker: 'lich', trigger: 'fallback:timeout' }),
      aLine('Five.', { id: 'v.5', speaker: 'lich-fallback', trigger: 'spot' }),
      aLine('Six.', { id: 'v.6', speaker: 'lich_fallback', trigger: 'spot' }),
      aLine('Seven.', { id: 'v.7', speaker: 'lich_fallback', trigger: 'spot', when: ['a=\'\\\\ "q"\''] }),
    ]);
    const rows = text.split('\n');
    assert.equal(
      rows[2],
      '=> vampire: One. <<if ($quest_bell >= 3 and not ($weather == "heavy rain")) and ($alarm or $_2nd == true)>> #line:vampire.greet.learned-001',
    );
    assert.equal(
      rows[3],
      '=> vampire: Two. <<once if $health < 30 and ($mood == "" or $mood == "tense")>> #line:v.2',
    );
    assert.equal(rows[4], '=> vampire: Three. <<once>> #line:v.3 #weight:2 #cooldown:45 #locale:de #a_b_c');
    assert.ok(
      rows.some((row) => row.includes(String.raw`<<if $a == "\\\\ \"q\"">>`)),
      text,
    );
    assert.deepEqual(
      rows.filter((row) => row.startsWith('title: ')),
      [
        'title: vampire_greet',
        'title: lich_fallback_timeout',
        'title: lich_fallback_spot',
        'title: lich_fallback_spot_2',
      ],
    );
  });
});

it('a file has a name that every disk takes, also without a line in it', () => {
  for (const format of ['csv', 'yarn', 'unreal'] as const) {
    const file = exportLines(format, [], '../learned/de');
    assert.match(file.fileName, /^greenroom-lines-[A-Za-z0-9-]+(-unreal)?\.(csv|yarn)$/);
    assert.equal(file.count, 0);
    assert.equal(file.text.includes('vampire'), false);
  }
});

/** Epic's reading: RFC 4180 cells, then C escapes undone in the first two columns. */
function readUnreal(text: string): readonly (readonly string[])[] {
  assert.equal(text.charAt(0), '\ufeff');
  const rows: string[][] = [[]];
  let cell = '';
  let isQuoted = false;
  for (let at = 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (isQuoted && character === '"' && text.charAt(at + 1) === '"') {
      cell += '"';
      at += 1;
    } else if (character === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (character === ',' || character === '\n')) {
      rows.at(-1)?.push(cell);
      cell = '';
      if (character === '\n') rows.push([]);
    } else cell += character;
  }
  assert.equal(isQuoted, false);
  rows.pop();
  const undo = (value: string) =>
    value.replace(/\\([nrt'"\\])/g, (_all, sign: string) => ({ n: '\n', r: '\r', t: '\t' })[sign] ?? sign);
  return rows.map(([key = '', source = '', ...meta]) => [undo(key), undo(source), ...meta]);
}

/** Yarn's text mode: escapes, expressions in braces, then hashtags; markup brackets are escaped twice over. */
function readYarn(text: string): readonly Readonly<Record<string, string>>[] {
  const found: Record<string, string>[] = [];
  let title = '';
  for (const row of text.trimEnd().split('\n')) {
    if (row.startsWith('title: ')) title = row.slice(7);
    else if (row !== '---' && row !== '===') {
      assert.match(row, /^=> /);
      let said = '';
      let at = 3;
      for (; at < row.length; at += 1) {
        const character = row.charAt(at);
        if (character === '\\') {
          at += 1;
          assert.match(row.charAt(at), /[\\<>{}#/[\]]/);
          said += row.charAt(at);
        } else if (character === '{') {
          const end = row.indexOf('}', at);
          assert.equal(row.slice(at, end + 1), '{$player_name}');
          said += '{$player_name}';
          at = end;
        } else if (character === '#') break;
        else {
          assert.ok(!/[<>{}/[\]]/.test(character), `${character} stands bare in ${row}`);
          said += character;
        }
      }
      const [, id = ''] = /^#line:(\S+)/.exec(row.slice(at)) ?? [];
      const colon = said.indexOf(': ');
      found.push({ title, character: said.slice(0, colon), text: said.slice(colon + 2).trim(), id });
    }
  }
  return found;
}
