/** What a studio writes wrongly is told with the key, the value, what was expected and what to change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { readPlan } from './options.ts';

function faultsOf(values: unknown): string {
  try {
    readPlan(values, 'plan.yaml');
  } catch (error) {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, 'config_invalid');
    return error.message;
  }
  return assert.fail('was taken');
}

test('an empty file is the game that the project was first asked for', () => {
  const { workload, engineClass, cloud } = readPlan({}, 'plan.yaml');
  assert.equal(workload.players, 1_000);
  assert.deepEqual(workload.tierShares, { 1: 0.6, 2: 0.25, 3: 0.1, 4: 0.05 });
  assert.equal(engineClass.name, 'l4');
  assert.equal(cloud, null);
});

test('every wrong value is told at once', () => {
  const faults = faultsOf({ players: 0, burstFactor: 'much', hoursPerDay: 25, playrs: 3 });
  assert.match(faults, /players: is 0; expected/);
  assert.match(faults, /burstFactor: is "much"; expected number/);
  assert.match(faults, /hoursPerDay: is 25; expected/);
  assert.match(faults, /playrs: no such key/);
});

test('shares that do not add up say what they should', () => {
  assert.match(
    faultsOf({ tierShares: { 1: 60, 2: 25, 3: 10, 4: 50 } }),
    /tierShares: is \{.*\}; expected shares of tiers 1 to 4 that add up to 100/,
  );
});

test('an engine class without a row is refused with the ones that have one, and why it has none', () => {
  const faults = faultsOf({ engine: 'h100' });
  assert.match(faults, /engine: is "h100"; expected one of laptop-cpu, l4, rtx-4090, a100-40/);
  assert.match(faults, /h100: the curves that were found do not say their prompt length/);
});

test('figures of one’s own stand in for a class, with their price and their source', () => {
  const { engineClass } = readPlan(
    {
      engine: {
        name: 'our-l40s',
        pace: { prefillMsPerToken: 0.1, stepMs: 15, stepMsPerSequence: 0.1, prefixTokens: 200_000 },
        maxInFlight: 24,
        source: 'vllm bench serve, 2026-11-20',
      },
      usdPerEngineHour: 1.4,
    },
    'plan.yaml',
  );
  assert.equal(engineClass.pace.sequencesMax, 256);
  assert.equal(engineClass.usdPerHour, 1.4);
  assert.equal(engineClass.paceSource, 'vllm bench serve, 2026-11-20');
});
