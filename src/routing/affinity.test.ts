import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { aSnapshot } from '../testing/a-replica.ts';
import { hashOf, LOAD_BOUND, loadCap, weightOf } from './affinity.ts';
import { type PickAsk, pickReplica } from './pick.ts';
import type { ReplicaSnapshot } from './replica.ts';

const ROOMY = { maxInFlight: 4, maxQueued: 1_000_000 };

function pool(count: number): ReplicaSnapshot[] {
  return Array.from({ length: count }, (_, index) => aSnapshot(`replica-${index}`, ROOMY));
}

const ask = (prefixKey: string): PickAsk => ({
  prefixKey,
  adapter: null,
  promptTokens: 500,
  priority: 'interactive',
  deadlineLeftMs: 5_000,
});

function homeOf(replicas: readonly ReplicaSnapshot[], prefixKey: string): ReplicaSnapshot {
  const picked = pickReplica(replicas, ask(prefixKey));
  const replica = typeof picked === 'number' ? replicas[picked] : undefined;
  assert.ok(replica !== undefined);
  return replica;
}

test('the hash is FNV-1a, the same in every process and version', () => {
  assert.equal(hashOf(''), 0x811c9dc5);
  assert.equal(hashOf('a'), 0xe40c292c);
  assert.equal(hashOf('foobar'), 0xbf9cf968);
});

test('prefixes spread evenly over idle replicas', () => {
  const hashes = Array.from({ length: 100 }, (_, index) => hashOf(`gpu-${index}`));
  const counts = new Array<number>(100).fill(0);
  for (let key = 0; key < 20_000; key++) {
    const keyHash = hashOf(`persona-${key}/2`);
    let home = 0;
    for (const [index, hash] of hashes.entries())
      if (weightOf(keyHash, hash) > weightOf(keyHash, hashes[home] ?? 0)) home = index;
    counts[home] = (counts[home] ?? 0) + 1;
  }
  assert.ok(Math.max(...counts) < 200 * 1.3 && Math.min(...counts) > 200 * 0.7, `${counts.join(' ')}`);
});

test('an idle pool sends a prefix to one home, and only the keys of a replica that leaves move', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 12 }),
      fc.nat(11),
      fc.array(fc.string({ maxLength: 20 }), { minLength: 1, maxLength: 30 }),
      (count, leaving, keys) => {
        const all = pool(count);
        const gone = all[leaving % count];
        const rest = all.filter((replica) => replica !== gone);
        for (const key of keys) {
          const before = homeOf(all, key);
          const after = homeOf(rest, key);
          if (before !== gone) assert.equal(after.name, before.name);
          // The same read the other way: when it comes back, keys move to it and nowhere else.
          else assert.notEqual(after.name, before.name);
        }
      },
    ),
  );
});

test('whatever the keys: no replica is given more than ceil(c · mean), or a quarter of its places', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.constantFrom(1, 2, 1_000_000),
      fc.array(fc.oneof(fc.nat(1_000), fc.constant(-1)), { minLength: 1, maxLength: 300 }),
      (count, distinctKeys, steps) => {
        const replicas = pool(count);
        const placed: ReplicaSnapshot[] = [];
        for (const step of steps) {
          if (step === -1) {
            const ended = placed.shift();
            if (ended !== undefined) ended.waiting -= 1;
            continue;
          }
          const home = homeOf(replicas, `persona-${step % distinctKeys}`);
          home.waiting += 1;
          placed.push(home);
          const mean = placed.length / count;
          assert.ok(
            home.waiting <= Math.max(Math.ceil(LOAD_BOUND * mean), 1),
            `${home.waiting} at ${home.name}, the mean is ${mean}`,
          );
        }
      },
    ),
  );
});

test('a larger replica takes its larger share', () => {
  const replicas = [
    aSnapshot('large', { ...ROOMY, maxInFlight: 30 }),
    aSnapshot('small', { ...ROOMY, maxInFlight: 10 }),
  ];
  for (let placed = 0; placed < 400; placed++) homeOf(replicas, 'one persona for all').waiting += 1;
  for (const { waiting, maxInFlight } of replicas)
    assert.ok(waiting <= Math.ceil((LOAD_BOUND * 400 * maxInFlight) / 40));
});

test('there is always a replica below the bound', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ load: fc.nat(500), capacity: fc.integer({ min: 1, max: 64 }) }), {
        minLength: 1,
        maxLength: 40,
      }),
      (replicas) => {
        const load = replicas.reduce((sum, each) => sum + each.load, 0);
        const capacity = replicas.reduce((sum, each) => sum + each.capacity, 0);
        assert.ok(replicas.some((each) => each.load < loadCap(load, each.capacity, capacity)));
      },
    ),
  );
});
