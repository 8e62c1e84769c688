import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ManualClock } from '../../testing/manual-clock.ts';
import { Patience } from './patience.ts';

function patience(answers: boolean[]) {
  const clock = new ManualClock();
  const events: string[] = [];
  const made = new Patience({
    clock,
    random: { next: () => 0.5 },
    restMs: 1_000,
    ping: () => {
      const isInTime = answers.shift() ?? false;
      events.push(isInTime ? 'ping' : 'late ping');
      return Promise.resolve(isInTime);
    },
    onRest: () => events.push('rests'),
    onAwake: () => events.push('awake'),
  });
  const advance = async (durationMs: number) => {
    clock.advance(durationMs);
    for (let turn = 0; turn < 5; turn++) await turnOfLoop();
  };
  return { made, clock, events, advance };
}

describe('patience with the shared tier', () => {
  it('ends after eight misses in a row', () => {
    const { made, events } = patience([]);
    for (let misses = 0; misses < 7; misses++) made.missed();
    assert.equal(made.isResting, false);
    made.missed();
    made.missed();
    assert.equal(made.isResting, true);
    assert.deepEqual(events, ['rests']);
  });

  it('bears one miss in five for ever, and not one in four', () => {
    const rests = (every: number) => {
      const { made } = patience([]);
      for (let asked = 1; asked <= 10_000 && !made.isResting; asked++)
        if (asked % every === 0) made.missed();
        else made.inTime();
      return made.isResting;
    };
    assert.equal(rests(5), false);
    assert.equal(rests(4), true);
  });

  it('comes back after three pings in time, and rests longer after a late one', async () => {
    const { made, clock, events, advance } = patience([true, false, true, true, true]);
    for (let misses = 0; misses < 8; misses++) made.missed();
    await advance(999);
    assert.deepEqual(events, ['rests']);
    await advance(1);
    assert.deepEqual(events, ['rests', 'ping', 'late ping']);
    await advance(1_999);
    assert.equal(events.length, 3);
    await advance(1);
    assert.deepEqual(events.slice(3), ['ping', 'ping', 'ping', 'awake']);
    assert.equal(made.isResting, false);
    assert.equal(clock.waiting, 0);
    for (let misses = 0; misses < 8; misses++) made.missed();
    await advance(1_000);
    assert.deepEqual(events.slice(7), ['rests', 'late ping'], 'the first rest is short again');
  });

  it('rests at most half a minute and asks no more when it is closed', async () => {
    const { made, clock, events, advance } = patience([]);
    for (let misses = 0; misses < 8; misses++) made.missed();
    for (let rests = 0; rests < 20; rests++) await advance(30_000);
    assert.equal(events.filter((each) => each === 'late ping').length, 20);
    made[Symbol.dispose]();
    assert.equal(clock.waiting, 0);
    made.missed();
    await advance(60_000);
    assert.equal(events.length, 21);
  });
});
