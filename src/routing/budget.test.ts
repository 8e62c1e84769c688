import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { timeBudget } from './budget.ts';
import { budgetOptionsSchema } from './options.ts';

const settings = budgetOptionsSchema.parse({});

test('while nothing is learned an engine gets the ceiling for its first token', () => {
  const ask = { leftMs: 10_000, rungsBelow: 1, isWatched: true, firstTokenPercentileMs: null, settings };
  assert.deepEqual(timeBudget(ask), {
    firstTokenMs: settings.ceilingMs,
    isFirstTokenOwn: true,
    admitWithinMs: 10_000 - 2 * settings.floorMs,
    gapMs: settings.gapMs,
    totalMs: 10_000 - settings.floorMs,
  });
});

test('a learned percentile shortens it, between floor and ceiling', () => {
  const firstTokenMs = (learned: number) =>
    timeBudget({
      leftMs: 60_000,
      rungsBelow: 1,
      isWatched: true,
      firstTokenPercentileMs: learned,
      settings,
    }).firstTokenMs;
  assert.equal(firstTokenMs(1_000), 1_500);
  assert.equal(firstTokenMs(1), settings.floorMs);
  assert.equal(firstTokenMs(50_000), settings.ceilingMs);
});

test('on the last rung a free engine has all the time that is left, a paid one that nobody watches has not', () => {
  const firstTokenMs = (isWatched: boolean, learned: number | null) =>
    timeBudget({ leftMs: 12_000, rungsBelow: 0, isWatched, firstTokenPercentileMs: learned, settings })
      .firstTokenMs;
  for (const learned of [null, 1, 3_000]) assert.equal(firstTokenMs(true, learned), 12_000);
  assert.equal(firstTokenMs(false, null), settings.ceilingMs);
  assert.equal(firstTokenMs(false, 1_000), 1_500);
});

test('an engine that says nothing leaves half of a short deadline to those below, and that is not its fault', () => {
  const ask = { leftMs: 4_000, isWatched: true, firstTokenPercentileMs: null, settings };
  for (const rungsBelow of [1, 3]) {
    const { firstTokenMs, isFirstTokenOwn } = timeBudget({ ...ask, rungsBelow });
    assert.deepEqual([firstTokenMs, isFirstTokenOwn], [2_000, false]);
  }
});

test('a place is of use as long as the first token can be expected before the end', () => {
  const ask = { rungsBelow: 0, isWatched: true, firstTokenPercentileMs: 1_500, settings };
  const budget = timeBudget({ leftMs: 4_000, ...ask });
  assert.equal(budget.admitWithinMs, 2_500);
  const slow = timeBudget({ leftMs: 1_000, ...ask });
  assert.equal(slow.admitWithinMs, 0);
});

test('nothing left is no time at all, never a negative one', () => {
  for (const leftMs of [0, -5])
    assert.deepEqual(
      timeBudget({ leftMs, rungsBelow: 2, isWatched: true, firstTokenPercentileMs: null, settings }),
      { firstTokenMs: 0, isFirstTokenOwn: false, admitWithinMs: 0, gapMs: 0, totalMs: 0 },
    );
});

test('rungs that each use all they are given never pass the deadline, and each gets something', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 120_000 }),
      fc.array(fc.option(fc.integer({ min: 0, max: 200_000 })), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      (deadlineMs, percentiles, isWatched) => {
        let leftMs = deadlineMs;
        for (const [rung, firstTokenPercentileMs] of percentiles.entries()) {
          const rungsBelow = percentiles.length - 1 - rung;
          const budget = timeBudget({ leftMs, rungsBelow, isWatched, firstTokenPercentileMs, settings });
          assert.ok(budget.totalMs > 0 && budget.totalMs <= leftMs);
          assert.ok(budget.firstTokenMs > 0 && budget.firstTokenMs <= budget.totalMs);
          assert.ok(budget.admitWithinMs >= 0 && budget.admitWithinMs <= budget.totalMs);
          assert.ok(budget.gapMs > 0 && budget.gapMs <= budget.totalMs);
          if (rungsBelow > 0 || !isWatched) assert.ok(budget.firstTokenMs <= settings.ceilingMs);
          leftMs -= budget.totalMs;
          assert.ok(rungsBelow === 0 || leftMs > 0, 'the rungs below have time');
        }
        assert.ok(leftMs >= 0);
      },
    ),
  );
});
