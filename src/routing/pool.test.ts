import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aReplica } from '../testing/a-replica.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { PickAsk } from './pick.ts';
import { Pool } from './pool.ts';

const ASK: PickAsk = {
  prefixKey: 'mira/2',
  adapter: null,
  promptTokens: 500,
  priority: 'interactive',
  deadlineLeftMs: 5_000,
};
const never = new AbortController().signal;

test('what all replicas share is said of the pool, what they do not is null', () => {
  const one = new Pool('llama', [
    aReplica('a', { modelVersion: '2026-05', contextTokens: 4_096 }),
    aReplica('b', { modelVersion: '2026-05', contextTokens: 2_048, isPaid: true }),
  ]);
  assert.deepEqual(
    [one.model, one.modelVersion, one.contextTokens, one.isPaid],
    ['small', '2026-05', 2_048, false],
  );
  const mixed = new Pool('mixed', [aReplica('a', { model: 'x' }), aReplica('b')]);
  assert.deepEqual([mixed.model, mixed.modelVersion, mixed.contextTokens], [null, null, null]);
});

test('it can be used as long as one replica can, and else says the mildest reason', () => {
  const [a, b] = [aReplica('a'), aReplica('b')];
  const pool = new Pool('p', [a, b]);
  a.setReady(false);
  assert.equal(pool.unusable(), null);
  assert.equal(pool.pick(ASK), b);
  b.started()?.ended({ kind: 'throttled', retryAfterMs: 1_000 });
  assert.equal(pool.unusable(), 'overload');
  assert.equal(pool.pick(ASK), 'overload');
});

test('each decision sees the present, not the last one', async () => {
  const clock = new ManualClock();
  const replicas = ['a', 'b'].map((name) =>
    aReplica(name, { admission: { engine: name, maxInFlight: 1, maxQueued: 0 } }, clock),
  );
  const pool = new Pool('p', replicas);
  const picked = new Set<unknown>();
  for (let i = 0; i < 2; i++) {
    const replica = pool.pick(ASK);
    assert.ok(typeof replica !== 'string');
    picked.add(replica);
    await replica.admission.acquire(
      {
        priority: 'interactive',
        player: null,
        source: 's',
        promptTokens: 1,
        maxTokens: 1,
        deadlineMonoMs: 1e9,
      },
      never,
    );
  }
  assert.equal(picked.size, 2);
  assert.equal(pool.pick(ASK), 'overload');
});

test('what a replica learned, and forgot, counts at the next decision', () => {
  const clock = new ManualClock();
  const slow = aReplica('slow', {}, clock);
  const pool = new Pool('p', [slow]);
  assert.equal(pool.pick(ASK), slow);
  slow.started()?.ended({
    kind: 'served',
    firstTokenMs: 60_000,
    totalMs: 61_000,
    promptTokens: 500,
    cachedTokens: 0,
    completionTokens: 20,
  });
  assert.equal(pool.pick(ASK), 'overload');
  clock.advance(120_000);
  assert.equal(pool.pick(ASK), slow, 'an engine that was slow once is tried again');
});
