/**
 * The simulator: seeds that failed once, new ones, and proof that it can be trusted. The same seed is the same story, every
 * kind of fault comes about, and each rule is broken on purpose, so that a checker that sees nothing is noticed.
 */
import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import {
  LINK_FAULTS,
  REFUSAL_FAULTS,
  SPEECH_FAULTS,
  STORE_FAULTS,
  STREAM_FAULTS,
} from '../src/testing/simulation/faults.ts';
import { keptSeeds } from '../src/testing/simulation/kept-seeds.ts';
import { MUTANTS } from '../src/testing/simulation/mutants.ts';
import { chooseScenario } from '../src/testing/simulation/scenario.ts';
import { createWorld, type Simulated, simulate, type World } from '../src/testing/simulation/simulate.ts';

/** `npm run sim -- --seeds 1000` plays many more; these take a few seconds. */
const SEEDS = 60;
/** A deliberate bug must be seen within so many seeds. */
const MUTANT_SEEDS_MAX = 40;

let world: World;
before(async () => {
  world = await createWorld(new AbortController().signal);
});

function brokenBy({ seed, violations }: Simulated): string {
  return violations.map(({ rule, what }) => `seed ${seed} breaks "${rule}": ${what}`).join('\n');
}

for (const kept of keptSeeds())
  test(`seed ${kept.seed}, which once broke "${kept.broke}", holds`, async () => {
    assert.equal(brokenBy(await simulate(kept.seed, { world, onLine: null, length: kept.length })), '');
  });

test('whatever befalls it, the service keeps every rule', async () => {
  const broken: string[] = [];
  let fromEngines = 0;
  let storedTurns = 0;
  let costMicroUsd = 0;
  let fromAdapters = 0;
  let swaps = 0;
  let unspoken = 0;
  const kinds = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await simulate(seed, { world, onLine: null });
    if (result.violations.length > 0)
      broken.push(`${brokenBy(result)}\n  replay it: npm run sim -- --seed ${seed}`);
    fromEngines += result.figures.fromEngines;
    storedTurns += result.figures.storedTurns;
    costMicroUsd += result.figures.costMicroUsd;
    fromAdapters += result.figures.fromAdapters;
    swaps += result.figures.swaps;
    unspoken += result.figures.unspoken;
    for (const kind of result.figures.kinds) kinds.add(kind);
  }
  assert.deepEqual(broken, []);
  assert.ok(fromEngines > SEEDS * 2, `only ${fromEngines} answers came from engines: nothing was tested`);
  assert.ok(storedTurns > SEEDS * 2, `only ${storedTurns} turns were kept: memory was not tested`);
  assert.ok(costMicroUsd > SEEDS * 100, `all of it cost ${costMicroUsd} micro-dollars: money was not tested`);
  assert.ok(
    fromAdapters > SEEDS / 2,
    `only ${fromAdapters} answers came from adapters: they were not tested`,
  );
  assert.ok(unspoken > SEEDS, `only ${unspoken} lines were left to another NPC: crowds were not tested`);
  assert.ok(swaps > SEEDS / 20, `only ${swaps} adapters were swapped`);
  assert.deepEqual(kinds, new Set(world.kinds), 'a driver was never heard');
});

test('the same seed is the same story, event by event', async () => {
  for (const seed of [3, 7, 11, 19]) {
    const first = await simulate(seed, { world, onLine: null });
    const lines: string[] = [];
    // Reading the trace along must not change it.
    const second = await simulate(seed, { world, onLine: (line) => lines.push(line) });
    assert.equal(first.digest, second.digest, `seed ${seed} differs from itself`);
    assert.equal(lines.length, second.figures.events);
  }
});

test('another seed is another story, and every kind of fault comes about', async () => {
  const { cast, kinds } = world;
  const digests = new Set<string>();
  for (const seed of [1, 2, 3, 4]) digests.add((await simulate(seed, { world, onLine: null })).digest);
  assert.equal(digests.size, 4);
  const met = new Set<string>();
  for (let seed = 1; seed <= 300; seed++) {
    const { engines, storeTrouble } = chooseScenario({ seed, cast, kinds, length: 1 });
    for (const { odds } of [...engines, storeTrouble]) for (const fault of Object.keys(odds)) met.add(fault);
  }
  const all = [...LINK_FAULTS, ...REFUSAL_FAULTS, ...STREAM_FAULTS, ...SPEECH_FAULTS, ...STORE_FAULTS];
  assert.deepEqual(
    all.filter((fault) => !met.has(fault)),
    [],
  );
});

for (const mutant of MUTANTS)
  test(`a service that ${mutant.what} is caught by "${mutant.rule}"`, async () => {
    for (let seed = 1; seed <= MUTANT_SEEDS_MAX; seed++) {
      const { violations } = await simulate(seed, { world, onLine: null, tampering: mutant.tampering() });
      if (violations.some(({ rule }) => rule === mutant.rule)) return;
    }
    assert.fail(`${MUTANT_SEEDS_MAX} seeds saw nothing`);
  });
