import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AdapterAbsence, ResolvedAdapter } from '../core/adapter.ts';
import { engineNameOf } from '../core/adapter.ts';
import type { Logger } from '../core/runtime.ts';
import type { AdapterEngine, LoadFault } from '../testing/adapter-engine.ts';
import { AdapterHouse, type AdapterHouseOptions, aRecord } from '../testing/adapter-house.ts';

const never = new AbortController().signal;
const line = { priority: 'interactive', tier: 1, waitMs: 800 } as const;
const gpu = { name: 'gpu-1', slots: 2, loadMs: 50 };

/** A house with these adapters registered. */
async function houseOf(ids: readonly string[], settings: Partial<AdapterHouseOptions> = {}) {
  const house = await new AdapterHouse({ engines: [gpu], ...settings }).open();
  for (const id of ids) await house.add(id);
  return house;
}

function resolved(house: AdapterHouse, reference: string): ResolvedAdapter {
  const adapter = house.residency.resolve(reference);
  assert.ok(typeof adapter === 'object', `${reference} is ${JSON.stringify(adapter)}`);
  return adapter;
}

function engineOf(house: AdapterHouse, index = 0): AdapterEngine {
  const engine = house.engines[index];
  assert.ok(engine !== undefined);
  return engine;
}

function want(house: AdapterHouse, reference: string, wish = {}): Promise<AdapterAbsence | null> {
  const names = house.residency.views().map(({ engine }) => engine);
  return house.settle(house.residency.want(resolved(house, reference), names, { ...line, ...wish }, never));
}

test('published, wanted, lent and spoken with', async () => {
  await using house = await houseOf(['lich@7']);
  await house.publish('lich@7');
  const record = aRecord('lich@7');
  const adapter = resolved(house, 'lich');
  assert.equal(adapter.id, 'lich@7');
  assert.equal(await want(house, 'lich'), null);
  using lease = house.residency.lease(adapter, 'gpu-1');
  assert.equal(engineOf(house).weights.get(lease?.address.engineName ?? ''), record.digest);
  assert.equal(lease?.address.path, `/adapters/${record.digest}`);
  assert.deepEqual([...engineOf(house).resident], [adapter.engineName]);
  const [view] = house.residency.views();
  assert.deepEqual(
    [view?.slots, view?.slotsUsed, view?.bytes, view?.adapters[0]?.stage, view?.adapters[0]?.leases],
    [2, 1, 1_000, 'resident', 1],
  );
  assert.equal(house.residency.viewsOf('lich@7')[0]?.engine, 'gpu-1');
});

test('a reference means what the document says, and what is not there has a name', async () => {
  await using house = await houseOf(['lich@7', 'lich@8']);
  await house.publish('lich@7');
  await house.publish('lich@8', { tag: 'canary' });
  assert.equal(resolved(house, 'lich@stable').id, 'lich@7');
  assert.equal(resolved(house, 'lich@canary').id, 'lich@8');
  assert.equal(resolved(house, 'lich@8').id, 'lich@8');
  assert.ok(resolved(house, 'lich@canary').generation > resolved(house, 'lich').generation);
  for (const [reference, absence] of [
    ['ghoul', 'unknown'],
    ['lich@9', 'unpublished'],
    ['Not A Name', 'unknown'],
    ['constructor', 'unknown'],
  ] as const)
    assert.equal(house.residency.resolve(reference), absence);
});

test('what nobody may wait for is loaded all the same, for the next line', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1', 'vampire@1']);
  for (const id of ['lich@7', 'ghoul@1', 'vampire@1']) await house.publish(id);
  const missing = ['lich', 'ghoul', 'vampire'].find(
    (name) => house.residency.residentAt(resolved(house, name).engineName).length === 0,
  );
  assert.ok(missing !== undefined, 'three do not fit into two slots');
  await house.pass(5_000);
  assert.equal(await want(house, missing, { waitMs: 0 }), 'loading');
  await house.pass(1_000);
  assert.equal(await want(house, missing, { waitMs: 0 }), null);
});

test('a line waits for its adapter as long as it may and no longer', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1', 'vampire@1'], {
    engines: [{ ...gpu, loadMs: 300 }],
  });
  for (const id of ['lich@7', 'ghoul@1', 'vampire@1']) await house.publish(id);
  await house.pass(60_000);
  assert.equal(await want(house, 'lich', { waitMs: 800 }), null);
  const before = house.clock.monotonicMs();
  assert.equal(await want(house, 'ghoul', { waitMs: 50 }), 'loading');
  assert.ok(house.clock.monotonicMs() - before < 60);
});

test('who hangs up waits no longer, with the reason of the hang-up', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1', 'vampire@1']);
  for (const id of ['lich@7', 'ghoul@1', 'vampire@1']) await house.publish(id);
  const controller = new AbortController();
  const wish = house.residency.want(resolved(house, 'lich'), ['gpu-1'], line, controller.signal);
  const reason = new Error('the player has left');
  controller.abort(reason);
  await assert.rejects(house.settle(wish), reason);
});

test('waiting is refused where it is of no use, and says why', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1'], {
    engines: [gpu, { name: 'other', base: 'another base', slots: 2 }],
  });
  await house.publish('lich@7');
  const lich = resolved(house, 'lich');
  const ask = (replicas: readonly string[]) =>
    house.settle(house.residency.want(lich, replicas, line, never));
  assert.equal(await ask(['other']), 'unsupported');
  assert.equal(await ask(['a cloud']), 'unsupported');
  assert.equal(await ask(['other', 'gpu-1']), null);
  const gone = { ...lich, engineName: 'lich@9-00000000' };
  assert.equal(await house.settle(house.residency.want(gone, ['gpu-1'], line, never)), 'unpublished');
});

test('pins keep their places and others are told that there is no room', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1', 'vampire@1']);
  await house.publish('lich@7', { pin: true });
  await house.publish('ghoul@1', { pin: true });
  await assert.rejects(house.publish('vampire@1'), {
    code: 'no_room',
    message: /2 slots, of which 2 are pinned/,
  });
  await house.settle(house.publisher.pin({ name: 'ghoul', version: '1' }, false));
  await house.publish('vampire@1');
  await house.pass(60_000);
  assert.equal(await want(house, 'ghoul'), null);
  assert.equal(house.residency.residentAt(resolved(house, 'lich').engineName).length, 1);
});

test('what somebody else loaded takes its slots', async () => {
  await using house = await houseOf(['lich@7']);
  engineOf(house).foreign = 2;
  house.residency.replicaDown('gpu-1');
  await house.settle(house.residency.replicaUp(engineOf(house).replica(), never));
  await assert.rejects(house.publish('lich@7'), { code: 'no_room', message: /2 taken by others/ });
});

for (const [fault, attempts] of [
  ['refused', 3],
  ['refused for good', 1],
  ['answers as base', 3],
] as const satisfies readonly (readonly [LoadFault, number])[])
  test(`an adapter that is ${fault} is tried ${attempts} times, and then anew when it is published again`, async () => {
    await using house = await houseOf(['lich@7']);
    const engine = engineOf(house);
    engine.faults.push(...Array.from({ length: attempts }, () => fault));
    await assert.rejects(house.publish('lich@7'), { code: 'adapter_failed' });
    assert.equal(engine.loads.length, attempts);
    assert.equal(house.residency.desired.failures[0]?.id, 'lich@7');
    assert.deepEqual(house.residency.desired.published, []);
    await house.pass(1_000);
    assert.equal(engine.weights.size, 0, 'what failed is unloaded');
    await house.publish('lich@7');
    assert.equal(await want(house, 'lich'), null);
    assert.deepEqual(house.residency.desired.failures, []);
  });

test('one that answers with the words of another is not believed, not even the first time', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1']);
  await house.publish('lich@7');
  engineOf(house).faults.push('answers as other', 'answers as other', 'answers as other');
  await assert.rejects(house.publish('ghoul@1'), { code: 'adapter_failed', message: /word for word as/ });
  assert.equal(house.residency.resolve('ghoul'), 'unknown');
});

test('an engine that has fewer slots than it says is believed when it refuses', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1'], {
    engines: [{ name: 'gpu-1', slots: 1, limits: { slots: 2 } }],
  });
  await house.publish('lich@7');
  await house.publish('ghoul@1');
  const [view] = house.residency.views();
  assert.equal(view?.adapters.filter(({ stage }) => stage === 'resident').length, 1);
});

test('when an engine comes back, what was there is verified again before traffic', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1']);
  await house.publish('lich@7');
  await house.publish('ghoul@1');
  const engine = engineOf(house);
  const lich = resolved(house, 'lich');
  const lease = house.residency.lease(lich, 'gpu-1');
  engine.die();
  house.residency.replicaDown('gpu-1');
  assert.deepEqual([...engine.resident], []);
  assert.equal(house.residency.lease(lich, 'gpu-1'), null);
  assert.equal(house.residency.views()[0]?.isUp, false);
  engine.revive();
  engine.faults.push('answers as base');
  await house.settle(house.residency.replicaUp(engine.replica(), never));
  assert.equal(engine.resident.size, 2, 'a lie was seen and the load tried again');
  assert.deepEqual(
    new Set(engine.weights.values()),
    new Set([aRecord('lich@7').digest, aRecord('ghoul@1').digest]),
  );
  lease?.[Symbol.dispose]();
  lease?.[Symbol.dispose]();
  assert.equal(house.residency.viewsOf('lich@7')[0]?.leases, 0);
});

test('an engine is not kept from traffic by an adapter that hangs, nor by a caller who does not wait', async () => {
  await using house = await houseOf(['lich@7']);
  await house.publish('lich@7');
  const engine = engineOf(house);
  engine.die();
  house.residency.replicaDown('gpu-1');
  engine.revive();
  engine.faults.push('hangs');
  const controller = new AbortController();
  const up = house.residency.replicaUp(engine.replica(), controller.signal);
  await house.pass(1_000);
  controller.abort(new Error('players wait'));
  await assert.rejects(house.settle(up), /players wait/);
  await house.pass(300_000);
  assert.equal(engine.resident.size, 1, 'it went on behind their backs');
});

test('an engine that restarted unseen is found out by its audit, or by the first line', async () => {
  await using house = await houseOf(['lich@7']);
  await house.publish('lich@7');
  const engine = engineOf(house);
  const restart = () => {
    engine.die();
    engine.revive();
  };
  restart();
  await house.pass(25_000);
  assert.equal(engine.weights.size, 1);
  assert.ok(house.events.some(({ type }) => type === 'lost'));
  restart();
  const lease = house.residency.lease(resolved(house, 'lich'), 'gpu-1');
  lease?.lost();
  lease?.lost();
  assert.equal(house.residency.lease(resolved(house, 'lich'), 'gpu-1'), null);
  await house.pass(500);
  assert.equal(await want(house, 'lich', { waitMs: 0 }), null);
});

test('an engine that was silent for a while and lives on keeps the lines that speak; what it lost is back first', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1']);
  const engine = engineOf(house);
  const connection = engine.replica();
  house.residency.replicaDown('gpu-1');
  await house.settle(house.residency.replicaUp(connection, never));
  await house.publish('lich@7');
  await house.publish('ghoul@1');
  const lich = resolved(house, 'lich');
  const lease = house.residency.lease(lich, 'gpu-1');
  engine.loads.length = 0;
  const up = house.residency.replicaUp(connection, never);
  assert.ok(engine.resident.has(lich.engineName), 'other lines go on meanwhile');
  await house.settle(up);
  assert.deepEqual(engine.loads, []);
  assert.equal(house.residency.viewsOf('lich@7')[0]?.leases, 1, 'it cannot be unloaded under the line');
  engine.die();
  engine.revive();
  await house.settle(house.residency.replicaUp(connection, never));
  assert.equal(engine.resident.size, 2, 'before traffic');
  assert.equal(engine.weights.size, 2);
  lease?.[Symbol.dispose]();
  assert.equal(house.residency.viewsOf('lich@7')[0]?.leases, 0);
});

test('a gateway that cannot read what is published takes nothing from an engine that others use', async () => {
  await using first = await houseOf(['lich@7']);
  await first.publish('lich@7');
  const engine = engineOf(first);
  await using second = new AdapterHouse({ engines: [], store: first.store, clock: first.clock });
  first.store.isDown = true;
  await second.residency.start();
  await second.settle(second.residency.replicaUp(engine.replica(), never));
  await second.pass(25_000);
  assert.deepEqual(engine.unloads, []);
  assert.equal(engine.weights.size, 1);
  first.store.isDown = false;
  engine.weights.set('ghoul@9-01234567', 'x');
  await second.pass(25_000);
  assert.equal(typeof second.residency.resolve('lich'), 'object');
  assert.equal(engine.weights.size, 1, 'what nobody publishes goes when that is known');
});

test('what another life left in an engine is dismissed; what is published is used again', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1']);
  await house.publish('lich@7');
  const engine = engineOf(house);
  house.residency.replicaDown('gpu-1');
  engine.weights.set('ghoul@9-01234567', 'x');
  engine.weights.set('somebody-else', 'y');
  engine.loads.length = 0;
  await house.settle(house.residency.replicaUp(engine.replica(), never));
  assert.deepEqual([...engine.weights.keys()].sort(), [engineNameOf(aRecord('lich@7')), 'somebody-else']);
  assert.deepEqual(engine.loads, []);
});

test('of an engine that takes adapters only at its start, those that it has are verified and used', async () => {
  const traits = { loads: 'start', unloads: 'never' } as const;
  await using house = new AdapterHouse({
    engines: [
      { ...gpu, traits },
      { name: 'gpu-2', slots: 1 },
    ],
  });
  const [record, other] = [await house.add('lich@7'), await house.add('ghoul@1')];
  engineOf(house).weights.set(engineNameOf(record), record.digest);
  engineOf(house).weights.set(engineNameOf(other), null);
  await house.open();
  await house.publish('ghoul@1');
  await house.publish('lich@7');
  await house.pass(120_000);
  assert.deepEqual(
    [...engineOf(house).resident],
    [engineNameOf(record)],
    'the other one answers as the base',
  );
});

test('a store that is lost changes nothing for lines, and what others publish is seen when it is back', async () => {
  const warnings: string[] = [];
  const log: Logger = {
    debug: () => {},
    info: () => {},
    warn: (event) => warnings.push(event),
    error: () => {},
    child: () => log,
  };
  await using house = await houseOf(['lich@7', 'ghoul@1'], { log });
  await using elsewhere = await new AdapterHouse({
    engines: [{ name: 'gpu-9', slots: 2 }],
    store: house.store,
    clock: house.clock,
  }).open();
  await house.publish('lich@7');
  house.store.isDown = true;
  await house.pass(30_000);
  assert.equal(await want(house, 'lich'), null);
  assert.deepEqual(warnings, ['adapter.store-lost']);
  await assert.rejects(house.publish('ghoul@1'), { code: 'store_unavailable' });
  house.store.isDown = false;
  await elsewhere.publish('ghoul@1');
  await house.pass(10_000);
  assert.equal(await want(house, 'ghoul'), null);
});

test('a hint brings an adapter before the player comes', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1', 'vampire@1']);
  for (const id of ['lich@7', 'ghoul@1', 'vampire@1']) await house.publish(id);
  await house.pass(120_000);
  const missing = ['lich', 'ghoul', 'vampire'].find(
    (name) => house.residency.residentAt(resolved(house, name).engineName).length === 0,
  );
  assert.ok(missing !== undefined);
  assert.equal(await want(house, missing, { priority: 'hint' }), 'loading');
  await house.pass(1_000);
  assert.equal(await want(house, missing, { waitMs: 0 }), null);
});

test('an adapter whose lines are many earns a copy elsewhere', async () => {
  await using house = await houseOf(['lich@7'], { engines: [gpu, { name: 'gpu-2', slots: 1 }] });
  await house.publish('lich@7');
  const lich = resolved(house, 'lich');
  const [first = ''] = house.residency.residentAt(lich.engineName);
  const leases = Array.from({ length: 5 }, () => house.residency.lease(lich, first));
  await house.pass(1_000);
  assert.equal(house.residency.residentAt(lich.engineName).length, 2);
  for (const lease of leases) lease?.[Symbol.dispose]();
});

test('thrash is warned of once an episode, and lines are answered all the same', async () => {
  const warnings: string[] = [];
  const log: Logger = {
    debug: () => {},
    info: () => {},
    warn: (event) => warnings.push(event),
    error: () => {},
    child: () => log,
  };
  const names = ['a', 'b', 'c', 'd'];
  await using house = await houseOf(
    names.map((name) => `${name}@1`),
    { engines: [{ ...gpu, slots: 1 }], options: { swapsPerMinuteMax: 5 }, log },
  );
  for (const name of names) await house.publish(`${name}@1`);
  for (let round = 0; round < 60; round++) {
    await want(house, names[round % 4] ?? '', { waitMs: 400 });
    await house.pass(600);
  }
  assert.equal(house.residency.views()[0]?.isThrashing, true);
  assert.equal(warnings.filter((event) => event === 'adapter.thrashing').length, 1);
  await house.pass(120_000);
  assert.equal(house.residency.views()[0]?.isThrashing, false);
});

test('ended in the middle of everything, nobody waits and nothing is left', async () => {
  const house = await houseOf(['lich@7', 'ghoul@1'], { engines: [{ ...gpu, loadMs: 5_000 }] });
  const publishing = house.publisher.publish({ name: 'lich', version: '7' }, {}, () => {}, never);
  const seen = assert.rejects(publishing, { code: 'draining' });
  await house.pass(1_000);
  await house.settle(house[Symbol.asyncDispose]());
  await seen;
  await house.pass(10_000);
  assert.equal(house.clock.waiting, 0);
  await assert.rejects(house.residency.replicaUp(engineOf(house).replica(), never), { code: 'draining' });
});

test('an engine whose base answers wrongly once an adapter is there is asked before, and its adapters are believed', async () => {
  await using house = await houseOf(['lich@7', 'ghoul@1']);
  const engine = engineOf(house);
  engine.mixesIntoBase = true;
  await house.publish('lich@7');
  await house.publish('ghoul@1');
  // Two come back at the same time.
  engine.die();
  house.residency.replicaDown('gpu-1');
  engine.revive();
  await house.settle(house.residency.replicaUp(engine.replica(), never));
  assert.equal(engine.resident.size, 2);
  engine.faults.push('answers as base');
  await house.add('vampire@1');
  await house.publish('vampire@1');
  assert.equal(engine.faults.length, 0, 'the lie was told, and the next try was the truth');
});

test('a turn that breaks is told and tried again: the publish under way comes to its end', async () => {
  await using house = await houseOf(['lich@7']);
  const push = house.events.push.bind(house.events);
  let isBroken = true;
  house.events.push = (...events) => {
    if (isBroken && events.some(({ type }) => type === 'resident')) {
      isBroken = false;
      throw new Error('planted');
    }
    return push(...events);
  };
  await house.publish('lich@7');
  assert.deepEqual(house.broken, ['adapter.turn-broke']);
  assert.deepEqual([...engineOf(house).resident], engineOf(house).loads);
});
