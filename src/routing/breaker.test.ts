import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../testing/manual-clock.ts';
import { Breaker, type BreakerPass } from './breaker.ts';
import { type BreakerOptions, breakerOptionsSchema } from './options.ts';

function start(options: Partial<BreakerOptions> = {}, chance = 0.5) {
  const clock = new ManualClock();
  const breaker = new Breaker(
    breakerOptionsSchema.parse({
      windowMs: 1_000,
      minimumOutcomes: 4,
      failureRatio: 0.5,
      consecutiveFailures: 10,
      openMs: 100,
      openMaxMs: 400,
      trafficProbeAfterMs: 50,
      ...options,
    }),
    { clock, random: { next: () => chance } },
  );
  const run = (ending: 'served' | 'failed' | 'abandoned') => {
    const pass = breaker.tryStart();
    assert.ok(pass !== null);
    breaker[ending](pass);
  };
  return { clock, breaker, run };
}

test('it opens at the failure ratio, but not before enough outcomes were counted', () => {
  const { breaker, run } = start();
  run('failed');
  run('failed');
  run('served');
  assert.equal(breaker.state, 'closed', 'three outcomes are too few');
  run('failed');
  assert.equal(breaker.state, 'open');
  assert.equal(breaker.tryStart(), null);
});

test('it opens after failures in a row although the window is mostly good', () => {
  const { breaker, run } = start({ consecutiveFailures: 3 });
  for (let i = 0; i < 20; i++) run('served');
  run('failed');
  run('failed');
  run('served');
  run('failed');
  run('failed');
  assert.equal(breaker.state, 'closed');
  run('failed');
  assert.equal(breaker.state, 'open');
});

test('failures that are older than the window are forgotten', () => {
  const { breaker, run, clock } = start();
  for (let i = 0; i < 3; i++) run('failed');
  clock.advance(1_100);
  for (let i = 0; i < 3; i++) run('served');
  run('failed');
  assert.equal(breaker.state, 'closed');
});

test('half open it lets one probe through: a canary line at once, a player line a while later', () => {
  const { breaker, clock } = start();
  breaker.trip();
  assert.equal(breaker.openForMs, 100);
  assert.equal(breaker.tryStart('canary'), null);
  clock.advance(100);
  assert.equal(breaker.state, 'half_open');
  assert.equal(breaker.mayStart('traffic'), false);
  const probe = breaker.tryStart('canary');
  assert.ok(probe?.isProbe);
  clock.advance(50);
  assert.equal(breaker.tryStart('traffic'), null, 'one at a time');
  breaker.served(probe);
  assert.equal(breaker.state, 'closed');
  assert.ok(breaker.mayStart());
});

test('a probe that fails doubles the open time up to its most; one that says nothing gives its place back', () => {
  const { breaker, clock } = start();
  const openForMs: number[] = [];
  breaker.trip();
  for (let i = 0; i < 4; i++) {
    openForMs.push(breaker.openForMs);
    clock.advance(breaker.openForMs);
    const inconclusive = breaker.tryStart('canary');
    assert.ok(inconclusive);
    breaker.abandoned(inconclusive);
    const probe = breaker.tryStart('canary');
    assert.ok(probe);
    breaker.failed(probe);
  }
  assert.deepEqual(openForMs, [100, 200, 400, 400]);
});

test('the open time is spread, so that many gateways do not probe at one moment', () => {
  for (const [chance, openMs] of [
    [0, 80],
    [0.5, 100],
    [0.999, 119.96],
  ] as const) {
    const { breaker } = start({}, chance);
    breaker.trip();
    assert.ok(Math.abs(breaker.openForMs - openMs) < 1e-6);
  }
});

test('an attempt that began before it opened says nothing about it afterwards', () => {
  const { breaker, clock } = start();
  const early = breaker.tryStart();
  assert.ok(early);
  breaker.trip();
  breaker.served(early);
  assert.equal(breaker.state, 'open');
  clock.advance(100);
  const probe = breaker.tryStart('canary');
  assert.ok(probe);
  breaker.failed(early);
  breaker.served(probe);
  breaker.failed(early);
  assert.equal(breaker.state, 'closed');
});

test('a probe whose end is never told holds the door only for the longest open time', () => {
  const { breaker, clock } = start();
  breaker.trip();
  clock.advance(100);
  const lost = breaker.tryStart('canary');
  assert.ok(lost);
  clock.advance(399);
  assert.equal(breaker.tryStart('canary'), null);
  clock.advance(1);
  const next = breaker.tryStart('canary');
  assert.ok(next);
  breaker.failed(lost);
  assert.equal(breaker.state, 'half_open', 'the lost probe is no longer the one that counts');
  breaker.served(next);
  assert.equal(breaker.state, 'closed');
});

test('whatever happens to it: closed means open to all, and it never stays shut for longer than its most', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          kind: fc.constantFrom('start', 'canary', 'served', 'failed', 'abandoned', 'pass', 'trip'),
          at: fc.nat(10),
          ms: fc.integer({ min: 0, max: 300 }),
        }),
        { maxLength: 120 },
      ),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (steps, chance) => {
        const { breaker, clock } = start({ consecutiveFailures: 2 }, chance);
        const running: BreakerPass[] = [];
        for (const { kind, at, ms } of steps) {
          if (kind === 'pass') clock.advance(ms);
          else if (kind === 'trip') breaker.trip();
          else if (kind === 'start' || kind === 'canary') {
            const pass = breaker.tryStart(kind === 'start' ? 'traffic' : 'canary');
            if (pass !== null) running.push(pass);
          } else {
            const [pass] = running.splice(at, 1);
            if (pass !== undefined) breaker[kind](pass);
          }
          if (breaker.state === 'closed') assert.ok(breaker.mayStart('traffic'));
          if (breaker.state === 'open') assert.ok(!breaker.mayStart('canary'));
          assert.ok(breaker.openForMs <= 400);
        }
        // The probe that still runs may never end; its lease is the longest open time.
        clock.advance(400 + 400);
        assert.notEqual(breaker.state, 'open');
        const probe = breaker.tryStart('traffic');
        assert.ok(probe !== null);
        breaker.served(probe);
        assert.equal(breaker.state, 'closed');
      },
    ),
    { numRuns: 500 },
  );
});
