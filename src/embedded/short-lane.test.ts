import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { DecodeWidth, LANE_PASS_MS, ShortLane, type ShortTask } from './short-lane.ts';

const never = new AbortController().signal;

function laneOf(queueMax = 10) {
  const clock = new ManualClock();
  const woken = { times: 0 };
  const wake = () => {
    woken.times += 1;
  };
  return { clock, woken, lane: new ShortLane({ queueMax, clock, wake }) };
}

/** Takes `parts` parts of `partMs` each, and keeps the time it was given. */
function taskOf(clock: ManualClock, parts: number, partMs: number): ShortTask & { budgets: number[] } {
  const budgets: number[] = [];
  return {
    budgets,
    advance: (budgetMs) => {
      budgets.push(budgetMs);
      clock.advance(partMs);
      return Promise.resolve(budgets.length === parts);
    },
  };
}

test('one call of work does one part of time, of as many tasks as fit, first come first served', async () => {
  const { clock, lane, woken } = laneOf();
  const tasks = [taskOf(clock, 1, 7), taskOf(clock, 1, 7), taskOf(clock, 3, 8), taskOf(clock, 1, 1)];
  const ended: number[] = [];
  const all = Promise.all(tasks.map((task, index) => lane.run(task, never).then(() => ended.push(index))));
  assert.equal(woken.times, 4);
  await lane.work();
  // 7 + 7 + 8 are over the part; the third goes on in the next.
  assert.deepEqual(
    tasks.map(({ budgets }) => budgets),
    [[16], [9], [2], []],
  );
  await lane.work();
  await lane.work();
  await all;
  assert.deepEqual(ended, [0, 1, 2, 3]);
  assert.equal(lane.size, 0);
});

test('passes stay short for ten seconds after short work, and are long again then', async () => {
  const { clock, lane } = laneOf();
  assert.equal(lane.isInUse, false);
  const run = lane.run(taskOf(clock, 1, 5), never);
  assert.equal(lane.isInUse, true);
  await lane.work();
  await run;
  clock.advance(9_000);
  assert.equal(lane.isInUse, true);
  clock.advance(2_000);
  assert.equal(lane.isInUse, false);
});

test('a full lane refuses at once; who leaves gives the place back, unheard', async () => {
  const { clock, lane } = laneOf(2);
  const leaving = new AbortController();
  const first = lane.run(taskOf(clock, 1, 1), leaving.signal);
  const second = lane.run(taskOf(clock, 1, 1), never);
  await assert.rejects(
    lane.run(taskOf(clock, 1, 1), never),
    (error) => error instanceof ServiceError && error.code === 'overloaded',
  );
  leaving.abort(new Error('left'));
  await assert.rejects(first, /left/);
  const third = lane.run(taskOf(clock, 1, 1), never);
  await lane.work();
  await Promise.all([second, third]);
  await assert.rejects(lane.run(taskOf(clock, 1, 1), AbortSignal.abort(new Error('gone'))), /gone/);
});

test('who leaves while a part is in flight is let go, and the next is served', async () => {
  const { clock, lane } = laneOf();
  const leaving = new AbortController();
  const first = lane.run(
    {
      advance: () => {
        leaving.abort(new Error('left'));
        return Promise.resolve(true);
      },
    },
    leaving.signal,
  );
  const second = lane.run(taskOf(clock, 1, 1), never);
  await lane.work();
  await assert.rejects(first, /left/);
  await second;
});

test('a task that fails fails alone; closing ends all that wait', async () => {
  const { clock, lane } = laneOf();
  const failing = lane.run({ advance: () => Promise.reject(new Error('pass failed')) }, never);
  const good = lane.run(taskOf(clock, 1, 1), never);
  await lane.work();
  await assert.rejects(failing, /pass failed/);
  await good;
  const waits = lane.run(taskOf(clock, 1, 1), never);
  lane.close(new Error('closing'));
  await assert.rejects(waits, /closing/);
});

test('the width of a pass settles where a pass takes less than a part', () => {
  const width = new DecodeWidth();
  // Two milliseconds a pass and one a line: six lines take 8, seven 9.
  for (let pass = 0; pass < 50; pass += 1) {
    const lines = Math.min(16, width.lines);
    width.observe(lines, 2 + lines);
  }
  assert.ok(2 + width.lines <= LANE_PASS_MS, `${width.lines} lines`);
  assert.ok(width.lines >= 3, `${width.lines} lines`);
  width.observe(width.lines, 100);
  width.observe(1, 100);
  assert.equal(width.lines, 1);
});
