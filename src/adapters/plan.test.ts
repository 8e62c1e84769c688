import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { entriesAfter, type PlanAction, type PlanAdapter, type PlanInput, planResidency } from './plan.ts';
import {
  fitsNow,
  freeBytes,
  freeSlots,
  isHeld,
  type PlanEntry,
  type PlanReplica,
  whyNoRoom,
} from './room.ts';
import type { Demand } from './worth.ts';

const NOW = 1_000_000;

function entry(engineName: string, changes: Partial<PlanEntry> = {}): PlanEntry {
  return {
    engineName,
    stage: 'resident',
    leases: 0,
    bytes: 10,
    residentSinceMonoMs: NOW - 100_000,
    lastUsedMonoMs: NOW - 100_000,
    rate: 0,
    tier: 1,
    loadMs: 200,
    notBeforeMonoMs: 0,
    claimedBy: null,
    ...changes,
  };
}

function replica(
  name: string,
  entries: readonly PlanEntry[],
  changes: Partial<PlanReplica> = {},
): PlanReplica {
  return {
    name,
    base: 'base',
    slots: 2,
    foreign: 0,
    bytesMax: null,
    rankMax: 64,
    loadsByCall: true,
    stallsWhileLoading: false,
    isStarting: false,
    restores: new Set(),
    restsUntilMonoMs: 0,
    entries,
    ...changes,
  };
}

function adapter(engineName: string, changes: Partial<PlanAdapter> = {}): PlanAdapter {
  return {
    engineName,
    base: 'base',
    rank: 8,
    bytes: 10,
    isPublished: true,
    isPinned: false,
    isTagged: false,
    kept: null,
    demand: null,
    ...changes,
  };
}

function demand(changes: Partial<Demand>): Demand {
  return { interactive: 0, ambient: 0, hint: 0, sinceMonoMs: NOW, tier: 1, replicas: null, ...changes };
}

const waiting = demand({ interactive: 1 });

function plan(replicas: readonly PlanReplica[], adapters: readonly PlanAdapter[], loadsAtOnce = 1) {
  return planResidency({ nowMonoMs: NOW, loadsAtOnce, replicas, adapters });
}

/** `stage one/a -b`, `load one/a`: for tables. */
function said(actions: readonly PlanAction[]): readonly string[] {
  return actions.map(
    (action) =>
      `${action.kind} ${action.replica}/${action.engineName}${action.kind === 'stage' ? action.evicts.map((each) => ` -${each}`).join('') : ''}`,
  );
}

test('nobody pays, nothing moves', () => {
  const { actions, isWaiting } = plan([replica('one', [entry('a')])], [adapter('a'), adapter('b')]);
  assert.deepEqual([actions, isWaiting], [[], false]);
});

test('what is wanted comes where there is room, the emptiest first', () => {
  const { actions } = plan(
    [replica('one', [entry('a')]), replica('two', [])],
    [adapter('a'), adapter('b', { demand: waiting })],
  );
  assert.deepEqual(said(actions), ['stage two/b', 'load two/b']);
});

test('a tagged adapter that is nowhere takes free room, and pushes nobody out for it', () => {
  const tagged = adapter('b', { isTagged: true });
  assert.deepEqual(said(plan([replica('one', [entry('a')])], [adapter('a'), tagged]).actions), [
    'stage one/b',
    'load one/b',
  ]);
  const full = replica('one', [entry('a'), entry('c')]);
  assert.deepEqual(plan([full], [adapter('a'), adapter('c'), tagged]).actions, []);
});

const full = (a: Partial<PlanEntry> = {}, c: Partial<PlanEntry> = {}) =>
  replica('one', [entry('a', a), entry('c', c)]);
const others = [adapter('a'), adapter('c')];
const wants = adapter('b', { demand: waiting });

for (const [what, where, who, expected] of [
  ['the one unused for longest goes', full({ lastUsedMonoMs: NOW - 90_000 }), wants, ['stage one/b -c']],
  ['of two equally old the lower tier goes', full({ tier: 4 }), wants, ['stage one/b -c']],
  ['the one that is used often stays', full({ rate: 0.5 }), wants, ['stage one/b -c']],
  ['what speaks stays', full({ leases: 1 }), wants, ['stage one/b -c']],
  ['where all speak, nobody goes at once', full({ leases: 1 }, { leases: 2 }), wants, []],
  [
    'where all speak, one is closed for a line that starves',
    full({ leases: 2 }, { leases: 1 }),
    adapter('b', { demand: demand({ interactive: 1, sinceMonoMs: NOW - 6_000 }) }),
    ['drain one/c'],
  ],
  ['what is much used does not go for one line', full({ rate: 5 }, { rate: 5 }), wants, []],
  [
    'what is much used goes for one line that starves',
    full({ rate: 5 }, { rate: 4 }),
    adapter('b', { demand: demand({ interactive: 1, sinceMonoMs: NOW - 6_000 }) }),
    ['stage one/b -c'],
  ],
  [
    'what has just come and is used stays a while, where loads hold up others',
    {
      ...full({ residentSinceMonoMs: NOW - 300, rate: 0.5 }, { residentSinceMonoMs: NOW - 300, rate: 0.5 }),
      stallsWhileLoading: true,
    },
    wants,
    [],
  ],
  [
    'where loads hold up nobody, a line that waits is worth more than lines that may come',
    full({ residentSinceMonoMs: NOW - 300, rate: 0.5 }, { residentSinceMonoMs: NOW - 300, rate: 0.4 }),
    wants,
    ['stage one/b -c'],
  ],
  [
    'what has just come and whose demand is gone may go',
    full({ residentSinceMonoMs: NOW - 300, lastUsedMonoMs: NOW - 200 }, { rate: 5 }),
    wants,
    ['stage one/b -a'],
  ],
  [
    'a hint pushes out what nobody used for a minute',
    full(),
    adapter('b', { demand: demand({ hint: 1 }) }),
    ['stage one/b -a'],
  ],
  [
    'a hint does not push out what was used lately',
    full({ lastUsedMonoMs: NOW - 30_000 }, { lastUsedMonoMs: NOW - 30_000 }),
    adapter('b', { demand: demand({ hint: 1 }) }),
    [],
  ],
  [
    'chatter does not push out what was used a moment ago',
    full({ lastUsedMonoMs: NOW - 1_000 }, { lastUsedMonoMs: NOW - 1_000 }),
    adapter('b', { demand: demand({ ambient: 3 }) }),
    [],
  ],
  [
    'who publishes pushes out the least used',
    full({ rate: 5 }, { rate: 4 }),
    adapter('b', { kept: 'one' }),
    ['stage one/b -c'],
  ],
  [
    'who publishes closes one where all speak',
    full({ leases: 3 }, { leases: 1 }),
    adapter('b', { kept: new Set(['one']) }),
    ['drain one/c'],
  ],
  ['of another base nothing comes', full(), adapter('b', { demand: waiting, base: 'other' }), []],
  ['of too high a rank nothing comes', full(), adapter('b', { demand: waiting, rank: 128 }), []],
] as const)
  test(what, () => {
    assert.deepEqual(said(plan([where], [...others, who]).actions), expected);
  });

test('the pinned stay, whoever pays; where all are pinned the figures are said', () => {
  const pinned = [adapter('a', { isPinned: true }), adapter('c', { isPinned: true })];
  const starving = adapter('b', { demand: demand({ interactive: 9, sinceMonoMs: 0 }), kept: 'one' });
  const where = full();
  assert.deepEqual(plan([where], [...pinned, starving]).actions, []);
  assert.match(
    whyNoRoom(starving, where, (name) => name !== 'b') ?? '',
    /2 slots, of which 2 are pinned.*0 taken by others/,
  );
});

test('room is refused with the figure that refuses', () => {
  const load = adapter('b', { bytes: 50 });
  const isFixed = (name: string) => name === 'a';
  assert.equal(whyNoRoom(load, full(), isFixed), null);
  assert.match(whyNoRoom({ ...load, rank: 128 }, full(), isFixed) ?? '', /rank 128 is over the 64/);
  assert.match(
    whyNoRoom(load, { ...full(), bytesMax: 55 }, isFixed) ?? '',
    /needs 50 bytes; one has 45 of 55/,
  );
  assert.match(whyNoRoom(load, { ...full(), foreign: 1 }, isFixed) ?? '', /1 taken by others/);
});

test('bytes count as slots do: as many go as are needed', () => {
  const where = { ...full({ lastUsedMonoMs: NOW - 200_000 }), slots: 9, bytesMax: 25 };
  const large = adapter('b', { demand: waiting, bytes: 25 });
  assert.deepEqual(said(plan([where], [...others, large]).actions), ['stage one/b -a -c']);
  const small = adapter('b', { demand: waiting, bytes: 12 });
  assert.deepEqual(said(plan([where], [...others, small]).actions), ['stage one/b -a']);
});

test('a hint does not go where a line waits', () => {
  const where = replica('one', [entry('a', { rate: 5 }), entry('c')]);
  const line = adapter('b', { demand: demand({ interactive: 1, replicas: new Set(['one']) }), bytes: 1_000 });
  const hint = adapter('d', { demand: demand({ hint: 1 }) });
  const bytes = { ...where, bytesMax: 1_005 };
  // The line's adapter needs both places, and one of them is too much used; so neither comes.
  assert.deepEqual(plan([bytes], [...others, line, hint]).actions, []);
});

test('where loading stalls lines one adapter comes at a time, over all replicas of the base', () => {
  const stalls = { stallsWhileLoading: true };
  const replicas = [replica('one', [], stalls), replica('two', [], stalls)];
  const both = [adapter('a', { demand: waiting }), adapter('b', { demand: waiting })];
  assert.equal(plan(replicas, both).actions.filter(({ kind }) => kind === 'load').length, 1);
  assert.equal(plan(replicas, both, 2).actions.filter(({ kind }) => kind === 'load').length, 2);
  const starting = replicas.map((each) => ({ ...each, isStarting: true }));
  assert.equal(plan(starting, both).actions.filter(({ kind }) => kind === 'load').length, 2);
  const rests = replicas.map((each) => ({ ...each, restsUntilMonoMs: NOW + 1 }));
  assert.deepEqual(
    plan(rests, [adapter('a', { isTagged: true })]).actions,
    [],
    'nobody waits, so it may rest',
  );
  assert.equal(plan(rests, [adapter('a', { demand: waiting })]).actions.length, 2);
});

test('an adapter whose copies are all busy earns another one, from free room or from what is worth far less', () => {
  const busy = entry('a', { leases: 4, rate: 2, lastUsedMonoMs: NOW });
  const elsewhere = replica('two', [entry('c'), entry('d')]);
  const all = [adapter('a'), adapter('c'), adapter('d')];
  assert.deepEqual(said(plan([replica('one', [busy]), replica('two', [])], all).actions), [
    'stage two/a',
    'load two/a',
  ]);
  assert.deepEqual(said(plan([replica('one', [busy]), elsewhere], all).actions), ['stage two/a -c']);
  const warm = replica('two', [entry('c', { rate: 1 }), entry('d', { rate: 1 })]);
  assert.deepEqual(plan([replica('one', [busy]), warm], all).actions, []);
});

test('what is not published is closed, and what was to come does not', () => {
  const where = replica('one', [entry('a'), entry('b', { stage: 'staged' })]);
  assert.deepEqual(said(plan([where], []).actions), ['drain one/a', 'cancel one/b']);
});

test('before traffic what was there comes back, and pushes nobody out', () => {
  const where = replica('one', [entry('c')], { restores: new Set(['a', 'b']), isStarting: true });
  const { actions } = plan([where], [adapter('a'), adapter('b'), adapter('c')]);
  assert.deepEqual(said(actions), ['stage one/a', 'load one/a']);
});

const names = ['a', 'b', 'c', 'd', 'e', 'f'] as const;
const anEntry = (engineName: string): fc.Arbitrary<PlanEntry> =>
  fc
    .record({
      stage: fc.constantFrom(
        'resident' as const,
        'resident' as const,
        'loading' as const,
        'draining' as const,
        'gone' as const,
        'failed' as const,
        'staged' as const,
      ),
      leases: fc.constantFrom(0, 0, 1, 5),
      rate: fc.constantFrom(0, 0.05, 3),
      tier: fc.integer({ min: 1, max: 4 }),
      bytes: fc.constantFrom(5, 10),
      idleMs: fc.constantFrom(0, 3_000, 100_000),
      heldMs: fc.constantFrom(0, 2_000, 200_000),
    })
    .map(({ idleMs, heldMs, stage, leases, ...rest }) =>
      entry(engineName, {
        ...rest,
        stage,
        leases: stage === 'resident' || stage === 'draining' ? leases : 0,
        lastUsedMonoMs: NOW - idleMs,
        residentSinceMonoMs: NOW - heldMs,
      }),
    );
const aReplica = (name: string): fc.Arbitrary<PlanReplica> =>
  fc
    .record({
      entries: fc.subarray([...names]).chain((some) => fc.tuple(...some.map(anEntry))),
      spare: fc.nat(2),
      foreign: fc.nat(1),
      bytesMax: fc.constantFrom(null, 40),
      stallsWhileLoading: fc.boolean(),
    })
    .map(({ entries, spare, bytesMax, ...rest }) => {
      const taken = entries.filter((each) => isHeld(each) || each.stage === 'staged');
      const bytes = taken.reduce((sum, each) => sum + each.bytes, 0);
      const slots = taken.length + rest.foreign + spare;
      return replica(name, entries, {
        ...rest,
        slots,
        bytesMax: bytesMax === null ? null : Math.max(bytes, bytesMax),
      });
    });
const aDemand: fc.Arbitrary<Demand | null> = fc.option(
  fc
    .record({
      interactive: fc.nat(2),
      ambient: fc.nat(2),
      hint: fc.nat(1),
      ageMs: fc.constantFrom(0, 9_000),
      tier: fc.integer({ min: 1, max: 4 }),
    })
    .map(({ ageMs, ...rest }) => demand({ ...rest, sinceMonoMs: NOW - ageMs })),
);
const anAdapter = (engineName: string): fc.Arbitrary<PlanAdapter> =>
  fc
    .record({
      isPublished: fc.constantFrom(true, true, true, false),
      isPinned: fc.constantFrom(false, false, true),
      isTagged: fc.boolean(),
      kept: fc.constantFrom(null, null, null, 'one' as const, new Set(['one'])),
      demand: aDemand,
      bytes: fc.constantFrom(5, 10),
    })
    .map((changes) => adapter(engineName, changes));
const anInput: fc.Arbitrary<PlanInput> = fc.record({
  nowMonoMs: fc.constant(NOW),
  loadsAtOnce: fc.integer({ min: 1, max: 3 }),
  replicas: fc.tuple(aReplica('one'), aReplica('two')),
  adapters: fc.tuple(...names.map(anAdapter)),
});

function applied(input: PlanInput, actions: readonly PlanAction[]): PlanInput {
  return {
    ...input,
    replicas: input.replicas.map((each) => ({
      ...each,
      entries: actions
        .filter((action) => action.replica === each.name)
        .reduce(
          (entries, action) =>
            entriesAfter(
              entries,
              action,
              input.adapters.find(({ engineName }) => engineName === action.engineName)?.bytes ?? 0,
            ),
          each.entries,
        ),
    })),
  };
}

test('no plan goes over slots or bytes, nor touches what is pinned, spoken with, or not paid for', () => {
  fc.assert(
    fc.property(anInput, (input) => {
      const { actions } = planResidency(input);
      for (const action of actions) {
        const where = input.replicas.find(({ name }) => name === action.replica);
        const who = input.adapters.find(({ engineName }) => engineName === action.engineName);
        const is = where?.entries.find(({ engineName }) => engineName === action.engineName);
        if (action.kind === 'stage') {
          assert.ok(who !== undefined && (who.isPublished || who.kept !== null));
          const pays = who.demand !== null || who.kept !== null || who.isPinned || who.isTagged;
          assert.ok(pays || action.payer === 'hot', 'nobody pays');
          assert.ok(is === undefined || is.stage === 'gone');
          if (['spread', 'restore'].includes(action.payer)) assert.equal(action.evicts.length, 0);
          for (const victim of action.evicts) {
            const before = where?.entries.find(({ engineName }) => engineName === victim);
            const of = input.adapters.find(({ engineName }) => engineName === victim);
            assert.deepEqual([before?.stage, before?.leases], ['resident', 0]);
            assert.ok(of?.isPinned !== true && of?.kept === null, 'a pinned one was pushed out');
          }
        }
        if (action.kind === 'drain') {
          assert.equal(is?.stage, 'resident');
          const isFixed = who !== undefined && ((who.isPinned && who.isPublished) || who.kept !== null);
          assert.ok(!isFixed, 'a pinned one was closed');
        }
      }
      const after = applied(input, actions);
      for (const [index, each] of after.replicas.entries()) {
        assert.ok(freeSlots(each) >= 0 && freeBytes(each) >= 0, 'a place was given twice');
        const before = input.replicas[index] as PlanReplica;
        const begun = each.entries.filter((one) => one.stage === 'loading').length;
        const began = before.entries.filter((one) => one.stage === 'loading').length;
        const heldNow = each.entries.filter(isHeld).length + each.foreign;
        if (begun > began) assert.ok(heldNow <= each.slots, 'the engine was asked for what it has not');
      }
    }),
    { numRuns: 2_000 },
  );
});

test('when everything succeeds and time passes, the plan comes to an end', () => {
  fc.assert(
    fc.property(anInput, (input) => {
      let now = input;
      for (let round = 0; round < 60; round++) {
        const { actions } = planResidency(now);
        const after = applied(now, actions);
        const nowMonoMs = after.nowMonoMs + 1_000;
        const replicas = after.replicas.map((each) => ({
          ...each,
          entries: each.entries.flatMap((one) => {
            if (one.stage === 'draining') return [];
            const isLoaded = one.stage === 'loading' || one.stage === 'verifying';
            return [
              isLoaded
                ? {
                    ...one,
                    stage: 'resident' as const,
                    residentSinceMonoMs: nowMonoMs,
                    lastUsedMonoMs: nowMonoMs,
                  }
                : one,
            ];
          }),
        }));
        const isThere = (engineName: string) =>
          replicas.some(({ entries }) =>
            entries.some((one) => one.engineName === engineName && one.stage === 'resident'),
          );
        const adapters = after.adapters.map((each) =>
          isThere(each.engineName) ? { ...each, demand: null } : each,
        );
        // Rates halve in half a minute; lines end.
        const calm = replicas.map((each) => ({
          ...each,
          entries: each.entries.map((one) => ({ ...one, rate: one.rate * 0.9, leases: 0 })),
        }));
        now = { ...after, nowMonoMs, replicas: calm, adapters };
        if (actions.length === 0 && round > 45) return;
      }
      assert.fail('it never comes to rest');
    }),
    { numRuns: 300 },
  );
});

test('two adapters that fight for one slot take turns slowly, and neither starves', () => {
  fc.assert(
    fc.property(
      fc.record({
        everyA: fc.constantFrom(50, 200, 900),
        everyB: fc.constantFrom(50, 200, 900),
        loadMs: fc.constantFrom(20, 300, 1_500),
        stalls: fc.boolean(),
      }),
      ({ everyA, everyB, loadMs, stalls }) => {
        const tellTime = fight({ a: everyA, b: everyB }, { loadMs, stalls }, 120_000);
        const holdMs = stalls ? Math.max(1_000, 4 * loadMs) : Math.max(50, loadMs);
        assert.ok(tellTime.swaps <= 120_000 / holdMs + 1, `${tellTime.swaps} swaps in two minutes`);
        assert.ok(tellTime.swaps >= 2, 'nobody ever gave way');
        assert.ok(
          tellTime.longestMs <= 5_000 + holdMs + 2 * loadMs + 1_000,
          `starved for ${tellTime.longestMs} ms`,
        );
      },
    ),
    { numRuns: 30 },
  );
});

/** Lines come for both all the time; one is resident. Time passes in steps of 10 ms. */
function fight(
  every: Readonly<Record<string, number>>,
  { loadMs, stalls }: { readonly loadMs: number; readonly stalls: boolean },
  forMs: number,
) {
  let entries: readonly PlanEntry[] = [];
  let swaps = 0;
  let longestMs = 0;
  const unmetSince = new Map<string, number>();
  const counts = new Map<string, number>();
  const loadedAt = new Map<string, number>();
  for (let atMs = 0; atMs < forMs; atMs += 10) {
    const nowMonoMs = NOW + atMs;
    entries = entries.flatMap((one) => {
      if (one.stage === 'draining') return [];
      if (one.stage !== 'loading') return [one];
      const sinceMs = loadedAt.get(one.engineName) ?? nowMonoMs;
      if (nowMonoMs - sinceMs < loadMs) return [one];
      unmetSince.delete(one.engineName);
      return [
        {
          ...one,
          stage: 'resident' as const,
          residentSinceMonoMs: nowMonoMs,
          loadMs,
          rate: 1_000 / (every[one.engineName] ?? 1),
        },
      ];
    });
    for (const [name, everyMs] of Object.entries(every)) {
      if (atMs % everyMs >= 10) continue;
      const there = entries.find((one) => one.engineName === name && one.stage === 'resident');
      if (there === undefined && !unmetSince.has(name)) unmetSince.set(name, nowMonoMs);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      entries = entries.map((one) =>
        one === there ? { ...one, lastUsedMonoMs: nowMonoMs, rate: 1_000 / everyMs } : one,
      );
    }
    for (const since of unmetSince.values()) longestMs = Math.max(longestMs, nowMonoMs - since);
    const adapters = Object.keys(every).map((name) => {
      const sinceMonoMs = unmetSince.get(name);
      return adapter(name, {
        demand: sinceMonoMs === undefined ? null : demand({ interactive: 1, sinceMonoMs }),
      });
    });
    const input = {
      nowMonoMs,
      loadsAtOnce: 1,
      replicas: [replica('one', entries, { slots: 1, stallsWhileLoading: stalls })],
      adapters,
    };
    for (const action of planResidency(input).actions) {
      if (action.kind === 'stage' && action.evicts.length > 0) swaps += 1;
      if (action.kind === 'load') loadedAt.set(action.engineName, nowMonoMs);
      entries = entriesAfter(entries, action, 10);
    }
  }
  return { swaps, longestMs };
}

test('a place is free for the engine only when nothing is in it', () => {
  const where = replica('one', [entry('a'), entry('b', { stage: 'draining' })]);
  assert.equal(fitsNow(where, 1), false);
  assert.equal(fitsNow({ ...where, slots: 3 }, 1), true);
  assert.equal(fitsNow({ ...where, slots: 3, bytesMax: 20 }, 1), false);
});
