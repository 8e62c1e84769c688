import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HedgeAllowance, hedgeAfterMs } from './hedge.ts';
import { hedgingOptionsSchema } from './options.ts';

const on = hedgingOptionsSchema.parse({ enabled: true });
const pace = (ms: number | null) => ({ firstTokenPercentileMs: () => ms });
const free = { isPaid: false };

test('it is off unless switched on', () => {
  const settings = hedgingOptionsSchema.parse({});
  assert.equal(hedgeAfterMs({ pace: pace(100), firstTokenMs: 1_000, settings }), null);
  assert.equal(new HedgeAllowance(settings).tryHedge(free), false);
});

test('the second is asked at the learned percentile, if that comes before the first is given up', () => {
  assert.equal(hedgeAfterMs({ pace: pace(300), firstTokenMs: 1_000, settings: on }), 300);
  assert.equal(hedgeAfterMs({ pace: pace(1_000), firstTokenMs: 1_000, settings: on }), null);
  assert.equal(hedgeAfterMs({ pace: pace(null), firstTokenMs: 1_000, settings: on }), null);
});

test('a paid engine is second only where the operator said so', () => {
  for (const paid of [false, true]) {
    const allowance = new HedgeAllowance({ ...on, maxShare: 1, paid });
    allowance.requested();
    assert.equal(allowance.tryHedge({ isPaid: true }), paid);
  }
});

test('whenever hedges are wanted, they stay under their share of the requests', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { minLength: 1, maxLength: 400 }),
      fc.constantFrom(0.01, 0.05, 0.1, 0.5, 1),
      (wanted, maxShare) => {
        const allowance = new HedgeAllowance({ ...on, maxShare });
        let hedges = 0;
        for (const [at, wants] of wanted.entries()) {
          allowance.requested();
          for (let i = 0; i < wants; i++) if (allowance.tryHedge(free)) hedges += 1;
          assert.ok(hedges <= (at + 1) * maxShare + 1e-6);
        }
      },
    ),
  );
});

test('a quiet time does not save up more than ten', () => {
  const allowance = new HedgeAllowance({ ...on, maxShare: 1 });
  for (let i = 0; i < 1_000; i++) allowance.requested();
  let hedges = 0;
  while (allowance.tryHedge(free)) hedges += 1;
  assert.equal(hedges, 10);
});
