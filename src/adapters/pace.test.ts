import assert from 'node:assert/strict';
import test from 'node:test';
import type { ResolvedAdapter } from '../core/adapter.ts';
import { AdapterHouse } from '../testing/adapter-house.ts';

const never = new AbortController().signal;
const LOAD_MS = 300;

async function twoInOneSlot(): Promise<AdapterHouse> {
  const engine = { name: 'one', slots: 1, loadMs: LOAD_MS, traits: { stallsWhileLoading: true } };
  const house = await new AdapterHouse({ engines: [engine] }).open();
  for (const id of ['lich@1', 'ghoul@1']) {
    await house.add(id);
    await house.publish(id);
  }
  return house;
}

function resolved(house: AdapterHouse, name: string): ResolvedAdapter {
  const adapter = house.residency.resolve(name);
  assert.ok(typeof adapter === 'object');
  return adapter;
}

const wish = { priority: 'interactive', tier: 2, waitMs: 800 } as const;

test('a line waits for an adapter that comes, and not for one that others keep from coming', async () => {
  await using house = await twoInOneSlot();
  const there = ['lich', 'ghoul'].find(
    (name) => house.residency.lease(resolved(house, name), 'one') !== null,
  );
  const other = there === 'lich' ? 'ghoul' : 'lich';
  const since = house.clock.monotonicMs();
  const absence = await house.settle(house.residency.want(resolved(house, other), ['one'], wish, never));
  assert.equal(absence, 'loading');
  assert.ok(house.clock.monotonicMs() - since < 10, 'somebody speaks with the one that is there');
});

test('however much lines want, swaps leave nine tenths of the time to those that speak', async () => {
  await using house = await twoInOneSlot();
  const [engine] = house.engines;
  assert.ok(engine !== undefined);
  const before = engine.loads.length;
  const forMs = 60_000;
  const endMonoMs = house.clock.monotonicMs() + forMs;
  while (house.clock.monotonicMs() < endMonoMs) {
    for (const name of ['lich', 'ghoul']) {
      await house.settle(house.residency.want(resolved(house, name), ['one'], wish, never));
      house.residency.lease(resolved(house, name), 'one')?.[Symbol.dispose]();
    }
    await house.pass(100);
  }
  const loads = engine.loads.length - before;
  assert.ok(loads > 3, `${loads} loads: both are heard`);
  assert.ok(loads * LOAD_MS <= forMs * 0.11, `${loads} loads of ${LOAD_MS} ms in ${forMs} ms`);
});
