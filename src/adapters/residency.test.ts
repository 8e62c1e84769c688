import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResolvedAdapter } from '../core/adapter.ts';
import { AdapterHouse } from '../testing/adapter-house.ts';

const never = new AbortController().signal;
const line = { priority: 'interactive', tier: 1, waitMs: 800 } as const;

function resolved(house: AdapterHouse, reference: string): ResolvedAdapter {
  const adapter = house.residency.resolve(reference);
  assert.ok(typeof adapter === 'object', `${reference} is ${JSON.stringify(adapter)}`);
  return adapter;
}

test('published, wanted, lent and spoken with', async () => {
  await using house = await new AdapterHouse({ engines: [{ name: 'gpu-1', slots: 2, loadMs: 50 }] }).open();
  const record = await house.add('lich@7');
  await house.publish('lich@7');
  const adapter = resolved(house, 'lich');
  assert.equal(adapter.id, 'lich@7');
  assert.equal(await house.residency.want(adapter, ['gpu-1'], line, never), null);
  using lease = house.residency.lease(adapter, 'gpu-1');
  assert.equal(house.engines[0]?.weights.get(lease?.address.engineName ?? ''), record.digest);
  assert.equal(lease?.address.path, `/adapters/${record.digest}`);
  assert.deepEqual([...(house.engines[0]?.resident ?? [])], [adapter.engineName]);
});
