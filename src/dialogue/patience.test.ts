import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../testing/manual-clock.ts';
import { Patience } from './patience.ts';

const turn = () => new Promise(setImmediate);

test('patience is lost when its time is over, counted from the request', async () => {
  const clock = new ManualClock();
  clock.advance(500);
  using patience = new Patience(clock, 1_000, 0);
  let isLost = false;
  void patience.lost.then(() => (isLost = true));
  clock.advance(499);
  await turn();
  assert.equal(isLost, false);
  clock.advance(1);
  await turn();
  assert.equal(isLost, true);
});

test('patience is lost at once when the first sentence is known to come too late', async () => {
  const clock = new ManualClock();
  using patience = new Patience(clock, 1_000, 0);
  patience.expect(900);
  clock.advance(200);
  let isLost = false;
  void patience.lost.then(() => (isLost = true));
  await turn();
  assert.equal(isLost, false, 'expected in time');
  patience.expect(900);
  await turn();
  assert.equal(isLost, true);
});

test('an answer in time leaves no timer behind', () => {
  const clock = new ManualClock();
  {
    using _patience = new Patience(clock, 1_000, 0);
    assert.equal(clock.waiting, 1);
  }
  assert.equal(clock.waiting, 0);
});
