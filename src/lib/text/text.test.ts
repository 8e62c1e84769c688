import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { collapseSpaces, dropUnseen, PICTURES } from './characters.ts';
import { expectedOf } from './expected.ts';
import { fold, joinSqueezed, occursIn, squeeze } from './fold.ts';
import { countWords, hasLetter, wordsOf } from './words.ts';

test('words are counted as they are said, two characters a word where no spaces are written', () => {
  const table: readonly (readonly [text: string, words: number])[] = [
    ['', 0],
    ['...', 0],
    ["I've counted nine-hundred years", 4],
    ['O’Hare, no!', 2],
    ['你来得太晚了', 3],
    ['Say 夜 now', 3],
    ['Где ключ?', 2],
    ['열쇠는 어디에', 2],
  ];
  for (const [text, words] of table) assert.equal(countWords(text), words, text);
  assert.deepEqual(wordsOf('Don’t GO, thief—夜だ'), ["don't", 'go', 'thief', '夜', 'だ']);
  assert.equal(hasLetter('42!'), false);
  assert.equal(hasLetter('夜'), true);
});

test('unseen characters go, also next to each other; joiners that write a letter stay', () => {
  assert.equal(dropUnseen('a\u200b\u202e\u2066\u00ad\ufeff\u{e0041}\u0007b'), 'ab');
  assert.equal(dropUnseen('a\r\nb\tc\u2028d'), 'a  b c d');
  assert.equal(dropUnseen('می‌خواهم'), 'می‌خواهم');
  assert.equal(dropUnseen('a\u200cb'), 'ab');
  assert.equal(dropUnseen('a\ud800'), 'a\ufffd');
  assert.equal(collapseSpaces(' a \u00a0\u3000 b '), 'a b');
});

test('pictures are no letters, digits or marks of speech', () => {
  assert.equal('😀👍🏽🇩🇪♪→⚔✨❨❶ℹ'.replace(PICTURES, ''), '');
  const speech = `${String.fromCharCode(...Array.from({ length: 95 }, (_, at) => 32 + at))}éßøĳ夜かカ한яωא!?…—–“”„«»「」。、¿¡°`;
  assert.equal(speech.replace(PICTURES, ''), speech);
});

test('folding makes look-alikes equal and is stable', () => {
  assert.equal(fold('ВЕLL'), fold('bell'));
  assert.equal(fold('ｓｅｃｒéт'), fold('SECRET'));
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (text) =>
      assert.equal(fold(fold(text)), fold(text)),
    ),
  );
});

test('a phrase is found as whole words, a long one also inside them, and across two texts', () => {
  const ash = squeeze('ash').letters;
  assert.equal(occursIn(squeeze('grey a-s-h fell'), ash), true);
  assert.equal(occursIn(squeeze('I was here'), ash), false);
  assert.equal(occursIn(squeeze('xthebellismysoulx'), squeeze('bell is my soul').letters), true);
  assert.equal(occursIn(squeeze('anything'), ''), false);
  const joined = joinSqueezed(squeeze('the old chapel'), squeeze('Bell rings'), 6);
  assert.equal(occursIn(joined, squeeze('chapel bell').letters, 6), true);
  assert.equal(occursIn(joined, squeeze('chapel').letters, 6), false, 'what ends in the first text is old');
  assert.equal(joined.isWordStart.length, joined.letters.length + 1);
});

test('what was expected is said without the words of the library', () => {
  for (const [message, clause] of [
    ['Too small: expected number to be >=1', 'expected number to be >=1'],
    ['Invalid input: expected string, received undefined', 'expected string'],
    ['Invalid option: expected one of "a"|"b-c"', 'expected one of a, b-c'],
    ['Invalid option: expected one of 1|2|3|4', 'expected one of 1, 2, 3, 4'],
    ["Invalid discriminator value. Expected 'vllm' | 'tgi'", 'expected one of vllm, tgi'],
    ['Invalid URL', 'expected an address with its scheme: http://127.0.0.1:8000, https://name.example/path'],
    ['Invalid ISO date', 'expected a date: 2026-11-21'],
    ['Invalid string: must match pattern /^[a-z]+$/', 'expected text like /^[a-z]+$/'],
    ['expected at least openMs', 'expected at least openMs'],
    ['Unrecognized key', 'unrecognized key'],
  ] as const)
    assert.equal(expectedOf(message), clause);
});
