import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Priority } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import {
  Admission,
  type AdmissionAsk,
  type AdmissionOptions,
  INTERACTIVE_RUN_MAX,
  type Place,
  tokenCost,
} from './admission.ts';
import { PASSED_OVER_MAX } from './queue-order.ts';

const never = new AbortController().signal;

function ask(changes: Partial<AdmissionAsk> = {}): AdmissionAsk {
  return {
    wantedByMonoMs: 60_000,
    priority: 'interactive',
    player: null,
    source: 'local',
    promptTokens: 100,
    maxTokens: 50,
    deadlineMonoMs: Number.POSITIVE_INFINITY,
    ...changes,
  };
}

function start(options: Partial<AdmissionOptions> = {}) {
  const clock = new ManualClock();
  const admission = new Admission(
    { engine: 'local', maxInFlight: 1, maxPromptTokens: null, maxQueued: 64, ...options },
    { clock },
  );
  return { clock, admission };
}

const overloaded = (pattern: RegExp) => (error: unknown) =>
  error instanceof ServiceError &&
  error.code === 'overloaded' &&
  error.details['queue'] === 'ours' &&
  pattern.test(error.message);

/** Lets promises that are settled already be heard. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Asks for all of these, then serves one after the other; the order by label. */
async function orderOf(admission: Admission, asks: readonly (readonly [string, AdmissionAsk])[]) {
  const first = await admission.acquire(ask(), never);
  const order: string[] = [];
  const all = asks.map(([label, each]) =>
    admission.acquire(each, never).then((place) => {
      order.push(label);
      place[Symbol.dispose]();
    }),
  );
  first[Symbol.dispose]();
  await Promise.all(all);
  return order;
}

test('places are given up to the limit, then in the order of asking', async () => {
  const { admission, clock } = start();
  const first = await admission.acquire(ask(), never);
  assert.equal(first.waitedMs, 0);
  const second = admission.acquire(ask(), never);
  const third = admission.acquire(ask(), never);
  assert.equal(admission.waiting, 2);
  clock.advance(40);
  first[Symbol.dispose]();
  const place = await second;
  assert.equal(place.waitedMs, 40);
  assert.equal(admission.waiting, 1);
  place[Symbol.dispose]();
  place[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.equal(admission.running, 0);
  assert.equal(admission.runningPromptTokens, 0);
});

test('while lines come late fewer run at once, the others wait, and early ones bring the places back', async () => {
  const { admission, clock } = start({ maxInFlight: 4 });
  const all = await Promise.all(Array.from({ length: 4 }, () => admission.acquire(ask(), never)));
  const next = Array.from({ length: 4 }, () => admission.acquire(ask(), never));
  for (const place of all) place.late();
  for (const place of all) place[Symbol.dispose]();
  await settle();
  assert.deepEqual([admission.places, admission.running, admission.waiting], [2, 2, 2]);
  assert.ok(admission.predictedWaitMs('interactive') >= 0);
  for (const waiting of next) {
    const place = await waiting;
    clock.advance(10);
    place.spoke();
    place.spoke();
    place[Symbol.dispose]();
  }
  assert.equal(admission.running, 0);
  for (let line = 0; line < 20; line++) {
    const places = await Promise.all(
      Array.from({ length: admission.places }, () => admission.acquire(ask(), never)),
    );
    for (const place of places) place.spoke();
    for (const place of places) place[Symbol.dispose]();
  }
  assert.equal(admission.places, 4);
});

test('behind its first sentence a line keeps no other from beginning, up to the most at once', async () => {
  const { admission, clock } = start({ maxInFlight: 4 });
  const late = await Promise.all(Array.from({ length: 4 }, () => admission.acquire(ask(), never)));
  clock.advance(100);
  for (const place of late) place.late();
  for (const place of late) place[Symbol.dispose]();
  const places: Place[] = [];
  for (let line = 0; line < 6; line++)
    void admission.acquire(ask(), never).then((place) => places.push(place));
  await settle();
  assert.deepEqual([admission.places, places.length, admission.running], [2, 2, 2]);
  clock.advance(100);
  for (const place of [...places]) place.spoke();
  await settle();
  assert.equal(admission.running, 4);
  clock.advance(100);
  for (const place of [...places]) place.spoke();
  await settle();
  assert.equal(admission.running, 4, 'more than the configuration allows never run');
  assert.equal(admission.predictedWaitMs('interactive') > 0, true);
  for (let at = 0; at < places.length; at++) {
    places[at]?.[Symbol.dispose]();
    await settle();
  }
  assert.deepEqual([places.length, admission.running, admission.waiting], [6, 0, 0]);
});

test('work that nobody listens to keeps no line from beginning, and is none that comes late', async () => {
  const { admission } = start({ maxInFlight: 4 });
  const { wantedByMonoMs: _none, ...quest } = ask({ priority: 'ambient' });
  using first = await admission.acquire(quest, never);
  first.late();
  assert.equal(admission.places, 4);
  const late = await admission.acquire(ask(), never);
  late.late();
  late[Symbol.dispose]();
  assert.equal(admission.places, 1);
  using _second = await admission.acquire(quest, never);
  using line = await admission.acquire(ask(), never);
  assert.deepEqual([line.waitedMs, admission.running, admission.waiting], [0, 3, 0]);
});

test('a full queue refuses at once and names the limit', async () => {
  const { admission } = start({ maxQueued: 0 });
  await admission.acquire(ask(), never);
  await assert.rejects(
    admission.acquire(ask(), never),
    overloaded(/limit is 0 \(engines\.local\.maxQueued\)/),
  );
});

test('who stops waiting leaves the queue and never holds a place', async () => {
  const { admission, clock } = start();
  const first = await admission.acquire(ask(), never);
  const controller = new AbortController();
  const waiting = admission.acquire(ask({ deadlineMonoMs: 5_000 }), controller.signal);
  assert.equal(clock.waiting, 1);
  controller.abort(new Error('gone'));
  await assert.rejects(waiting, /gone/);
  first[Symbol.dispose]();
  assert.deepEqual([admission.waiting, admission.running, clock.waiting], [0, 0, 0]);
  await assert.rejects(admission.acquire(ask(), controller.signal), /gone/);
});

test('prompt tokens in flight stay under their limit, and a large prompt is not overtaken for ever', async () => {
  const { admission } = start({ maxInFlight: 8, maxPromptTokens: 1_000 });
  const held = [
    await admission.acquire(ask({ promptTokens: 600 }), never),
    await admission.acquire(ask({ promptTokens: 300 }), never),
  ];
  const large = admission.acquire(ask({ promptTokens: 900 }), never);
  let overtaken = 0;
  const small = [...Array(PASSED_OVER_MAX + 5)].map(() =>
    admission.acquire(ask({ promptTokens: 100 }), never).then((place) => {
      overtaken += 1;
      place[Symbol.dispose]();
    }),
  );
  await settle();
  assert.deepEqual([admission.running, overtaken], [2, 0], 'nobody has gone ahead of those that asked first');
  held[0]?.[Symbol.dispose]();
  await settle();
  assert.equal(overtaken, PASSED_OVER_MAX);
  assert.equal(admission.running, 1, 'the small ones wait behind the large one although they would fit');
  held[1]?.[Symbol.dispose]();
  (await large)[Symbol.dispose]();
  await Promise.all(small);
  assert.equal(admission.runningPromptTokens, 0);
});

test('of what waits, the shortest expected prefill goes first: what is cached is not read again', async () => {
  const { admission } = start();
  assert.deepEqual(
    await orderOf(admission, [
      ['cold', ask({ promptTokens: 900 })],
      ['short', ask({ promptTokens: 300 })],
      ['warm', ask({ promptTokens: 1_500, expectedPrefillTokens: 80 })],
    ]),
    ['warm', 'short', 'cold'],
  );
});

test('a large prompt waits half of its time at most for shorter ones, then it goes next', async () => {
  const { admission, clock } = start();
  const first = await admission.acquire(ask(), never);
  const order: string[] = [];
  const serve = (label: string, each: AdmissionAsk) =>
    admission.acquire(each, never).then((place) => {
      order.push(label);
      return place;
    });
  const long = serve('long', ask({ player: 'a', promptTokens: 900, deadlineMonoMs: 1_000 }));
  clock.advance(500);
  const short = serve('short', ask({ player: 'b', promptTokens: 10, deadlineMonoMs: 1_500 }));
  first[Symbol.dispose]();
  (await long)[Symbol.dispose]();
  (await short)[Symbol.dispose]();
  assert.deepEqual(order, ['long', 'short']);
});

test('when the one that did not fit leaves, those behind it go on', async () => {
  const { admission } = start({ maxInFlight: 8, maxPromptTokens: 1_000 });
  await admission.acquire(ask({ promptTokens: 600 }), never);
  const controller = new AbortController();
  const large = admission.acquire(ask({ promptTokens: 900 }), controller.signal);
  const small = admission.acquire(ask({ promptTokens: 100 }), never);
  controller.abort(new Error('gone'));
  await assert.rejects(large, /gone/);
  assert.equal((await small).waitedMs, 0);
});

test('a prompt over the token limit is refused by its size, not by the load', async () => {
  const { admission } = start({ maxPromptTokens: 1_000 });
  await assert.rejects(
    admission.acquire(ask({ promptTokens: 1_001 }), never),
    (error) =>
      error instanceof ServiceError && error.code === 'context_length_exceeded' && /1001/.test(error.message),
  );
});

test('interactive goes before ambient, and ambient does not starve', async () => {
  const { admission } = start();
  const order = await orderOf(
    admission,
    [...Array(20).keys()].map((index) => {
      const priority = index === 0 ? 'ambient' : 'interactive';
      return [priority, ask({ priority })] as const;
    }),
  );
  assert.equal(order.indexOf('ambient'), INTERACTIVE_RUN_MAX);
});

test('the earliest deadline goes first', async () => {
  const { admission } = start();
  const late = ask({ player: 'late', deadlineMonoMs: 900 });
  const early = ask({ player: 'early', deadlineMonoMs: 500 });
  assert.deepEqual(
    await orderOf(admission, [
      ['late', late],
      ['early', early],
    ]),
    ['early', 'late'],
  );
});

test('a flood of one game server does not keep another one out of the queue', async () => {
  const { admission } = start({ maxQueued: 8 });
  await admission.acquire(ask({ source: 'flood' }), never);
  const flood = [...Array(8)].map(() => admission.acquire(ask({ source: 'flood' }), never));
  const outcomes = Promise.allSettled(flood);
  const other = admission.acquire(ask({ source: 'other' }), never);
  assert.equal(admission.waiting, 8);
  await assert.rejects(flood.at(-1) ?? other, overloaded(/full/));
  await assert.rejects(admission.acquire(ask({ source: 'flood' }), never), overloaded(/full/));
  void outcomes;
  void other;
});

test('background chatter makes room for a player when the queue is full', async () => {
  const { admission } = start({ maxQueued: 1 });
  const first = await admission.acquire(ask(), never);
  const ambient = admission.acquire(ask({ priority: 'ambient' }), never);
  assert.deepEqual([admission.waitingOf('interactive'), admission.waitingOf('ambient')], [0, 1]);
  const interactive = admission.acquire(ask(), never);
  await assert.rejects(ambient, overloaded(/full/));
  assert.deepEqual([admission.waitingOf('interactive'), admission.waitingOf('ambient')], [1, 0]);
  await assert.rejects(admission.acquire(ask({ priority: 'ambient' }), never), overloaded(/full/));
  first[Symbol.dispose]();
  (await interactive)[Symbol.dispose]();
});

test('a wait that cannot make the deadline is refused at once, once it is known how long places are held', async () => {
  const { admission, clock } = start();
  const first = await admission.acquire(ask(), never);
  clock.advance(1_000);
  first[Symbol.dispose]();
  const second = await admission.acquire(ask(), never);
  const nowMs = clock.monotonicMs();
  await assert.rejects(
    admission.acquire(ask({ deadlineMonoMs: nowMs + 900 }), never),
    overloaded(/would be about 1000 ms, and 900 ms are left/),
  );
  const waits = admission.acquire(ask({ deadlineMonoMs: nowMs + 600, patience: 2 }), never);
  await assert.rejects(
    admission.acquire(ask({ deadlineMonoMs: nowMs + 900, patience: 2 }), never),
    overloaded(/would be about 2000 ms, and 900 ms are left/),
  );
  await assert.rejects(
    admission.acquire(ask({ deadlineMonoMs: nowMs + 1_900 }), never),
    overloaded(/about 2000 ms/),
    'the one that waits already stands before it',
  );
  assert.equal(admission.predictedWaitMs('interactive'), 2_000);
  second[Symbol.dispose]();
  (await waits)[Symbol.dispose]();
  assert.equal(admission.predictedWaitMs('interactive'), 0);
});

test('a small request that is held for long does not make the wait for the others look endless', async () => {
  const { admission, clock } = start();
  for (let line = 0; line < 20; line++) {
    const place = await admission.acquire(ask({ promptTokens: line % 10 === 9 ? 0 : 1_000 }), never);
    clock.advance(line % 10 === 9 ? 3_000 : 500);
    place[Symbol.dispose]();
  }
  const last = await admission.acquire(ask({ promptTokens: 1_000 }), never);
  const waitMs = admission.predictedWaitMs('interactive');
  assert.ok(waitMs > 400 && waitMs < 2_000, `${waitMs} ms`);
  last[Symbol.dispose]();
});

test('a flood of one game server predicts no long wait for the others, only for itself', async () => {
  const { admission, clock } = start();
  const first = await admission.acquire(ask(), never);
  clock.advance(1_000);
  first[Symbol.dispose]();
  await admission.acquire(ask({ source: 'flood' }), never);
  const flood = [...Array(20)].map(() => admission.acquire(ask({ source: 'flood' }), never));
  assert.equal(admission.predictedWaitMs('interactive'), 2_000);
  const deadlineMonoMs = clock.monotonicMs() + 5_000;
  await assert.rejects(
    admission.acquire(ask({ source: 'flood', deadlineMonoMs }), never),
    overloaded(/about 21000 ms/),
  );
  const other = admission.acquire(ask({ source: 'other', deadlineMonoMs }), never);
  assert.equal(admission.waiting, 21);
  void flood;
  void other;
});

test('a free place is given however slow the engine was: else nothing would ever be learned again', async () => {
  const { admission, clock } = start();
  const slow = await admission.acquire(ask(), never);
  clock.advance(60_000);
  slow[Symbol.dispose]();
  const place = await admission.acquire(ask({ deadlineMonoMs: clock.monotonicMs() + 10 }), never);
  place[Symbol.dispose]();
});

test('who still waits when the deadline comes is refused then', async () => {
  const { admission, clock } = start();
  const first = await admission.acquire(ask(), never);
  const waiting = admission.acquire(ask({ deadlineMonoMs: 500 }), never);
  const refused = assert.rejects(waiting, overloaded(/no place at engine local within 500 ms/));
  clock.advance(500);
  await refused;
  assert.equal(admission.waiting, 0);
  first[Symbol.dispose]();
  assert.equal(admission.running, 0);
});

test('a waiter whose deadline has passed gets no place, also when its timer is late', async () => {
  let nowMs = 0;
  const admission = new Admission(
    { engine: 'local', maxInFlight: 1, maxPromptTokens: null, maxQueued: 8 },
    { clock: { monotonicMs: () => nowMs, timer: () => ({ [Symbol.dispose]: () => {} }) } },
  );
  const first = await admission.acquire(ask(), never);
  const expired = admission.acquire(ask({ deadlineMonoMs: 100 }), never);
  const patient = admission.acquire(ask({ deadlineMonoMs: 900 }), never);
  nowMs = 101;
  first[Symbol.dispose]();
  await assert.rejects(expired, overloaded(/no place/));
  assert.equal((await patient).waitedMs, 101);
});

test('places that were given back are no debt when others begin to wait', async () => {
  const { admission } = start({ maxInFlight: 2 });
  const early = [
    await admission.acquire(ask({ source: 'early' }), never),
    await admission.acquire(ask({ source: 'early' }), never),
  ];
  for (const place of early) place[Symbol.dispose]();
  using _other = await admission.acquire(ask({ source: 'other' }), never);
  const order = await orderOf(admission, [
    ['other', ask({ source: 'other' })],
    ['early', ask({ source: 'early' })],
  ]);
  assert.deepEqual(order, ['early', 'other']);
});

interface Step {
  readonly kind: 'ask' | 'leave' | 'release' | 'pass';
  readonly priority: Priority;
  readonly source: string;
  readonly player: string;
  readonly promptTokens: number;
  readonly deadlineInMs: number;
  readonly at: number;
}

const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('ask', 'ask', 'leave', 'release', 'pass'),
  priority: fc.constantFrom('interactive', 'ambient'),
  source: fc.constantFrom('a', 'b'),
  player: fc.constantFrom('x', 'y', 'z'),
  promptTokens: fc.integer({ min: 0, max: 120 }),
  deadlineInMs: fc.constantFrom(5, 50, 500, Number.POSITIVE_INFINITY),
  at: fc.nat(30),
});

test('whatever is asked, left and given back: no limit is passed, every waiter ends exactly once, nothing is left over', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 80 }), async (steps) => {
      const limits = { maxInFlight: 3, maxPromptTokens: 200, maxQueued: 5 };
      const { admission, clock } = start(limits);
      const held: Place[] = [];
      const open = new Map<number, AbortController>();
      const ends = new Map<number, number>();
      let asked = 0;
      for (const { kind, at, deadlineInMs, ...rest } of steps) {
        if (kind === 'ask') {
          const id = asked++;
          const controller = new AbortController();
          open.set(id, controller);
          const end = () => {
            ends.set(id, (ends.get(id) ?? 0) + 1);
            open.delete(id);
          };
          admission
            .acquire(
              { ...rest, maxTokens: 10, deadlineMonoMs: clock.monotonicMs() + deadlineInMs },
              controller.signal,
            )
            .then((place) => {
              end();
              held.push(place);
            }, end);
        } else if (kind === 'leave') [...open.values()][at]?.abort(new Error('left'));
        else if (kind === 'release') held.splice(at % Math.max(1, held.length), 1)[0]?.[Symbol.dispose]();
        else clock.advance(at * 3);
        assert.ok(admission.running <= limits.maxInFlight && admission.waiting <= limits.maxQueued);
        assert.ok(admission.runningPromptTokens <= limits.maxPromptTokens);
        await settle();
      }
      for (let round = 0; admission.running + admission.waiting > 0; round++) {
        assert.ok(round <= asked, 'places are passed on until nobody waits');
        for (const place of held.splice(0)) place[Symbol.dispose]();
        await settle();
      }
      for (const place of held.splice(0)) place[Symbol.dispose]();
      assert.equal(ends.size, asked);
      for (const count of ends.values()) assert.equal(count, 1);
      assert.deepEqual([admission.running, admission.runningPromptTokens, clock.waiting], [0, 0, 0]);
    }),
    { numRuns: 150 },
  );
});

test('two game servers with equal demand and requests of different size get shares within 1.5 of each other', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 20, max: 900 }),
      fc.integer({ min: 20, max: 900 }),
      fc.integer({ min: 1, max: 8 }),
      async (tokensA, tokensB, maxInFlight) => {
        const { admission } = start({ maxInFlight, maxQueued: 64 });
        const served: Record<string, number> = { a: 0, b: 0 };
        const held: Place[] = [];
        const demand = (source: 'a' | 'b', promptTokens: number) => {
          const mine = ask({ source, promptTokens });
          void admission.acquire(mine, never).then((place) => {
            served[source] = (served[source] ?? 0) + tokenCost(mine);
            held.push(place);
            // It never stops asking, so it waits all along.
            if (!isOver) demand(source, promptTokens);
          });
        };
        let isOver = false;
        for (let i = 0; i < 12; i++) {
          demand('a', tokensA);
          demand('b', tokensB);
        }
        for (let round = 0; round < 400; round++) {
          await Promise.resolve();
          await Promise.resolve();
          held.shift()?.[Symbol.dispose]();
        }
        isOver = true;
        const ratio = (served['a'] ?? 0) / (served['b'] ?? 1);
        assert.ok(ratio < 1.5 && ratio > 1 / 1.5, `${served['a']} and ${served['b']} tokens`);
      },
    ),
    { numRuns: 25 },
  );
});
