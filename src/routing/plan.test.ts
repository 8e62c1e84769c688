import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CAUSES, type Cause } from '../core/dialogue.ts';
import { createWritten } from '../engines/written.ts';
import { Admission } from './admission.ts';
import { type EngineEntry, planAttempts } from './plan.ts';
import { tiersSchema } from './tiers.ts';

function entry(name: string, unusable: Cause | null = null): EngineEntry {
  return {
    engine: { ...createWritten(() => ({ id: 'x', text: 'Hm.' })), name },
    model: 'm',
    modelVersion: null,
    admission: new Admission({ engine: name, maxInFlight: 1, maxQueued: 1 }),
    unusable: () => unusable,
  };
}

const engines = (...entries: readonly EngineEntry[]) =>
  new Map(entries.map((each) => [each.engine.name, each] as const));

const policy = (rungs: readonly string[]) => ({ ...tiersSchema.parse({})['2'], rungs: [...rungs] });

test('engines that can be used are tried in the order of the tier, written lines below them', () => {
  const plan = planAttempts(
    policy(['gpu', 'local', 'cloud']),
    engines(entry('cloud'), entry('gpu'), entry('local')),
  );
  assert.deepEqual(
    plan.attempts.map(({ entry: { engine }, rung }) => [rung, engine.name]),
    [
      [0, 'gpu'],
      [1, 'local'],
      [2, 'cloud'],
    ],
  );
  assert.equal(plan.writtenRung, 3);
  assert.equal(plan.cause, null);
});

test('a rung that cannot be used is left out, keeps its number, and says why', () => {
  const plan = planAttempts(policy(['gpu', 'local']), engines(entry('gpu', 'offline'), entry('local')));
  assert.deepEqual(
    plan.attempts.map(({ rung }) => rung),
    [1],
  );
  assert.equal(plan.cause, 'offline');
  assert.equal(plan.writtenRung, 2);
});

test('the cause is that of the highest rung left out', () => {
  const all = engines(entry('a', 'budget'), entry('b', 'offline'));
  assert.equal(planAttempts(policy(['a', 'b']), all).cause, 'budget');
  assert.equal(planAttempts(policy(['b', 'a']), all).cause, 'offline');
});

test('an engine that does not exist is disabled; a tier of no engines has written lines only', () => {
  assert.deepEqual(planAttempts(policy(['nobody']), engines()), {
    attempts: [],
    writtenRung: 1,
    cause: 'disabled',
  });
  assert.deepEqual(planAttempts(policy([]), engines(entry('local'))), {
    attempts: [],
    writtenRung: 0,
    cause: null,
  });
});

test('whatever can be used: rungs rise, each is usable, and there is a cause exactly when one was left out', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  fc.assert(
    fc.property(
      fc.shuffledSubarray(names),
      fc.array(fc.option(fc.constantFrom(...CAUSES)), { minLength: 5, maxLength: 5 }),
      (rungs, states) => {
        const all = engines(...names.map((name, index) => entry(name, states[index] ?? null)));
        const plan = planAttempts(policy(rungs), all);
        const usable = rungs.filter((name) => all.get(name)?.unusable() === null);
        assert.deepEqual(
          plan.attempts.map((attempt) => attempt.entry.engine.name),
          usable,
        );
        for (const { rung, entry: found } of plan.attempts) assert.equal(rungs[rung], found.engine.name);
        assert.equal(plan.cause === null, usable.length === rungs.length);
        assert.equal(plan.writtenRung, rungs.length);
      },
    ),
  );
});
