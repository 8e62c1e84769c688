import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { meaningLikeness } from './calibrate.ts';
import { CALIBRATED } from './calibrated.ts';
import { frameOf } from './frame.ts';
import { parseLabelled } from './labelled.ts';
import { MeaningIndex } from './meaning-index.ts';

const { scenes } = parseLabelled(readFileSync(path.join(import.meta.dirname, 'labelled.jsonl'), 'utf8'));
const texts = scenes
  .flatMap(({ same, different }) => [...same, ...different.map(({ words }) => words)])
  .filter((words) => frameOf(words) !== null);
const someText = fc.constantFrom(...texts);
const open = () => new MeaningIndex({ gatesMax: 8, entriesPerGateMax: 8 });
const isMet = (score: number) => score >= CALIBRATED.threshold;

test('a bark is found again by other words that say the same', () => {
  const index = open();
  index.note('gate', 'the player draws a sword', 'k1');
  index.note('gate', 'the player puts his sword away', 'k2');
  assert.equal(index.nearest('gate', 'he pulls out his blade')?.key, 'k1');
  assert.equal(index.nearest('gate', 'A sword is DRAWN by the player!')?.key, 'k1');
  assert.equal(index.nearest('gate', 'the broker sheathes his sword')?.key, 'k2');
  assert.equal(index.nearest('gate', 'the player draws a bow'), null);
});

test('who does it to whom, how many, which way and whether at all are never outweighed', () => {
  const pairs = readFileSync(path.join(import.meta.dirname, 'unlike.txt'), 'utf8')
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('#'));
  assert.ok(pairs.length > 150);
  for (const pair of pairs) {
    const [one = '', other = ''] = pair.split(' | ');
    assert.equal(isMet(meaningLikeness(one, other)), false, pair);
  }
});

test('two texts that differ in a negation alone never match, whatever they say', () => {
  const denials: readonly (readonly [string, (rest: string) => string])[] = [
    ['the player will', (rest) => `the player will not ${rest}`],
    ['the player does', (rest) => `the player does not ${rest}`],
    ['the ghoul can', (rest) => `the ghoul cannot ${rest}`],
    ['you did', (rest) => `you did never ${rest}`],
    ['the guards may', (rest) => `the guards may not ${rest}`],
  ];
  const verbs = fc.constantFrom(
    'hit',
    'see',
    'trust',
    'leave',
    'burn',
    'wibble',
    'open',
    'sell',
    'kill',
    'be near',
  );
  const rests = fc.constantFrom(
    'you',
    'the bride',
    'a lamp',
    'the old gate',
    'his own brother',
    'two wolves',
    'it',
  );
  fc.assert(
    fc.property(fc.constantFrom(...denials), verbs, rests, ([start, denied], verb, rest) => {
      const said = `${start} ${verb} ${rest}`;
      assert.equal(isMet(meaningLikeness(said, denied(`${verb} ${rest}`))), false, said);
    }),
    { numRuns: 400 },
  );
  for (const { same } of scenes)
    for (const words of same) {
      const denied = words.replace(/ (is|are|was|were|has|have|can|will) /, ' $1 not ');
      if (denied !== words) assert.equal(isMet(meaningLikeness(words, denied)), false, denied);
    }
});

test('a look-up never leaves its gate', () => {
  fc.assert(
    fc.property(someText, fc.string(), fc.string(), (words, gate, other) => {
      fc.pre(gate !== other);
      const index = open();
      index.note(gate, words, 'key');
      assert.equal(index.nearest(other, words), null);
      assert.deepEqual(index.nearest(gate, words), { key: 'key', score: 1 });
    }),
  );
});

test('likeness is the same both ways, whole with itself and between 0 and 1', () => {
  fc.assert(
    fc.property(someText, someText, (one, other) => {
      const score = meaningLikeness(one, other);
      assert.equal(score, meaningLikeness(other, one), `${one} | ${other}`);
      assert.ok(score >= 0 && score <= 1);
      assert.equal(meaningLikeness(one, one), 1);
    }),
    { numRuns: 1_000 },
  );
  for (const { same, different } of scenes)
    for (const one of same)
      for (const { words } of different)
        assert.equal(meaningLikeness(one, words), meaningLikeness(words, one), `${one} | ${words}`);
});

test('any sequence of calls keeps the bounds and agrees with a plain search of what is held', () => {
  const gates = fc.constantFrom('a', 'b', 'c', 'd');
  const keys = fc.integer({ min: 0, max: 14 }).map(String);
  const call = fc.oneof(
    fc.tuple(fc.constant('note' as const), gates, someText, keys),
    fc.tuple(fc.constant('forget' as const), gates, someText, keys),
    fc.tuple(fc.constant('nearest' as const), gates, someText, keys),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      const index = new MeaningIndex({ gatesMax: 3, entriesPerGateMax: 4 });
      const noted = new Map<string, { gate: string; words: string }>();
      for (const [name, gate, words, key] of calls) {
        if (name === 'note' && index.note(gate, words, key)) noted.set(key, { gate, words });
        if (name === 'forget') {
          index.forget(key);
          noted.delete(key);
        }
        if (name === 'nearest') {
          const found = index.nearest(gate, words);
          const entry = noted.get(found?.key ?? '');
          if (found !== null) {
            assert.equal(entry?.gate, gate, 'only what was noted here, and not forgotten since');
            assert.equal(found.score, meaningLikeness(words, entry?.words ?? ''));
            assert.ok(isMet(found.score));
          }
        }
        assert.ok(index.size <= 12);
      }
    }),
  );
});

test('the longest unused entries and gates leave first', () => {
  const index = new MeaningIndex({ gatesMax: 2, entriesPerGateMax: 2 });
  index.note('a', 'the player bows', 'bow');
  index.note('a', 'the player yawns', 'yawn');
  assert.equal(index.nearest('a', 'he bows')?.key, 'bow');
  index.note('a', 'the player shrugs', 'shrug');
  assert.equal(index.nearest('a', 'the player yawns'), null);
  assert.equal(index.nearest('a', 'the player bows')?.key, 'bow');
  index.note('b', 'the player bows', 'b');
  index.note('c', 'the player bows', 'c');
  assert.equal(index.nearest('a', 'the player bows'), null, 'the gate is gone');
  assert.equal(index.size, 2);
  index.forget('b');
  index.forget('never noted');
  assert.equal(index.nearest('b', 'the player bows'), null);
  assert.equal(index.size, 1);
});

test('a key that is noted again moves, and of equals the last used is served', () => {
  const index = open();
  index.note('a', 'the player bows', 'k');
  index.note('b', 'the player yawns', 'k');
  assert.equal(index.nearest('a', 'the player bows'), null);
  assert.equal(index.nearest('b', 'he yawns')?.key, 'k');
  index.note('b', 'the broker yawns', 'later');
  assert.equal(index.nearest('b', 'he yawns')?.key, 'later');
});

test('words of another language are left to the exact key', () => {
  const index = open();
  for (const words of [
    'Marta mata a Juan',
    'a Marta mata Juan',
    'der Spieler zieht ein Schwert',
    'le joueur ne tire pas son épée',
    'gracz wyciąga miecz',
    'プレイヤーが剣を抜く',
  ]) {
    assert.equal(index.note('gate', words, words), false, words);
    assert.equal(index.nearest('gate', words), null, words);
  }
  assert.equal(index.note('gate', 'Aldous Verrier draws a sword', 'name'), true, 'names are no language');
});

test('hostile text is held or refused, never thrown at', () => {
  const index = open();
  const hostile = [
    '',
    ' ',
    '?!…',
    '\u0000\u202e\ud800',
    'not',
    'no no no no',
    "'s 's 's",
    'of of of of the the the',
    'is is is is by by by',
    'cut cut off off by by the the',
    'constructor __proto__ toString hasOwnProperty',
    'the constructor of __proto__ is valueOf',
    '-'.repeat(240),
    'a-'.repeat(120),
    'x'.repeat(241),
    'x '.repeat(120),
    'ab '.repeat(40),
    'x'.repeat(2_000_000),
    '夜が来た',
    'игрок достаёт меч',
    '👩‍👩‍👧‍👦🗡️',
    'a\u0301'.repeat(100),
  ];
  for (const [at, words] of hostile.entries()) {
    const isHeld = index.note('gate', words, String(at));
    assert.equal(index.nearest('gate', words) !== null, isHeld, JSON.stringify(words.slice(0, 40)));
  }
  assert.equal(index.note('gate', 'x'.repeat(241), 'long'), false);
  assert.equal(index.note('gate', '', 'empty'), false);
  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.string({ unit: 'grapheme', maxLength: 80 }),
    fc
      .array(fc.constantFrom(...texts.join(' ').split(' '), ',', '?', 'not', 'no', 'by', 'of', "'s"), {
        maxLength: 45,
      })
      .map((words) => words.join(' ')),
  );
  fc.assert(
    fc.property(anyText, anyText, (one, other) => {
      assert.equal(meaningLikeness(one, other), meaningLikeness(other, one));
      const held = open();
      if (held.note('gate', one, 'key')) assert.equal(held.nearest('gate', one)?.score, 1);
    }),
    { numRuns: 500 },
  );
});
