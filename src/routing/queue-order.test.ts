import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareWaiting,
  deadlineClassOf,
  goesBefore,
  PASSED_OVER_MAX,
  PREFILL_STEP_TOKENS,
  prefillStepsOf,
  type Waiting,
} from './queue-order.ts';

function waiting(changes: Partial<Waiting> = {}): Waiting {
  return {
    order: 0,
    deadlineClass: 5,
    prefillSteps: 10,
    deadlineMonoMs: 1_000,
    halfGoneMonoMs: 500,
    passedOver: 0,
    ...changes,
  };
}

test('deadlines within a factor of two are one class, and no deadline is the last', () => {
  assert.equal(deadlineClassOf(2_048), deadlineClassOf(4_095));
  assert.ok(deadlineClassOf(2_047) < deadlineClassOf(2_048));
  assert.deepEqual([-5, 0, 0.5].map(deadlineClassOf), [0, 0, 0]);
  assert.equal(deadlineClassOf(1), 1);
  assert.equal(deadlineClassOf(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
});

test('a few tokens of prefill are no difference: then the earlier deadline goes first', () => {
  assert.equal(prefillStepsOf(10 * PREFILL_STEP_TOKENS), prefillStepsOf(10 * PREFILL_STEP_TOKENS + 10));
  const later = waiting({ order: 0, deadlineMonoMs: 1_001 });
  assert.ok(goesBefore(waiting({ order: 1 }), later, 0));
});

test('what goes before what, reason by reason', () => {
  const rows: readonly (readonly [string, Partial<Waiting>, Partial<Waiting>])[] = [
    ['passed over too often', { passedOver: PASSED_OVER_MAX, deadlineClass: 9 }, { halfGoneMonoMs: 0 }],
    ['of those, who asked first', { order: 1, passedOver: 40 }, { order: 2, passedOver: 90 }],
    ['half of its time gone', { halfGoneMonoMs: 100, prefillSteps: 99 }, {}],
    [
      'of those, the earliest deadline',
      { halfGoneMonoMs: 100 },
      { halfGoneMonoMs: 0, deadlineMonoMs: 2_000 },
    ],
    ['the nearer class', { deadlineClass: 4, prefillSteps: 99 }, {}],
    ['the shorter prefill', { prefillSteps: 9, deadlineMonoMs: 1_900 }, {}],
    ['the earlier deadline', { order: 7, deadlineMonoMs: 900 }, {}],
    ['who asked first', { order: 1 }, { order: 2 }],
  ];
  for (const [what, one, other] of rows) {
    assert.ok(goesBefore(waiting(one), waiting({ order: 3, ...other }), 100), what);
    assert.ok(!goesBefore(waiting({ order: 3, ...other }), waiting(one), 100), what);
  }
});

const figure = fc.constantFrom(0, 1, 2, 3, Number.POSITIVE_INFINITY);
const waitingArbitrary = fc.record({
  deadlineClass: figure,
  prefillSteps: fc.integer({ min: 0, max: 3 }),
  deadlineMonoMs: figure,
  halfGoneMonoMs: figure,
  passedOver: fc.constantFrom(0, PASSED_OVER_MAX - 1, PASSED_OVER_MAX, PASSED_OVER_MAX + 1),
});

test('the order is a total one at any time', () => {
  fc.assert(
    fc.property(
      fc.tuple(waitingArbitrary, waitingArbitrary, waitingArbitrary),
      figure,
      (three, nowMonoMs) => {
        const [a, b, c] = three.map((each, order) => ({ ...each, order })) as [Waiting, Waiting, Waiting];
        const before = (one: Waiting, other: Waiting) => goesBefore(one, other, nowMonoMs);
        for (const [one, other] of [
          [a, b],
          [b, c],
          [a, c],
        ] as const) {
          assert.notEqual(before(one, other), before(other, one));
          assert.equal(
            Math.sign(compareWaiting(one, other, nowMonoMs)),
            -Math.sign(compareWaiting(other, one, nowMonoMs)) || 0,
          );
        }
        if (before(a, b) && before(b, c)) assert.ok(before(a, c));
        if (before(c, b) && before(b, a)) assert.ok(before(c, a));
      },
    ),
    { numRuns: 2_000 },
  );
});
