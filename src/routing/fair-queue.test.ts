import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FairQueue, type QueueEntry } from './fair-queue.ts';
import { PASSED_OVER_MAX } from './queue-order.ts';

function entry(
  source: string,
  player: string,
  cost: number,
  deadlineMonoMs = Number.POSITIVE_INFINITY,
): QueueEntry<string> {
  return {
    source,
    player,
    cost,
    prefillTokens: 0,
    askedMonoMs: 0,
    deadlineMonoMs,
    value: `${source}/${player}`,
  };
}

/** Serves everything one after the other; the order by value. */
function drain(queue: FairQueue<string>): string[] {
  const order: string[] = [];
  for (let next = queue.take(0); next !== null; next = queue.take(0)) {
    order.push(next.value);
    queue.release(next);
  }
  return order;
}

test('two sources take turns by what they cost, not by how often they ask', () => {
  const queue = new FairQueue<string>(0);
  for (let i = 0; i < 2; i++) queue.push(entry('large', 'p', 100));
  for (let i = 0; i < 8; i++) queue.push(entry('small', 'p', 25));
  const order = drain(queue).map((value) => value.split('/')[0]);
  assert.deepEqual(order.slice(0, 6), ['large', 'small', 'small', 'small', 'small', 'large']);
});

test('a source with many players gets no more than one with a single player', () => {
  const queue = new FairQueue<string>(0);
  for (let i = 0; i < 6; i++) queue.push(entry('crowd', `p${i}`, 10));
  for (let i = 0; i < 6; i++) queue.push(entry('lonely', 'p', 10));
  const order = drain(queue).map((value) => value.split('/')[0]);
  for (let served = 2; served <= 12; served += 2)
    assert.equal(order.slice(0, served).filter((source) => source === 'crowd').length, served / 2);
});

test('players of one source take turns', () => {
  const queue = new FairQueue<string>(0);
  for (let i = 0; i < 3; i++) queue.push(entry('s', 'greedy', 10));
  queue.push(entry('s', 'modest', 10));
  assert.deepEqual(drain(queue), ['s/greedy', 's/modest', 's/greedy', 's/greedy']);
});

test('within a player the earliest deadline goes first, equal ones in the order of asking', () => {
  const queue = new FairQueue<string>(0);
  for (const [at, deadline] of [300, 100, 200, 100].entries())
    queue.push({ ...entry('s', 'p', 10, deadline), value: `${deadline}#${at}` });
  assert.deepEqual(drain(queue), ['100#1', '100#3', '200#2', '300#0']);
});

test('between players the earliest deadline goes first as long as the shares allow it', () => {
  const within = new FairQueue<string>(1_000);
  for (let i = 0; i < 3; i++) within.push(entry('s', 'hurried', 100, 10 + i));
  within.push(entry('s', 'patient', 100, 500));
  assert.deepEqual(drain(within).indexOf('s/patient'), 3);

  const beyond = new FairQueue<string>(150);
  for (let i = 0; i < 9; i++) beyond.push(entry('s', 'hurried', 100, 10 + i));
  beyond.push(entry('s', 'patient', 100, 500));
  assert.equal(drain(beyond).indexOf('s/patient'), 2);
});

test('what a source has in flight counts when others begin to wait', () => {
  const queue = new FairQueue<string>(0);
  const running = [entry('busy', 'p', 100), entry('busy', 'p', 100)];
  for (const each of running) queue.serve(each);
  queue.push(entry('busy', 'p', 100));
  queue.push(entry('fresh', 'q', 100));
  queue.push(entry('fresh', 'q', 100));
  assert.deepEqual(drain(queue), ['fresh/q', 'fresh/q', 'busy/p']);
  for (const each of running) queue.release(each);
  assert.equal(queue.flows, 0);
});

test('tokens used while nobody waited are no debt', () => {
  const queue = new FairQueue<string>(0);
  for (let i = 0; i < 100; i++) {
    queue.serve(entry('early', 'p', 100));
    queue.release(entry('early', 'p', 100));
  }
  queue.push(entry('late', 'q', 10));
  queue.push(entry('late', 'q', 10));
  queue.push(entry('early', 'p', 10));
  assert.deepEqual(drain(queue), ['late/q', 'early/p', 'late/q']);
});

test('when nobody waits any more, only what is still in flight counts at the next contention', () => {
  const queue = new FairQueue<string>(0);
  const serve = () => {
    const next = queue.take(0);
    assert.ok(next !== null);
    return next;
  };
  for (let i = 0; i < 10; i++) queue.push(entry('busy', 'p', 100));
  for (let i = 0; i < 8; i++) queue.release(serve());
  queue.push(entry('other', 'x', 100));
  const running = [serve(), serve(), serve()];
  assert.equal(queue.size, 0);
  for (let i = 0; i < 3; i++) queue.push(entry('fresh', 'q', 100));
  queue.push(entry('busy', 'p', 100));
  // 200 tokens of `busy` still run: two requests of `fresh` even that out, and it asked first.
  assert.deepEqual(drain(queue), ['fresh/q', 'fresh/q', 'fresh/q', 'busy/p']);
  for (const each of running) queue.release(each);
  assert.equal(queue.flows, 0);
});

test('of one deadline class the shortest prefill goes first, and a nearer class before it', () => {
  const queue = new FairQueue<string>(Number.POSITIVE_INFINITY);
  for (const [prefillTokens, deadline] of [
    [900, 3_000],
    [100, 3_900],
    [400, 2_100],
    [1_500, 1_500],
  ] as const)
    queue.push({ ...entry('s', `p${prefillTokens}`, 10, deadline), prefillTokens });
  assert.deepEqual(drain(queue), ['s/p1500', 's/p100', 's/p400', 's/p900']);
});

test('who has waited half of its time goes before shorter ones, and of those the earliest deadline', () => {
  const push = (queue: FairQueue<string>) => {
    for (const [player, prefillTokens, deadline] of [
      ['short', 10, 3_900],
      ['long', 900, 3_000],
      ['longest', 1_500, 2_500],
    ] as const)
      queue.push({ ...entry('s', player, 10, deadline), prefillTokens });
    return queue;
  };
  const orderAt = (nowMonoMs: number) => {
    const queue = push(new FairQueue<string>(1_000));
    return [...Array(3)].map(() => queue.take(nowMonoMs)?.player);
  };
  assert.deepEqual(orderAt(0), ['short', 'long', 'longest']);
  assert.deepEqual(orderAt(1_250), ['longest', 'short', 'long']);
  assert.deepEqual(orderAt(1_500), ['longest', 'long', 'short']);
  assert.deepEqual(orderAt(1_950), ['longest', 'long', 'short']);
});

test('whatever comes, none is passed over by later ones more often than the bound while its shares let it go', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.array(
        fc.record({
          player: fc.constantFrom('x', 'y', 'z'),
          prefillTokens: fc.integer({ min: 0, max: 2_000 }),
          allowedMs: fc.constantFrom(50, 700, 4_000, 15_000, Number.POSITIVE_INFINITY),
          passMs: fc.integer({ min: 0, max: 40 }),
          takes: fc.constantFrom(0, 1, 1, 2),
        }),
        { minLength: 50, maxLength: 300 },
      ),
      (ahead, arrivals) => {
        // Without a limit to the slack, shares always let everybody go.
        const queue = new FairQueue<number>(Number.POSITIVE_INFINITY);
        const passedOver = new Map<number, number>();
        let nowMonoMs = 0;
        let count = 0;
        const take = () => {
          const served = queue.take(nowMonoMs);
          if (served === null) return;
          passedOver.delete(served.value);
          for (const [other, times] of passedOver) {
            if (other > served.value) continue;
            assert.ok(
              times < PASSED_OVER_MAX,
              `${other} was passed over ${times} times, now by ${served.value}`,
            );
            passedOver.set(other, times + 1);
          }
          queue.release(served);
        };
        for (const [at, { player, prefillTokens, allowedMs, passMs, takes }] of arrivals.entries()) {
          nowMonoMs += passMs;
          passedOver.set(count, 0);
          const deadlineMonoMs = nowMonoMs + allowedMs;
          queue.push({
            ...{ source: 's', player, cost: 10, prefillTokens, askedMonoMs: nowMonoMs, deadlineMonoMs },
            value: count++,
          });
          if (at >= ahead) for (let i = 0; i < takes; i++) take();
        }
        while (queue.size > 0) take();
      },
    ),
    { numRuns: 200 },
  );
});

test('a full queue is cut where it is longest', () => {
  const queue = new FairQueue<string>(0);
  for (let i = 0; i < 5; i++) queue.push(entry('flood', i < 4 ? 'loud' : 'quiet', 10, i));
  assert.equal(queue.victimFor('other', 'x')?.deadlineMonoMs, 3);
  assert.equal(queue.victimFor('flood', 'new')?.player, 'loud');
  assert.equal(queue.victimFor('flood', 'loud'), null);
  assert.equal(queue.last()?.player, 'loud');
});

test('what waits ahead of a newcomer counts no further than its own share', () => {
  const queue = new FairQueue<string>(0);
  for (let i = 0; i < 10; i++) queue.push(entry('flood', 'p', 100));
  assert.equal(queue.costAhead('other', 'x', 100), 100);
  assert.equal(queue.costAheadOfNew(100), 100);
  assert.equal(queue.costAhead('flood', 'p', 100), 1_000);
  assert.equal(queue.costAhead('flood', 'q', 100), 100);
});

const flowArbitrary = fc.record({
  source: fc.constantFrom('a', 'b', 'c'),
  player: fc.constantFrom('x', 'y'),
  cost: fc.integer({ min: 1, max: 50 }),
  deadline: fc.integer({ min: 0, max: 1_000 }),
});

test('whatever comes and goes: everything that was pushed is taken or removed once, and nothing is remembered', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          flowArbitrary.map((flow) => ({ kind: 'push' as const, flow })),
          fc.constant({ kind: 'take' as const }),
          fc.constant({ kind: 'release' as const }),
          fc.nat(20).map((index) => ({ kind: 'remove' as const, index })),
        ),
        { maxLength: 80 },
      ),
      (steps) => {
        const queue = new FairQueue<number>(20);
        const waiting: QueueEntry<number>[] = [];
        const running: QueueEntry<number>[] = [];
        for (const [at, step] of steps.entries()) {
          if (step.kind === 'push') {
            const { deadline, ...flow } = step.flow;
            const pushed = {
              ...{ ...flow, prefillTokens: 0, askedMonoMs: 0 },
              deadlineMonoMs: deadline,
              value: at,
            };
            waiting.push(pushed);
            queue.push(pushed);
          } else if (step.kind === 'take') {
            const peeked = queue.peek(0);
            const taken = queue.take(0);
            assert.equal(peeked, taken);
            assert.equal(taken === null, waiting.length === 0);
            if (taken !== null) running.push(...waiting.splice(waiting.indexOf(taken), 1));
          } else if (step.kind === 'release') {
            const ended = running.shift();
            if (ended !== undefined) queue.release(ended);
          } else {
            const [left] = waiting.splice(step.index, 1);
            if (left !== undefined) assert.ok(queue.remove(left) && !queue.remove(left));
          }
          assert.equal(queue.size, waiting.length);
          assert.ok(queue.costAheadOfNew(10) >= queue.costAhead('nobody', 'nobody', 10));
          assert.equal(
            queue.cost,
            waiting.reduce((sum, { cost }) => sum + cost, 0),
          );
        }
        for (const each of waiting) assert.ok(queue.remove(each));
        for (const each of running) queue.release(each);
        assert.equal(queue.flows, 0);
      },
    ),
    { numRuns: 300 },
  );
});

test('two sources that wait all along never get further apart than twice the slack and the dearest request', () => {
  const COST_MAX = 50;
  fc.assert(
    fc.property(
      fc.constantFrom(0, 30, 200),
      fc.integer({ min: 1, max: COST_MAX }),
      fc.integer({ min: 1, max: COST_MAX }),
      // A third source comes and goes with requests that are always in a hurry.
      fc.array(fc.integer({ min: 0, max: COST_MAX }), { minLength: 300, maxLength: 300 }),
      (slack, costA, costB, others) => {
        const queue = new FairQueue<string>(slack);
        const served = { a: 0, b: 0 };
        const add = (source: 'a' | 'b', cost: number, at: number) =>
          queue.push(entry(source, 'p', cost, source === 'a' ? at : 1e9));
        for (let i = 0; i < 3; i++) {
          add('a', costA, i);
          add('b', costB, i);
        }
        for (const [at, other] of others.entries()) {
          if (other > 0) queue.push(entry(`guest${at}`, 'p', other, 0));
          const next = queue.take(0);
          assert.ok(next !== null);
          if (next.source === 'a' || next.source === 'b') {
            served[next.source] += next.cost;
            add(next.source, next.cost, at);
          }
          queue.release(next);
          assert.ok(
            Math.abs(served.a - served.b) <= 2 * (slack + COST_MAX),
            `${served.a} and ${served.b} after ${at}`,
          );
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('nobody starves: however many come with earlier deadlines, a request is served within the stated number of others', () => {
  const SLACK = 100;
  const COST_MIN = 10;
  const COST_MAX = 50;
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.integer({ min: COST_MIN, max: COST_MAX }), { minLength: 50, maxLength: 50 }),
      (others, costs) => {
        const queue = new FairQueue<string>(SLACK);
        const patient = entry('patient', 'p', COST_MAX, 1e9);
        queue.push(patient);
        let arrivals = 0;
        const arrive = () => {
          const cost = costs[arrivals % costs.length] ?? COST_MIN;
          queue.push(entry(`guest${arrivals++}`, 'p', cost, 0));
        };
        for (let i = 0; i < others; i++) arrive();
        // Of each flow that may be ahead: slack and one request, in the cheapest requests there are.
        const bound = (others + 1) * (Math.ceil((SLACK + COST_MAX) / COST_MIN) + 1);
        for (let overtaken = 0; ; overtaken++) {
          assert.ok(overtaken <= bound, `overtaken by ${overtaken}`);
          const next = queue.take(0);
          assert.ok(next !== null);
          queue.release(next);
          if (next === patient) break;
          arrive();
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('a long contention with ever new players remembers a bounded number of them', () => {
  const queue = new FairQueue<string>(100);
  for (let i = 0; i < 4; i++) queue.push(entry('s', `keeps${i}`, 50));
  for (let at = 0; at < 20_000; at++) {
    queue.push(entry('s', `guest${at}`, 50, 0));
    const next = queue.take(0);
    assert.ok(next !== null);
    queue.release(next);
    if (next.player.startsWith('keeps')) queue.push(next);
  }
  assert.ok(queue.flows <= queue.size + 1_024 + 2, `${queue.flows} flows for ${queue.size} waiting`);
});
