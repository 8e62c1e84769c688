/** The search for a capacity and the order of its windows, on curves that are known. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { capacityOf, nextSpeed, type Probe, type SearchLimits } from './search.ts';

const limits: SearchLimits = {
  firstSpeed: 1,
  factor: 2,
  resolution: 1.25,
  leastSpeed: 0.05,
  mostSpeed: 100,
  probesMax: 20,
};

function search(holds: (speed: number) => boolean, options: SearchLimits = limits): Probe[] {
  const probes: Probe[] = [];
  for (
    let speed = nextSpeed(probes, options);
    speed !== null && probes.length < 100;
    speed = nextSpeed(probes, options)
  )
    probes.push({ speed, holds: holds(speed) });
  return probes;
}

test('the capacity found is within the resolution below the true one, wherever that lies', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.06, max: 99, noNaN: true }), (truth) => {
      const found = capacityOf(search((speed) => speed <= truth));
      assert.ok(found !== null && found <= truth);
      assert.ok(found === limits.mostSpeed || truth / found <= limits.resolution + 1e-9);
    }),
  );
});

test('a side that never holds is given up at the least speed', () => {
  const probes = search(() => false);
  assert.equal(capacityOf(probes), null);
  assert.equal(probes.at(-1)?.speed, limits.leastSpeed);
});

test('a side that always holds is given up at the greatest speed', () => {
  const probes = search(() => true);
  assert.equal(capacityOf(probes), limits.mostSpeed);
});

test('no search is longer than its limit, whatever it sees', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.boolean()), (answers) => {
      const probes = search(() => answers.next().value as boolean, { ...limits, probesMax: 6 });
      assert.ok(probes.length <= 6);
    }),
  );
});

test('a speed that broke below one that held does not lower the capacity', () => {
  const probes = [
    { speed: 1, holds: false },
    { speed: 2, holds: true },
    { speed: 2.4, holds: false },
  ];
  assert.equal(capacityOf(probes), 2);
  assert.equal(nextSpeed(probes, limits), null);
});
