import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { aReplica } from '../testing/a-replica.ts';
import { type PlanLimits, planLadder, WRITTEN_RUNG } from './plan.ts';
import { Pool } from './pool.ts';

type State = 'ready' | 'offline' | 'overload';

function aPool(name: string, state: State = 'ready', isPaid = false): Pool {
  const replica = aReplica(name, { isPaid });
  if (state === 'offline') replica.setReady(false);
  if (state === 'overload') replica.started()?.ended({ kind: 'throttled', retryAfterMs: 5_000 });
  return new Pool(name, [replica]);
}

const pools = (...all: readonly Pool[]) => new Map(all.map((pool) => [pool.name, pool] as const));
const MAY_PAY: PlanLimits = { mayPay: true };

function planned(rungs: readonly string[], all: ReadonlyMap<string, Pool>, limits = MAY_PAY) {
  const plan = planLadder({ rungs: [...rungs] }, all, limits);
  return { ...plan, rungs: plan.rungs.map(({ pool, rung }) => `${rung}:${pool.name}`) };
}

test('pools that can be used are tried in the order of the tier, written lines below them', () => {
  assert.deepEqual(planned(['gpu', 'local', 'cloud'], pools(aPool('cloud'), aPool('gpu'), aPool('local'))), {
    rungs: ['0:gpu', '1:local', '2:cloud'],
    writtenRung: 3,
    cause: null,
  });
});

test('a rung that cannot be used is left out, keeps its number, and the highest one says why', () => {
  const all = pools(aPool('gpu', 'overload'), aPool('local', 'offline'), aPool('cloud'));
  assert.deepEqual(planned(['gpu', 'local', 'cloud'], all), {
    rungs: ['2:cloud'],
    writtenRung: 3,
    cause: 'overload',
  });
  assert.equal(planned(['local', 'gpu'], all).cause, 'offline');
});

test('a pool that does not exist, or must not be asked again, is disabled', () => {
  assert.deepEqual(planned(['nobody'], pools()), { rungs: [], writtenRung: 1, cause: 'disabled' });
  const plan = planned(['gpu', 'local'], pools(aPool('gpu'), aPool('local')), {
    mayPay: true,
    skip: new Set(['gpu']),
  });
  assert.deepEqual([plan.rungs, plan.cause], [['1:local'], 'disabled']);
});

test('without money paid pools are left out; one with a free replica stays', () => {
  const mixed = new Pool('mixed', [aReplica('m1', { isPaid: true }), aReplica('m2')]);
  const all = pools(aPool('cloud', 'ready', true), mixed);
  assert.deepEqual(planned(['cloud', 'mixed'], all, { mayPay: false }), {
    rungs: ['1:mixed'],
    writtenRung: 2,
    cause: 'disabled',
  });
  assert.deepEqual(planned(['cloud', 'mixed'], all).rungs, ['0:cloud', '1:mixed']);
});

test('a rung whose replicas all stand above it is the same attempt, not a second one', () => {
  const [a, b] = [aReplica('a'), aReplica('b')];
  const all = pools(new Pool('both', [a, b]), new Pool('again', [b]), new Pool('more', [b, aReplica('c')]));
  assert.deepEqual(planned(['both', 'again', 'more'], all), {
    rungs: ['0:both', '2:more'],
    writtenRung: 3,
    cause: null,
  });
});

test('written lines may be named as the last rung, alone too', () => {
  assert.deepEqual(planned([WRITTEN_RUNG], pools(aPool('local'))), {
    rungs: [],
    writtenRung: 0,
    cause: null,
  });
  assert.deepEqual(planned(['local', WRITTEN_RUNG], pools(aPool('local'))), {
    rungs: ['0:local'],
    writtenRung: 1,
    cause: null,
  });
});

test('whatever can be used: rungs rise, each is usable, and there is a cause exactly when one was left out', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  fc.assert(
    fc.property(
      fc.shuffledSubarray(names),
      fc.array(fc.constantFrom<State>('ready', 'offline', 'overload'), { minLength: 5, maxLength: 5 }),
      (rungs, states) => {
        const all = pools(...names.map((name, index) => aPool(name, states[index] ?? 'ready')));
        const plan = planLadder({ rungs }, all, MAY_PAY);
        const usable = rungs.filter((name) => all.get(name)?.unusable() === null);
        assert.deepEqual(
          plan.rungs.map(({ pool }) => pool.name),
          usable,
        );
        for (const { rung, pool } of plan.rungs) assert.equal(rungs[rung], pool.name);
        assert.equal(plan.cause === null, usable.length === rungs.length);
        assert.equal(plan.writtenRung, rungs.length);
      },
    ),
  );
});
