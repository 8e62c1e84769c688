import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimateTokens } from '../engines/token-counter.ts';
import { abortable } from '../lib/abort.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { boundedCounter } from './bounded-counter.ts';

const never = new AbortController().signal;
const TEXT = 'The bell has not rung since the flood.';

test('an engine that counts in time is believed', async () => {
  const clock = new ManualClock();
  const counter = boundedCounter({ count: () => Promise.resolve(9) }, clock);
  assert.equal(await counter.count(TEXT, never), 9);
  assert.equal(clock.waiting, 0);
});

test('one that does not is estimated for, and left alone for a moment', async () => {
  const clock = new ManualClock();
  let asked = 0;
  const stuck = {
    count: (_text: string, signal: AbortSignal) => {
      asked += 1;
      return abortable(new Promise<number>(() => {}), signal);
    },
  };
  const counter = boundedCounter(stuck, clock);
  const counted = counter.count(TEXT, never);
  clock.advance(500);
  assert.equal(await counted, estimateTokens(TEXT));
  assert.equal(await counter.count(TEXT, never), estimateTokens(TEXT));
  assert.equal(asked, 1);
  clock.advance(2_000);
  void counter.count(TEXT, never);
  assert.equal(asked, 2);
});

test('who hangs up hears why', async () => {
  const counter = boundedCounter(
    { count: (_text, signal) => abortable(new Promise<number>(() => {}), signal) },
    new ManualClock(),
  );
  const controller = new AbortController();
  const counted = counter.count(TEXT, controller.signal);
  controller.abort(new Error('gone'));
  await assert.rejects(counted, /gone/);
});
