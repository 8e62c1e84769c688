import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AdapterTurns, OVERTAKES_MAX, TURN_PASSES_MAX } from './adapter-turns.ts';

const ADAPTERS = 8;

/** Who was served in `passes` passes of `durationMs` each, with the same adapters live. */
function served(turns: AdapterTurns, live: Iterable<number>, passes: number, durationMs: number): number[] {
  return Array.from({ length: passes }, () => {
    const chosen = turns.choose(new Set(live));
    turns.observe(durationMs);
    return chosen;
  });
}

describe('AdapterTurns', () => {
  it('lets one alone go on for ever', () => {
    assert.deepEqual(new Set(served(new AdapterTurns(), [3], 100, 10)), new Set([3]));
  });

  it('keeps an adapter for some short passes and changes after each long one', () => {
    assert.deepEqual(served(new AdapterTurns(), [0, 5], 10, 15), [0, 0, 0, 0, 5, 5, 5, 5, 0, 0]);
    assert.deepEqual(served(new AdapterTurns(), [0, 5, 7], 6, 90), [0, 5, 7, 0, 5, 7]);
    assert.deepEqual(
      served(new AdapterTurns(), [0, 5], 2 * TURN_PASSES_MAX, 0),
      [0, 5].flatMap((adapter) => new Array<number>(TURN_PASSES_MAX).fill(adapter)),
    );
  });

  it('gives who comes the next turn, but does not let newcomers starve who waits', () => {
    const turns = new AdapterTurns();
    assert.deepEqual(served(turns, [1, 2, 3], 2, 100), [1, 2]);
    assert.deepEqual(served(turns, [1, 2, 3, 4], 1, 100), [3], 'it has not had a turn yet either');
    assert.deepEqual(served(turns, [1, 2, 3, 4], 1, 100), [4]);
    assert.deepEqual(served(turns, [1, 2, 3, 4, 5], 1, 100), [5]);
    assert.deepEqual(served(turns, [1, 2, 3, 4, 5, 6], 1, 100), [1], 'two went before it');
  });

  it('serves everybody who waits within the bound, whoever comes and goes', () => {
    const step = fc.record({
      live: fc.uniqueArray(fc.nat(ADAPTERS - 1), { minLength: 1, maxLength: ADAPTERS }),
      // Often the same ones go on, as lines do.
      holds: fc.integer({ min: 1, max: 12 }),
      durationMs: fc.integer({ min: 0, max: 60 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(ADAPTERS - 1), (steps, patient) => {
        const turns = new AdapterTurns();
        let passes = 0;
        let turnsOfOthers = 0;
        let last: number | null = null;
        for (const { live, holds, durationMs } of steps)
          for (let pass = 0; pass < holds; pass++) {
            const everyone = new Set([...live, patient]);
            const chosen = turns.choose(everyone);
            turns.observe(durationMs);
            assert.ok(everyone.has(chosen));
            if (chosen === patient) [passes, turnsOfOthers] = [0, 0];
            else {
              passes += 1;
              if (chosen !== last) turnsOfOthers += 1;
            }
            last = chosen;
            assert.ok(turnsOfOthers <= ADAPTERS - 1 + OVERTAKES_MAX, `${turnsOfOthers} turns of others`);
            assert.ok(passes <= (ADAPTERS - 1 + OVERTAKES_MAX) * TURN_PASSES_MAX, `${passes} passes`);
          }
      }),
      { numRuns: 300 },
    );
  });
});
