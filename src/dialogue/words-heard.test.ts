import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../testing/manual-clock.ts';
import { WordsHeard } from './words-heard.ts';

test('words count for a minute, then they are forgotten', () => {
  const clock = new ManualClock();
  const heard = new WordsHeard(clock);
  clock.advance(123_456);
  heard.note('p', 40);
  clock.advance(30_000);
  heard.note('p', 8);
  assert.equal(heard.inLastMinute('p'), 48);
  assert.equal(heard.inLastMinute('q'), 0);
  clock.advance(35_000);
  assert.equal(heard.inLastMinute('p'), 8);
  clock.advance(1_000_000);
  assert.equal(heard.inLastMinute('p'), 0);
});

test('never fewer than were heard in the last 60 s, never more than in 65 s', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 40_000 }), fc.integer({ min: 0, max: 60 })), {
        maxLength: 60,
      }),
      (steps) => {
        const clock = new ManualClock();
        const heard = new WordsHeard(clock);
        const noted: { readonly atMs: number; readonly words: number }[] = [];
        const within = (ms: number) =>
          noted.reduce((sum, { atMs, words }) => sum + (clock.monotonicMs() - atMs < ms ? words : 0), 0);
        for (const [passMs, words] of steps) {
          clock.advance(passMs);
          assert.ok(heard.inLastMinute('p') >= within(60_000) && heard.inLastMinute('p') <= within(65_000));
          heard.note('p', words);
          noted.push({ atMs: clock.monotonicMs(), words });
        }
      },
    ),
  );
});

test('who heard nothing for longest is forgotten first, and a shout of a million words does not wrap around', () => {
  const heard = new WordsHeard(new ManualClock(), 2);
  heard.note('a', 1);
  heard.note('b', 1);
  heard.note('a', 1_000_000);
  heard.note('c', 1);
  assert.equal(heard.playerCount, 2);
  assert.deepEqual([heard.inLastMinute('a'), heard.inLastMinute('b')], [0xffff, 0]);
});
