/** Seeded chance: the same for the same seed, apart for each part, and even enough. Markers: each number its own word. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markerOf, markersIn } from '../testing/simulation/markers.ts';
import { SeededRandom } from './seeded-random.ts';

test('a fork is the same whatever was drawn before it, and another name is another stream', () => {
  const one = new SeededRandom('seed 1');
  const before = one.fork('faults').next();
  for (let drawn = 0; drawn < 100; drawn++) one.next();
  assert.equal(one.fork('faults').next(), before);
  assert.notEqual(one.fork('traffic').next(), before);
  assert.notEqual(new SeededRandom('seed 2').fork('faults').next(), before);
});

test('draws are even, within their bounds, and as often as their weights', () => {
  const random = new SeededRandom('even');
  const tens = new Array<number>(10).fill(0);
  for (let drawn = 0; drawn < 10_000; drawn++) {
    const ten = Math.floor(random.next() * 10);
    tens[ten] = (tens[ten] ?? 0) + 1;
  }
  for (const count of tens) assert.ok(count > 850 && count < 1_150, tens.join());
  const seen = new Set(Array.from({ length: 200 }, () => random.between(3, 5)));
  assert.deepEqual(seen, new Set([3, 4, 5]));
  for (let drawn = 0; drawn < 200; drawn++) {
    const figure = random.spread(2, 200);
    assert.ok(figure >= 2 && figure <= 200);
  }
  const heads = Array.from({ length: 4_000 }, () => random.weighted({ heads: 3, tails: 1, edge: 0 }));
  const share = heads.filter((side) => side === 'heads').length / heads.length;
  assert.ok(share > 0.7 && share < 0.8, String(share));
  assert.ok(!heads.includes('edge'));
});

test('each number has a marker of its own, found in any text and nowhere else', () => {
  const words = Array.from({ length: 5_000 }, (_, number) => markerOf(number));
  assert.equal(new Set(words).size, words.length);
  for (const word of words)
    assert.deepEqual(markersIn(`"Ha, ${word.toUpperCase()}!" said ${word}.`), [word, word]);
  assert.deepEqual(markersIn('The zulu paradox of the naïve zucchini box.'), []);
});
