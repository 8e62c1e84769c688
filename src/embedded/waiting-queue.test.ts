import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { WaitingQueue } from './waiting-queue.ts';

describe('WaitingQueue', () => {
  it('takes lower priorities first, and within one who came first', () => {
    const queue = new WaitingQueue<string>({ limit: 9, overtakesMax: 9 });
    for (const [name, priority] of [
      ['bark', 10],
      ['first', 0],
      ['second', 0],
      ['boss', -1],
    ] as const)
      assert.equal(queue.push(name, priority), true);
    assert.deepEqual(
      Array.from({ length: 4 }, () => queue.take()),
      ['boss', 'first', 'second', 'bark'],
    );
    assert.equal(queue.take(), undefined);
  });

  it('takes the cheapest of one priority, the oldest of equals, and a dear one before a lower priority', () => {
    const queue = new WaitingQueue<{ name: string; cost: number }>({ limit: 9, overtakesMax: 9 });
    for (const [name, cost, priority] of [
      ['bark', 0, 10],
      ['dear', 9, 0],
      ['cheap', 2, 0],
      ['as cheap', 2, 0],
    ] as const)
      queue.push({ name, cost }, priority);
    assert.deepEqual(
      Array.from({ length: 4 }, () => queue.take(({ cost }) => cost)?.name),
      ['cheap', 'as cheap', 'dear', 'bark'],
    );
  });

  it('takes no more than its limit', () => {
    const queue = new WaitingQueue<number>({ limit: 2, overtakesMax: 1 });
    assert.deepEqual(
      [1, 2, 3].map((value) => queue.push(value, 0)),
      [true, true, false],
    );
    assert.equal(queue.remove(1), true);
    assert.equal(queue.remove(1), false);
    assert.equal(queue.push(3, 0), true);
    assert.deepEqual(queue.drain(), [2, 3]);
    assert.equal(queue.size, 0);
  });

  it('lets nobody starve, whatever keeps coming', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 20 }),
        (overtakesMax, priorities) => {
          const costOf = (name: string) => (name === 'patient' ? 1_000 : name.length);
          const queue = new WaitingQueue<string>({ limit: 1_000, overtakesMax });
          queue.push('patient', 99);
          let turns = 0;
          for (const [index, priority] of priorities.entries()) {
            queue.push(`eager ${index}`, priority);
            turns += 1;
            if (queue.take(costOf) === 'patient') break;
          }
          assert.ok(turns <= overtakesMax + 1, `${turns} turns`);
        },
      ),
    );
  });
});
