import assert from 'node:assert/strict';
import test from 'node:test';
import { ManualClock } from '../testing/manual-clock.ts';
import { RecentRecall } from './recent.ts';

test('what was counted leaves after five minutes, also when nothing comes after it', () => {
  const clock = new ManualClock();
  const recent = new RecentRecall(clock);
  for (const outcome of ['hit', 'shared_hit', 'meaning_hit', 'joined', 'miss', 'bypass'] as const)
    recent.note({ outcome });
  assert.deepEqual(recent.tally, { hits: 3, joined: 1, misses: 1, bypassed: 1, windowMs: 0 });
  clock.advance(200_000);
  recent.note({ outcome: 'miss' });
  assert.deepEqual(recent.tally, { hits: 3, joined: 1, misses: 2, bypassed: 1, windowMs: 200_000 });
  clock.advance(100_000);
  assert.deepEqual(recent.tally, { hits: 0, joined: 0, misses: 1, bypassed: 0, windowMs: 300_000 });
  clock.advance(3_600_000);
  assert.deepEqual(recent.tally, { hits: 0, joined: 0, misses: 0, bypassed: 0, windowMs: 300_000 });
  recent.note({ outcome: 'hit' });
  assert.equal(recent.tally.hits, 1);
});
