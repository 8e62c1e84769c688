/** Counting without remembering. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { DistinctSketch } from './distinct-sketch.ts';

function sketchOf(things: readonly string[], salt = 'line'): DistinctSketch {
  const sketch = new DistinctSketch();
  for (const thing of things) sketch.add(salt, thing);
  return sketch;
}

test('the count is near the number of distinct things, and does not fall when it is full', () => {
  let before = 0;
  for (const size of [0, 1, 5, 50, 500, 3_000, 20_000]) {
    const count = sketchOf(Array.from({ length: size }, (_, at) => `thing ${at}`)).count();
    if (size <= 1) assert.equal(count, size);
    if (size <= 3_000)
      assert.ok(Math.abs(count - size) <= Math.max(1, size * 0.1), `${size} counted as ${count}`);
    assert.ok(count >= before);
    before = count;
  }
});

test('merging is the sketch of both, in any order and however often', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.string()), (a, b) => {
      const whole = sketchOf([...a, ...b]).toString();
      const [one, two] = [sketchOf(a), sketchOf(b)];
      assert.equal(one.merge(two).toString(), whole);
      assert.equal(two.merge(one).merge(two).toString(), whole);
      assert.equal(DistinctSketch.parse(whole).toString(), whole);
      assert.ok(sketchOf(a).count() <= new Set(a).size + Math.ceil(a.length * 0.2));
    }),
  );
});

test('under another salt the same things make another sketch', () => {
  const players = Array.from({ length: 20 }, (_, at) => `player ${at}`);
  assert.notEqual(sketchOf(players, 'one line').toString(), sketchOf(players, 'another').toString());
});

test('what is no sketch reads as an empty one', () => {
  for (const text of ['', 'x', 'not base64!', 'AAAA'.repeat(100)])
    assert.equal(DistinctSketch.parse(text).count(), 0);
});
