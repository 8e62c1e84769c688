import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineNameOf, type ResolvedAdapter } from '../core/adapter.ts';
import { AdapterHouse, type AdapterHouseOptions, aRecord } from '../testing/adapter-house.ts';

const never = new AbortController().signal;
const two = [
  { name: 'gpu-1', slots: 3, loadMs: 50 },
  { name: 'gpu-2', slots: 3, loadMs: 80 },
];
const seven = { name: 'lich', version: '7' };
const eight = { name: 'lich', version: '8' };

async function houseOf(settings: Partial<AdapterHouseOptions> = {}) {
  const house = await new AdapterHouse({ engines: two, ...settings }).open();
  for (const id of ['lich@7', 'lich@8', 'ghoul@1']) await house.add(id);
  return house;
}

function resolved(house: AdapterHouse, reference = 'lich'): ResolvedAdapter {
  const adapter = house.residency.resolve(reference);
  assert.ok(typeof adapter === 'object', `${reference} is ${JSON.stringify(adapter)}`);
  return adapter;
}

/** Lets it be resident at both engines. */
async function spread(house: AdapterHouse): Promise<void> {
  for (const { name } of two)
    assert.equal(
      await house.settle(
        house.residency.want(
          resolved(house),
          [name],
          { priority: 'interactive', tier: 1, waitMs: 800 },
          never,
        ),
      ),
      null,
    );
}

test('a swap moves the tag when the new version is verified wherever the old one was; the old one speaks its line to the end', async () => {
  await using house = await houseOf();
  await house.publish('lich@7');
  await spread(house);
  const old = resolved(house);
  const lease = house.residency.lease(old, 'gpu-1');
  assert.ok(lease !== null);
  const steps: string[] = [];
  const swap = house.publisher.swap(
    eight,
    { tag: 'stable' },
    ({ stage }) => {
      steps.push(stage);
      if (stage !== 'switching') return;
      const now = resolved(house);
      assert.equal(now.id, 'lich@8');
      assert.ok(now.generation > old.generation);
      assert.deepEqual(house.residency.residentAt(now.engineName), ['gpu-1', 'gpu-2']);
    },
    never,
  );
  await house.pass(20_000);
  assert.equal(resolved(house).id, 'lich@8');
  assert.equal(house.residency.lease(old, 'gpu-1'), null, 'no new line');
  const [engine] = house.engines;
  assert.equal(engine?.weights.get(old.engineName), aRecord('lich@7').digest, 'the running one goes on');
  lease[Symbol.dispose]();
  await house.settle(swap);
  assert.deepEqual(
    steps,
    ['loading', 'switching', 'draining', 'draining', 'done', 'done'].slice(0, steps.length),
  );
  for (const each of house.engines) assert.equal(each.weights.has(old.engineName), false);
  assert.equal(house.residency.resolve('lich@7'), 'unpublished');
});

test('a line that never ends is not cut, and whoever swaps does not wait for it for ever', async () => {
  await using house = await houseOf();
  await house.publish('lich@7');
  const old = resolved(house);
  const [where = ''] = house.residency.residentAt(old.engineName);
  const lease = house.residency.lease(old, where);
  await house.settle(house.publisher.swap(eight, { tag: 'stable' }, () => {}, never));
  assert.equal(house.residency.viewsOf('lich@7')[0]?.stage, 'draining');
  lease?.[Symbol.dispose]();
  await house.pass(1_000);
  assert.deepEqual(house.residency.viewsOf('lich@7'), []);
});

test('fifty swaps under load: no line speaks with a wrong adapter, none fails', async () => {
  await using house = await houseOf({ options: { pollMs: 100 } });
  await house.publish('lich@7');
  const lines = { spoken: 0, without: 0, wrong: 0 };
  const speak = async () => {
    const adapter = resolved(house);
    const places = ['gpu-1', 'gpu-2'];
    const wish = { priority: 'interactive', tier: 1, waitMs: 800 } as const;
    await house.residency.want(adapter, places, wish, never);
    const [where = ''] = house.residency.residentAt(adapter.engineName);
    const lease = house.residency.lease(adapter, where);
    if (lease === null) {
      lines.without += 1;
      return;
    }
    const engine = house.engines[places.indexOf(where)];
    const digest = aRecord(adapter.id).digest;
    for (let word = 0; word < 3; word++) {
      if (engine?.weights.get(lease.address.engineName) !== digest) lines.wrong += 1;
      await house.clock.sleep(40, never);
    }
    lines.spoken += 1;
    lease[Symbol.dispose]();
  };
  const running: Promise<void>[] = [];
  for (let swap = 0; swap < 50; swap++) {
    const swapping = house.publisher.swap(swap % 2 === 0 ? eight : seven, { tag: 'stable' }, () => {}, never);
    for (let burst = 0; burst < 10; burst++) {
      running.push(speak());
      await house.pass(20);
    }
    await house.settle(swapping);
  }
  await house.settle(Promise.all(running));
  assert.deepEqual(lines, { spoken: 500, without: 0, wrong: 0 });
});

test('a version that fails leaves all as it was: the old one serves, the document is put back, the reason is noted', async () => {
  await using house = await houseOf();
  await house.publish('lich@7');
  const before = house.residency.desired;
  const [where = ''] = house.residency.residentAt(resolved(house).engineName);
  const engine = house.engines[where === 'gpu-1' ? 0 : 1];
  engine?.faults.push('answers as base', 'answers as other', 'answers as base');
  await assert.rejects(house.settle(house.publisher.swap(eight, { tag: 'stable' }, () => {}, never)), {
    code: 'adapter_failed',
  });
  const after = house.residency.desired;
  assert.deepEqual([after.published, after.tags], [before.published, before.tags]);
  assert.equal(after.failures[0]?.id, 'lich@8');
  assert.equal(resolved(house).id, 'lich@7');
  assert.ok(house.residency.lease(resolved(house), where) !== null);
  await house.pass(10_000);
  assert.equal(engine?.weights.has(engineNameOf(aRecord('lich@8'))), false);
});

test('who aborts before the switch has changed nothing', async () => {
  await using house = await houseOf();
  await house.publish('lich@7');
  const controller = new AbortController();
  for (const engine of house.engines) engine.faults.push('slow');
  const swap = house.publisher.swap(eight, { tag: 'stable' }, () => {}, controller.signal);
  const reason = new Error('the operator has left');
  const seen = assert.rejects(swap, reason);
  await house.pass(300);
  controller.abort(reason);
  await house.pass(60_000);
  await seen;
  assert.equal(resolved(house).id, 'lich@7');
  assert.deepEqual(
    house.residency.desired.published.map(({ version }) => version),
    ['7'],
  );
  for (const engine of house.engines)
    assert.equal(engine.weights.has(engineNameOf(aRecord('lich@8'))), false);
});

test('what cannot be published is refused by its name', async () => {
  await using house = await houseOf({ engines: [{ name: 'gpu-1', slots: 1 }] });
  await house.publish('lich@7');
  await house.add('alien@1', { base: 'another' });
  await house.add('giant@1', { rank: 128 });
  for (const [id, error] of [
    ['lich@9', { code: 'unknown_adapter' }],
    ['alien@1', { code: 'adapter_incompatible', message: /is for the base another/ }],
    ['giant@1', { code: 'no_room', message: /rank 128 is over the 64/ }],
  ] as const)
    await assert.rejects(house.publish(id), error);
  await assert.rejects(
    house.settle(house.publisher.swap(eight, { tag: 'stable' }, () => {}, never)),
    { code: 'no_room', message: /1 slots, of which 1 are pinned or being published/ },
    'a swap needs one place beside the version that serves',
  );
  house.residency.replicaDown('gpu-1');
  await assert.rejects(house.publish('ghoul@1'), { code: 'not_ready' });
});

test('a store that is lost in the middle fails the publish, and no tag moves', async () => {
  await using house = await houseOf();
  await house.publish('lich@7');
  for (const engine of house.engines) engine.faults.push('slow');
  const swap = house.publisher.swap(eight, { tag: 'stable' }, () => {}, never);
  const seen = assert.rejects(swap, { code: 'adapter_failed' });
  await house.pass(300);
  house.store.isDown = true;
  await house.pass(1_000_000);
  await seen;
  for (const { loads } of house.engines)
    assert.ok(loads.length < 60, `${loads.length} tries in a quarter of an hour`);
  house.store.isDown = false;
  await house.pass(5_000);
  assert.equal(resolved(house).id, 'lich@7');
  assert.equal(
    typeof house.residency.resolve('lich@8'),
    'object',
    'published and untagged: it can be taken up again',
  );
  await house.settle(house.publisher.swap(eight, { tag: 'stable' }, () => {}, never));
  assert.equal(resolved(house).id, 'lich@8');
});

test('other bytes that came under the name while it was published are not served as what was asked for', async () => {
  await using house = await houseOf();
  const { desired } = house.store;
  let isExchanged = false;
  // Another gateway removes the version and adds it anew, after ours has looked it up.
  house.store.desired = async () => {
    if (!isExchanged) {
      isExchanged = true;
      await house.store.remove('lich', '7');
      await house.add('lich@7', { digest: 'f'.repeat(64) });
    }
    return await desired.call(house.store);
  };
  await assert.rejects(house.publish('lich@7'), { code: 'adapter_conflict' });
  assert.equal(house.residency.resolve('lich'), 'unknown');
  await house.publish('lich@7');
  assert.equal(resolved(house).engineName, 'lich@7-ffffffff');
});

test('two publishes of one name at the same instant both end, and the tag is with the later one', async () => {
  await using house = await houseOf();
  const publish = (version: { name: string; version: string }) =>
    house.publisher.publish(version, { tag: 'stable' }, () => {}, never);
  await house.settle(Promise.all([publish(seven), publish(eight)]));
  const winner = resolved(house);
  assert.ok(['lich@7', 'lich@8'].includes(winner.id));
  assert.equal(house.residency.desired.published.length, 1, 'the other one was replaced');
  await house.pass(10_000);
  assert.ok(house.residency.residentAt(winner.engineName).length > 0);
});

test('what a tag means is given up only by force; then it ends and leaves the engines', async () => {
  await using house = await houseOf();
  await house.publish('lich@7');
  const unpublish = (force: boolean) =>
    house.settle(house.publisher.unpublish(seven, { force }, () => {}, never));
  await assert.rejects(unpublish(false), { code: 'adapter_busy', message: /lich@stable/ });
  await unpublish(true);
  assert.equal(house.residency.resolve('lich'), 'unknown');
  for (const engine of house.engines) assert.equal(engine.weights.size, 0);
  await unpublish(true);
});

test('a pin stays through another publish of the same version, and goes when it is taken away', async () => {
  await using house = await houseOf();
  await house.publish('lich@7', { pin: true });
  await house.publish('lich@7', { pin: false });
  assert.equal(house.residency.desired.published[0]?.isPinned, true);
  await house.settle(house.publisher.pin(seven, false));
  assert.equal(house.residency.desired.published[0]?.isPinned, false);
});
