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
  const miss = () => made.missed(clock.monotonicMs());
  return { made, miss, clock, events, advance };
}

describe('patience with the shared tier', () => {
  it('ends after eight misses in a row', () => {
    const { made, miss, events } = patience([]);
    for (let misses = 0; misses < 7; misses++) miss();
    assert.equal(made.isResting, false);
    miss();
    miss();
    assert.equal(made.isResting, true);
    assert.deepEqual(events, ['rests']);
  });

  it('takes questions that were open together for one', () => {
    const { made, clock } = patience([]);
    for (let rounds = 0; rounds < 8; rounds++) {
      assert.equal(made.isResting, false);
      const askedMonoMs = clock.monotonicMs();
      clock.advance(2);
      for (let open = 0; open < 100; open++) made.missed(askedMonoMs);
    }
    assert.equal(made.isResting, true);
  });

  it('bears one miss in five for ever, and not one in four', () => {
    const rests = (every: number) => {
      const { made, miss } = patience([]);
      for (let asked = 1; asked <= 10_000 && !made.isResting; asked++)
        if (asked % every === 0) miss();
        else made.inTime();
      return made.isResting;
    };
    assert.equal(rests(5), false);
    assert.equal(rests(4), true);
  });

  it('comes back after three pings in time, and rests longer after a late one', async () => {
    const { made, miss, clock, events, advance } = patience([true, false, true, true, true]);
    for (let misses = 0; misses < 8; misses++) miss();
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
    for (let misses = 0; misses < 8; misses++) miss();
    await advance(1_000);
    assert.deepEqual(events.slice(7), ['rests', 'late ping'], 'the first rest is short again');
  });

  it('rests at most half a minute and asks no more when it is closed', async () => {
    const { made, miss, clock, events, advance } = patience([]);
    for (let misses = 0; misses < 8; misses++) miss();
    for (let rests = 0; rests < 20; rests++) await advance(30_000);
    assert.equal(events.filter((each) => each === 'late ping').length, 20);
    made[Symbol.dispose]();
    assert.equal(clock.waiting, 0);
    miss();
    await advance(60_000);
    assert.equal(events.length, 21);
  });
});
