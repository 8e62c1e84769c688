import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../core/errors.ts';
import { aReplica } from '../testing/a-replica.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { type CanaryView, CanaryWatch, canaryDue } from './canary.ts';
import { canaryOptionsSchema } from './options.ts';

const OPTIONS = canaryOptionsSchema.parse({});

const VIEW: CanaryView = {
  isReady: true,
  breaker: 'closed',
  isCoolingDown: false,
  isPaid: false,
  lastServedMonoMs: 0,
  silentSinceMonoMs: null,
  slowestFirstTokenMs: 100,
  lastSentMonoMs: null,
  isRunning: false,
};

/** What is so, at which time, and why a canary line is due. */
const TABLE: readonly (readonly [string, Partial<CanaryView>, number, string | null])[] = [
  ['lines were served lately', {}, OPTIONS.idleMs - 1, null],
  ['nobody spoke with it for long', {}, OPTIONS.idleMs, 'idle'],
  ['a canary line was, though', { lastSentMonoMs: 10_000 }, OPTIONS.idleMs, null],
  ['requests run without a token', { silentSinceMonoMs: 1_000 }, 1_000 + OPTIONS.stallMs, 'stalled'],
  ['they have not waited long', { silentSinceMonoMs: 1_000 }, 999 + OPTIONS.stallMs, null],
  ['it is slow by nature', { silentSinceMonoMs: 0, slowestFirstTokenMs: 10_000 }, 19_999, null],
  ['slower than it ever was', { silentSinceMonoMs: 0, slowestFirstTokenMs: 10_000 }, 20_000, 'stalled'],
  [
    'nobody knows how slow it is',
    { silentSinceMonoMs: 0, slowestFirstTokenMs: null },
    OPTIONS.unknownMs - 1,
    null,
  ],
  [
    'even so it took too long',
    { silentSinceMonoMs: 0, slowestFirstTokenMs: null },
    OPTIONS.unknownMs,
    'stalled',
  ],
  ['a canary line is under way', { silentSinceMonoMs: 0, isRunning: true }, 60_000, null],
  ['one was sent a moment ago', { silentSinceMonoMs: 0, lastSentMonoMs: 59_500 }, 60_000, null],
  ['the breaker is half open', { breaker: 'half_open' }, 1, 'probe'],
  ['the breaker is open', { breaker: 'open' }, 60_000, null],
  ['its host has it down', { isReady: false }, 60_000, null],
  ['it asked for a pause', { isCoolingDown: true }, 60_000, null],
  ['it costs money and is only idle', { isPaid: true, silentSinceMonoMs: 0 }, 60_000, null],
  ['it costs money and must prove itself', { isPaid: true, breaker: 'half_open' }, 60_000, 'probe'],
];

for (const [what, view, nowMs, expected] of TABLE)
  test(`${what}: ${expected ?? 'no canary line'}`, () =>
    assert.equal(canaryDue({ ...VIEW, ...view }, OPTIONS, nowMs), expected));

/** A host as the app's: looks every 100 ms, sends what is due, ends it after its timeout. */
function host(clock: ManualClock, watch: CanaryWatch, speaks: () => boolean) {
  let pending: { readonly atMs: number; reject(error: Error): void } | null = null;
  return async (durationMs: number) => {
    for (let passed = 0; passed < durationMs; passed += 100) {
      clock.advance(100);
      const nowMs = clock.monotonicMs();
      if (pending !== null && nowMs >= pending.atMs) {
        pending.reject(
          new ServiceError('deadline_exceeded', 'no canary line', { details: { phase: 'first_token' } }),
        );
        pending = null;
      }
      if (watch.due(nowMs) !== null)
        void watch.send(
          () =>
            speaks()
              ? Promise.resolve()
              : new Promise((_resolve, reject) => {
                  pending = { atMs: nowMs + OPTIONS.timeoutMs, reject };
                }),
          nowMs,
        );
      await new Promise(setImmediate);
    }
  };
}

test('an engine that is stuck behind requests is out within the stated time, and returns by a probe', async () => {
  const clock = new ManualClock();
  const replica = aReplica('gpu', {}, clock);
  // A quick engine, as its lines have shown: the stated time holds.
  for (let line = 0; line < 9; line += 1)
    replica.pace.learn({
      firstTokenMs: 90,
      totalMs: 300,
      promptTokens: 500,
      cachedTokens: 0,
      completionTokens: 20,
    });
  let isStuck = true;
  const pass = host(clock, new CanaryWatch(replica, OPTIONS), () => !isStuck);
  const attempt = replica.started();
  await pass(OPTIONS.stallMs + OPTIONS.timeoutMs - 100);
  assert.equal(replica.unusable(), null, 'not yet');
  await pass(100);
  assert.equal(replica.unusable(), 'backend_error');
  attempt?.ended({ kind: 'left' });
  isStuck = false;
  await pass(2_500);
  assert.equal(replica.unusable(), null, 'back after one open time and a canary line');
});

test('an engine that nobody uses and that died is found before a player meets it', async () => {
  const clock = new ManualClock();
  const replica = aReplica('gpu', {}, clock);
  const pass = host(clock, new CanaryWatch(replica, OPTIONS), () => false);
  await pass(OPTIONS.idleMs + OPTIONS.timeoutMs + 200);
  assert.equal(replica.unusable(), 'backend_error');
});

test('as long as it stays stuck, no player line is its probe', async () => {
  const clock = new ManualClock();
  const replica = aReplica('gpu', {}, clock);
  const pass = host(clock, new CanaryWatch(replica, OPTIONS), () => false);
  replica.breaker.trip();
  let offered = 0;
  for (let i = 0; i < 600; i++) {
    await pass(100);
    if (replica.unusable() === null) offered += 1;
  }
  assert.equal(offered, 0);
});

test('whatever is seen: no line to an engine that is down, pausing or already asked, and none twice in a moment', () => {
  const time = fc.nat(100_000);
  fc.assert(
    fc.property(
      fc.record({
        isReady: fc.boolean(),
        breaker: fc.constantFrom('closed', 'open', 'half_open'),
        isCoolingDown: fc.boolean(),
        isPaid: fc.boolean(),
        lastServedMonoMs: time,
        silentSinceMonoMs: fc.option(time),
        slowestFirstTokenMs: fc.option(time),
        lastSentMonoMs: fc.option(time),
        isRunning: fc.boolean(),
      }),
      time,
      (view, nowMs) => {
        if (canaryDue(view, OPTIONS, nowMs) === null) return;
        assert.ok(view.isReady && !view.isRunning && !view.isCoolingDown && view.breaker !== 'open');
        assert.ok(view.lastSentMonoMs === null || nowMs - view.lastSentMonoMs >= OPTIONS.retryMs);
      },
    ),
  );
});
