import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { aReplica } from '../testing/a-replica.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { AttemptOutcome } from './outcome.ts';
import type { Replica } from './replica.ts';

const served: AttemptOutcome = {
  kind: 'served',
  firstTokenMs: 100,
  totalMs: 300,
  promptTokens: 400,
  cachedTokens: 100,
  completionTokens: 21,
};

function end(replica: Replica, outcome: AttemptOutcome): void {
  const attempt = replica.started();
  assert.ok(attempt !== null);
  attempt.ended(outcome);
}

test('it is offline until its host says that it spoke', () => {
  const replica = aReplica('gpu');
  replica.setReady(false);
  assert.equal(replica.unusable(), 'offline');
  replica.setReady(true);
  assert.equal(replica.unusable(), null);
});

test('a line that was served teaches its pace', () => {
  const replica = aReplica('gpu');
  end(replica, served);
  const { baseMs, prefillMsPerToken, decodeMsPerToken, cachedRatio } = replica.snapshot();
  assert.ok(Math.abs((baseMs ?? 0) + 300 * (prefillMsPerToken ?? 0) - 100) < 1e-6);
  assert.deepEqual([decodeMsPerToken, cachedRatio], [10, 0.25]);
});

test('failures take it out, and a new warm-up brings it back', () => {
  const replica = aReplica('gpu');
  for (let i = 0; i < 4; i++) end(replica, { kind: 'failed', code: 'engine_unavailable' });
  assert.equal(replica.unusable(), 'backend_error');
  assert.equal(replica.snapshot().breaker, 'open');
  assert.equal(replica.started(), null);
  replica.setReady(false);
  replica.setReady(true);
  assert.equal(replica.unusable(), null);
});

test('a rate limit is a pause of at least the hint, never a broken engine', () => {
  const clock = new ManualClock();
  const replica = aReplica('cloud', {}, clock);
  for (let i = 0; i < 50; i++) end(replica, { kind: 'throttled', retryAfterMs: 20_000 });
  assert.equal(replica.breaker.state, 'closed');
  assert.equal(replica.unusable(), 'overload');
  assert.ok(replica.coolsForMs >= 20_000);
  clock.advance(replica.coolsForMs);
  assert.equal(replica.unusable(), null);
});

test('without a hint the pause grows, to its most; a served line makes it short again', () => {
  const clock = new ManualClock();
  const replica = aReplica('cloud', {}, clock);
  const pauses: number[] = [];
  for (let i = 0; i < 8; i++) {
    end(replica, { kind: 'throttled', retryAfterMs: null });
    pauses.push(replica.coolsForMs);
    clock.advance(replica.coolsForMs);
  }
  assert.deepEqual(pauses, [375, 750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500]);
  end(replica, served);
  end(replica, { kind: 'throttled', retryAfterMs: null });
  assert.equal(replica.coolsForMs, 375);
});

test('a hint of a day is tried again after ten minutes', () => {
  const replica = aReplica('cloud');
  end(replica, { kind: 'throttled', retryAfterMs: 86_400_000 });
  assert.equal(replica.coolsForMs, 600_000);
});

test('what the caller did wrong, and clients that leave, say nothing about it', () => {
  const replica = aReplica('gpu');
  for (let i = 0; i < 50; i++) {
    end(replica, { kind: 'refused', code: 'context_length_exceeded' });
    end(replica, { kind: 'left' });
  }
  assert.equal(replica.unusable(), null);
});

test('an account that was refused is left alone until the operator says so, or a while passed', () => {
  const clock = new ManualClock();
  const replica = aReplica('cloud', {}, clock);
  end(replica, { kind: 'refused', code: 'engine_account' });
  assert.equal(replica.unusable(), 'disabled');
  replica.enable();
  assert.equal(replica.unusable(), null);
  end(replica, { kind: 'refused', code: 'engine_account' });
  clock.advance(300_000);
  assert.equal(replica.unusable(), null);
});

test('an outcome counts once', () => {
  const replica = aReplica('gpu');
  const attempt = replica.started();
  for (let i = 0; i < 20; i++) attempt?.ended({ kind: 'failed', code: 'engine_error' });
  assert.equal(replica.unusable(), null);
});

test('it knows since when attempts run without a token, however many begin in between', () => {
  const clock = new ManualClock();
  const replica = aReplica('gpu', {}, clock);
  assert.equal(replica.silentSinceMonoMs, null);
  clock.advance(5);
  const first = replica.started();
  clock.advance(10);
  const second = replica.started();
  first?.ended({ kind: 'left' });
  assert.equal(replica.silentSinceMonoMs, 5);
  clock.advance(10);
  second?.token();
  clock.advance(10);
  assert.equal(replica.silentSinceMonoMs, 25);
  second?.ended(served);
  assert.equal(replica.silentSinceMonoMs, null);
  assert.equal(replica.lastServedMonoMs, 35);
});

test('a canary line that fails takes it out at once; one that was refused for load is a pause', () => {
  const replica = aReplica('gpu');
  replica
    .startedCanary()
    ?.failed(new ServiceError('deadline_exceeded', 'no canary', { details: { phase: 'first_token' } }));
  assert.equal(replica.unusable(), 'backend_error');

  const busy = aReplica('cloud');
  busy.startedCanary()?.failed(new ServiceError('overloaded', 'later'));
  assert.equal(busy.unusable(), 'overload');
  assert.equal(busy.breaker.state, 'closed');
});

test('the snapshot shows its places', async () => {
  const replica = aReplica('gpu');
  using _place = await replica.admission.acquire(
    {
      priority: 'interactive',
      player: null,
      source: 'local',
      promptTokens: 70,
      maxTokens: 5,
      deadlineMonoMs: 1e9,
    },
    new AbortController().signal,
  );
  const { running, waiting, runningPromptTokens, maxInFlight, interactiveWaitMs } = replica.snapshot();
  assert.deepEqual([running, waiting, runningPromptTokens, maxInFlight, interactiveWaitMs], [1, 0, 70, 4, 0]);
});
