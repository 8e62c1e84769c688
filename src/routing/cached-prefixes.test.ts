import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../testing/manual-clock.ts';
import { CachedPrefixes } from './cached-prefixes.ts';

test('a persona that was never heard here is read whole, one that was is not', () => {
  const prefixes = new CachedPrefixes(new ManualClock());
  assert.equal(prefixes.expectedPrefillTokens('vey', 900, 0.8), 900);
  prefixes.learn('vey', 0);
  assert.equal(Math.round(prefixes.expectedPrefillTokens('vey', 900, 0.8)), 180, 'as the others are cached');
  prefixes.learn('vey', 700);
  assert.equal(prefixes.expectedPrefillTokens('vey', 900, 0.8), 200);
  prefixes.learn('vey', 800);
  assert.equal(prefixes.expectedPrefillTokens('vey', 900, 0.8), 170);
  assert.equal(prefixes.expectedPrefillTokens('vey', 500, 0.8), 0);
  assert.equal(prefixes.expectedPrefillTokens('wick', 900, 0.8), 900);
});

test('where an engine caches nothing, nothing is expected to be cached', () => {
  const prefixes = new CachedPrefixes(new ManualClock());
  prefixes.learn('vey', 700);
  assert.equal(prefixes.expectedPrefillTokens('vey', 900, 0), 900);
});

test('a prefix of which nothing was heard for minutes is cold again', () => {
  const clock = new ManualClock();
  const prefixes = new CachedPrefixes(clock);
  prefixes.learn('vey', 700);
  clock.advance(300_000);
  assert.equal(prefixes.expectedPrefillTokens('vey', 900, 0.5), 200);
  clock.advance(1);
  assert.equal(prefixes.expectedPrefillTokens('vey', 900, 0.5), 900);
});

test('whatever was told: never fewer than none, never more than the prompt', () => {
  const tokens = fc.integer({ min: 0, max: 5_000 });
  fc.assert(
    fc.property(
      fc.array(tokens),
      tokens,
      fc.double({ min: 0, max: 1, noNaN: true }),
      (told, prompt, ratio) => {
        const prefixes = new CachedPrefixes(new ManualClock());
        for (const each of told) prefixes.learn('vey', each);
        const expected = prefixes.expectedPrefillTokens('vey', prompt, ratio);
        assert.ok(expected >= 0 && expected <= prompt);
      },
    ),
  );
});
