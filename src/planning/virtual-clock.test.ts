/** Virtual time: what rings when, and that nothing else moves it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';

const never = new AbortController().signal;
const clockOf = (seed = 'a', latenessMaxMs = 0) =>
  new VirtualClock({ random: new SeededRandom(seed), latenessMaxMs, remembersSetters: true });

test('alarms ring in the order of time, whatever order they were set in, and each at most a lateness late', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 60 }),
      fc.nat(),
      async (delays, seed) => {
        const clock = clockOf(String(seed), 3);
        const rung: number[] = [];
        for (const delayMs of delays) {
          const setMonoMs = clock.monotonicMs();
          clock.timer(delayMs, () => {
            const lateMs = clock.monotonicMs() - setMonoMs - Math.max(1, delayMs);
            assert.ok(lateMs > -1 && lateMs <= 3, `${lateMs} ms late`);
            rung.push(clock.monotonicMs());
          });
        }
        assert.equal(await clock.run(() => false, 1_000_000), 'idle');
        assert.equal(rung.length, delays.length);
        assert.deepEqual(
          rung,
          rung.toSorted((a, b) => a - b),
        );
      },
    ),
    { numRuns: 50 },
  );
});

test('time stands still while a promise can still settle', async () => {
  const clock = clockOf();
  const steps: string[] = [];
  clock.timer(10, () => steps.push('ten'));
  const chain = (async () => {
    for (let step = 0; step < 1_000; step++) await Promise.resolve();
    steps.push(`after a thousand steps at ${clock.monotonicMs() - 1_000}`);
    await clock.sleep(5, never);
    steps.push('five');
  })();
  await clock.run(() => false, 100);
  await chain;
  assert.deepEqual(steps, ['after a thousand steps at 0', 'five', 'ten']);
});

test('alarms that are due at once ring in an order that the seed decides', async () => {
  const orders = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const clock = clockOf(String(seed));
    let order = '';
    for (const name of ['a', 'b', 'c']) clock.timer(7, () => (order += name));
    await clock.run(() => false, 100);
    orders.add(order);
  }
  assert.ok(orders.size > 1, [...orders].join());
});

test('what is cancelled does not ring, a sleep ends with its signal, and nothing is left', async () => {
  const clock = clockOf();
  const timer = clock.timer(5, () => assert.fail('it was cancelled'));
  timer[Symbol.dispose]();
  timer[Symbol.dispose]();
  const stop = new AbortController();
  const slept = assert.rejects(clock.sleep(50, stop.signal), /enough/);
  assert.equal(clock.waiting, 1);
  assert.match(clock.setters[0] ?? '', /virtual-clock\.test\.ts:\d+/);
  stop.abort(new Error('enough'));
  await slept;
  assert.equal(clock.waiting, 0);
  assert.equal(await clock.run(() => false, 100), 'idle');
});

test('running stops when it is over, and when the time that was given has passed', async () => {
  const clock = clockOf();
  let rung = 0;
  for (const delayMs of [10, 20, 30]) clock.timer(delayMs, () => rung++);
  assert.equal(await clock.run(() => rung === 1, 1_000), 'over');
  assert.equal(await clock.run(() => false, 15), 'late');
  assert.equal(rung, 2);
  assert.equal(clock.monotonicMs(), 1_025);
});

test('the date jumps, durations do not', () => {
  const clock = clockOf();
  const [dateMs, monoMs] = [clock.nowMs(), clock.monotonicMs()];
  clock.jumpDate(-3_600_000);
  assert.equal(clock.nowMs(), dateMs - 3_600_000);
  assert.equal(clock.monotonicMs(), monoMs);
});

test('a timer that Node would ring at once is refused', () => {
  assert.throws(() => clockOf().timer(2 ** 31, () => {}), /would ring at once/);
  assert.throws(() => clockOf().timer(Number.NaN, () => {}), /would ring at once/);
});
