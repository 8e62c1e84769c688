import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { wordsOf } from '../lib/text/words.ts';
import { joinOnto } from './join.ts';

const SAID = ['The bell rang twice that night.', 'Nobody in the salon moved.'];

test('a sentence that goes on is left as it is', () => {
  assert.equal(joinOnto(SAID, 'Then the candles went out.'), 'Then the candles went out.');
});

test('a speech that begins anew is not heard twice', () => {
  assert.equal(joinOnto(SAID, 'The bell rang twice that night.'), null);
  assert.equal(joinOnto(SAID, 'Nobody in the salon moved!'), null);
});

test('words that were said already are cut from the beginning of a sentence', () => {
  assert.equal(
    joinOnto(SAID, 'Nobody in the salon moved, until the candles went out.'),
    'Until the candles went out.',
  );
  assert.equal(joinOnto(SAID, 'in the salon moved. She laughed.'), 'She laughed.');
});

test('nobody is greeted in the middle of a speech', () => {
  assert.equal(joinOnto(SAID, 'Good evening, traveller.'), null);
  assert.equal(joinOnto(SAID, 'Ah, hello there.'), null);
  assert.equal(
    joinOnto(SAID, 'Good evening was the last thing he ever said to me.'),
    'Good evening was the last thing he ever said to me.',
  );
});

test('one or two words in common are no repeat', () => {
  assert.equal(joinOnto(['You came back.'], 'Came back with what?'), 'Came back with what?');
});

test('whatever was said, a join never says three words over that ended it', () => {
  const word = fc.constantFrom('bell', 'night', 'the', 'glove', 'you', 'never', 'salon');
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 3, maxLength: 9 }),
      fc.array(word, { minLength: 1, maxLength: 9 }),
      (said, next) => {
        const joined = joinOnto([`${said.join(' ')}.`], `${next.join(' ')}.`);
        if (joined === null) return;
        const words = wordsOf(joined);
        for (let count = 3; count <= Math.min(said.length, words.length); count += 1)
          assert.notDeepEqual(words.slice(0, count), said.slice(-count));
      },
    ),
  );
});
