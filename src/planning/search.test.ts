/** The smallest number that holds is found, in few trials, wherever the guess begins. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { smallestThatHolds } from './search.ts';

test('the smallest is found from any guess, and no number is tried twice', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 300 }),
      fc.double({ min: 0, max: 400, noNaN: true }),
      async (smallest, guess) => {
        const tried: number[] = [];
        const found = await smallestThatHolds(guess, 300, async (count) => {
          tried.push(count);
          return { holds: count >= smallest, result: `of ${count}` };
        });
        assert.deepEqual(found, { count: smallest, holds: true, result: `of ${smallest}` });
        assert.equal(new Set(tried).size, tried.length);
        assert.ok(tried.length <= 26, `${tried.length} trials: ${tried.join(', ')}`);
      },
    ),
  );
});

test('when none holds, the most that may be tried is what is told', async () => {
  const found = await smallestThatHolds(3, 20, async (count) => ({ holds: false, result: count }));
  assert.deepEqual(found, { count: 20, holds: false, result: 20 });
});

test('a search that is hopeless ends where that was seen', async () => {
  const tried: number[] = [];
  const found = await smallestThatHolds(4, 100, async (count) => {
    tried.push(count);
    return { holds: false, isHopeless: count >= 6, result: count };
  });
  assert.equal(found.count, 6);
  assert.deepEqual(tried, [4, 6]);
});
