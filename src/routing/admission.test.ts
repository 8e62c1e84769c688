import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../core/errors.ts';
import { Admission } from './admission.ts';

const never = new AbortController().signal;

test('places are given up to the limit, then in the order of asking', async () => {
  const admission = new Admission({ engine: 'local', maxInFlight: 1, maxQueued: 4 });
  const first = await admission.acquire('interactive', never);
  const order: string[] = [];
  const second = admission.acquire('interactive', never).then((place) => {
    order.push('second');
    return place;
  });
  const third = admission.acquire('interactive', never).then((place) => {
    order.push('third');
    return place;
  });
  assert.equal(admission.waiting, 2);
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.deepEqual(order, ['second', 'third']);
  assert.equal(admission.running, 0);
});

test('a full queue refuses at once and names the limit', async () => {
  const admission = new Admission({ engine: 'local', maxInFlight: 1, maxQueued: 0 });
  await admission.acquire('interactive', never);
  await assert.rejects(
    admission.acquire('interactive', never),
    (error) =>
      error instanceof ServiceError && error.code === 'overloaded' && /limit is 0/.test(error.message),
  );
});

test('who stops waiting leaves the queue and never holds a place', async () => {
  const admission = new Admission({ engine: 'local', maxInFlight: 1, maxQueued: 4 });
  const first = await admission.acquire('interactive', never);
  const controller = new AbortController();
  const waiting = admission.acquire('interactive', controller.signal);
  controller.abort(new Error('gone'));
  await assert.rejects(waiting, /gone/);
  first[Symbol.dispose]();
  assert.equal(admission.waiting, 0);
  assert.equal(admission.running, 0);
});

test('interactive goes before ambient, and ambient does not starve', async () => {
  const admission = new Admission({ engine: 'local', maxInFlight: 1, maxQueued: 64 });
  const first = await admission.acquire('interactive', never);
  const order: string[] = [];
  const all = [...Array(20)].map((_, index) =>
    admission.acquire(index === 0 ? 'ambient' : 'interactive', never).then((place) => {
      order.push(index === 0 ? 'ambient' : 'interactive');
      place[Symbol.dispose]();
    }),
  );
  first[Symbol.dispose]();
  await Promise.all(all);
  assert.equal(order.indexOf('ambient'), 8);
});

test('whatever the order of asking, leaving and giving back, running never exceeds the limit and ends at zero', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('ask', 'leave', 'release'), { maxLength: 60 }),
      async (steps) => {
        const admission = new Admission({ engine: 'x', maxInFlight: 3, maxQueued: 5 });
        const held: Disposable[] = [];
        const controllers: AbortController[] = [];
        for (const step of steps) {
          if (step === 'ask') {
            const controller = new AbortController();
            controllers.push(controller);
            admission.acquire('interactive', controller.signal).then(
              (place) => held.push(place),
              () => {},
            );
          } else if (step === 'leave') controllers.shift()?.abort(new Error('left'));
          else held.shift()?.[Symbol.dispose]();
          await Promise.resolve();
          assert.ok(admission.running <= 3 && admission.waiting <= 5);
        }
        for (const controller of controllers) controller.abort(new Error('end'));
        await new Promise(setImmediate);
        while (held.length > 0) {
          held.shift()?.[Symbol.dispose]();
          await new Promise(setImmediate);
        }
        assert.equal(admission.running, 0);
        assert.equal(admission.waiting, 0);
      },
    ),
    { numRuns: 60 },
  );
});
