import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CAUSES } from '../core/dialogue.ts';
import { aSnapshot } from '../testing/a-replica.ts';
import { mildest, type PickAsk, pickReplica } from './pick.ts';
import type { ReplicaSnapshot } from './replica.ts';

const ASK: PickAsk = {
  prefixKey: 'mira/2',
  adapter: null,
  promptTokens: 500,
  priority: 'interactive',
  deadlineLeftMs: 5_000,
};

function picked(replicas: readonly ReplicaSnapshot[], changes: Partial<PickAsk> = {}): string {
  const result = pickReplica(replicas, { ...ASK, ...changes });
  return typeof result === 'number' ? (replicas[result]?.name ?? '') : `none: ${result}`;
}

const learned = { baseMs: 50, prefillMsPerToken: 0.4, decodeMsPerToken: 10, cachedRatio: 0.5 };

/** Name of a case, the replicas, what is asked, and who is picked. */
const TABLE: readonly (readonly [
  string,
  readonly (readonly [string, Partial<ReplicaSnapshot>])[],
  Partial<PickAsk>,
  string,
])[] = [
  [
    'one that is out is passed over',
    [
      ['a', { unusable: 'backend_error' }],
      ['b', {}],
    ],
    {},
    'b',
  ],
  [
    'all out: the mildest cause',
    [
      ['a', { unusable: 'offline' }],
      ['b', { unusable: 'overload' }],
    ],
    {},
    'none: overload',
  ],
  ['nobody is there', [], {}, 'none: disabled'],
  [
    'by what the prompt probably has: a bound far above it would say that the line comes late',
    [['a', { ...learned, running: 1, prefillMsPerToken: 10 }]],
    { promptTokens: 1_500, likelyTokens: 600 },
    'a',
  ],
  [
    'and with no better figure than the bound, by that',
    [['a', { ...learned, running: 1, prefillMsPerToken: 10 }]],
    { promptTokens: 1_500 },
    'none: overload',
  ],
  [
    'one that was tried already is not tried again',
    [
      ['a', {}],
      ['b', {}],
    ],
    { exclude: new Set(['a']) },
    'b',
  ],
  [
    'a host that did not answer is not asked by another name',
    [['a', { origin: 'http://10.0.0.1:8000' }]],
    { excludeOrigins: new Set(['http://10.0.0.1:8000']) },
    'none: offline',
  ],
  [
    'a full queue',
    [
      ['a', { running: 4, waiting: 8 }],
      ['b', { running: 4, waiting: 7 }],
    ],
    {},
    'b',
  ],
  ['all queues full', [['a', { running: 4, waiting: 8 }]], {}, 'none: overload'],
  [
    'a wait that passes the deadline',
    [['a', { running: 4, interactiveWaitMs: 6_000 }]],
    {},
    'none: overload',
  ],
  [
    'the wait of its own class counts',
    [['a', { running: 4, interactiveWaitMs: 6_000, ambientWaitMs: 10 }]],
    { priority: 'ambient' },
    'a',
  ],
  ['a first sentence that comes too late', [['a', { ...learned, baseMs: 9_000 }]], {}, 'none: overload'],
  ['the same, idle and with none below', [['a', { ...learned, baseMs: 9_000 }]], { isLast: true }, 'a'],
  [
    'the same, at work already: it may come yet',
    [['a', { ...learned, baseMs: 9_000, running: 1 }]],
    { isLast: true },
    'a',
  ],
  [
    'but not twice as late',
    [['a', { ...learned, baseMs: 9_000, interactiveWaitMs: 2_000, running: 1 }]],
    { isLast: true },
    'none: overload',
  ],
  [
    'the same, for money',
    [['a', { ...learned, baseMs: 9_000, isPaid: true }]],
    { isLast: true },
    'none: overload',
  ],
  [
    'a shorter wait',
    [
      ['a', { ...learned, running: 4, interactiveWaitMs: 900 }],
      ['b', { ...learned, running: 4 }],
    ],
    {},
    'b',
  ],
  [
    'a faster engine',
    [
      ['a', { ...learned, prefillMsPerToken: 4 }],
      ['b', learned],
    ],
    {},
    'b',
  ],
  [
    'one of which nothing is known is tried',
    [
      ['a', { ...learned, running: 2 }],
      ['b', { running: 0 }],
    ],
    {},
    'b',
  ],
  [
    'the resident adapter',
    [
      ['a', {}],
      ['b', { residentAdapters: new Set(['mira@3']) }],
    ],
    { adapter: 'mira@3' },
    'b',
  ],
  [
    'free before paid',
    [
      ['a', { ...learned, isPaid: true }],
      ['b', { ...learned, baseMs: 100 }],
    ],
    {},
    'b',
  ],
  [
    'paid when the free one is much slower',
    [
      ['a', { ...learned, isPaid: true }],
      ['b', { ...learned, baseMs: 900 }],
    ],
    {},
    'a',
  ],
  ['no money', [['a', { isPaid: true }]], { mayPay: false }, 'none: disabled'],
  [
    'a prompt over the context',
    [
      ['a', { contextTokens: 500 }],
      ['b', { contextTokens: 2_048 }],
    ],
    {},
    'b',
  ],
  [
    'a prompt over the token limit',
    [
      ['a', { maxPromptTokens: 499 }],
      ['b', { maxPromptTokens: 500 }],
    ],
    {},
    'b',
  ],
];

for (const [name, replicas, changes, expected] of TABLE)
  test(`picks ${expected}: ${name}`, () => {
    const snapshots = replicas.map(([each, change]) => aSnapshot(each, change));
    assert.equal(picked(snapshots, changes), expected);
    assert.equal(picked(snapshots.toReversed(), changes), expected, 'in any order');
  });

test('a prefix stays at its home while that is not slower by more than the prefix is worth', () => {
  const replicas = ['a', 'b', 'c'].map((name) => aSnapshot(name, { ...learned, maxInFlight: 16 }));
  const home = picked(replicas);
  const at = (changes: Partial<ReplicaSnapshot>) =>
    picked(replicas.map((each) => (each.name === home ? { ...each, ...changes } : each)));
  assert.equal(at({ running: 3 }), home, 'a small batch is no reason to go elsewhere');
  // Half of 500 tokens cached at 0.4 ms each, and 50 ms.
  assert.equal(at({ running: 1, interactiveWaitMs: 140 }), home);
  assert.notEqual(at({ running: 1, interactiveWaitMs: 160 }), home);
});

test('the mildest cause does not depend on the order', () => {
  for (const one of CAUSES) {
    assert.equal(mildest(null, one), one);
    for (const other of CAUSES) assert.equal(mildest(one, other), mildest(other, one));
  }
});

const snapshotArbitrary = fc.record({
  unusable: fc.option(fc.constantFrom(...CAUSES)),
  isPaid: fc.boolean(),
  running: fc.nat(4),
  waiting: fc.nat(8),
  interactiveWaitMs: fc.nat(8_000),
  baseMs: fc.option(fc.nat(8_000)),
  prefillMsPerToken: fc.constantFrom(0, 0.5, 3),
  decodeMsPerToken: fc.option(fc.nat(50)),
  cachedRatio: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
});

test('whatever the snapshots: the choice is the same each time, touches nothing, and is one that may be used', () => {
  fc.assert(
    fc.property(
      fc.array(snapshotArbitrary, { maxLength: 12 }),
      fc.string({ maxLength: 8 }),
      fc.boolean(),
      (changes, prefixKey, mayPay) => {
        const replicas = changes.map((change, index) => Object.freeze(aSnapshot(`r${index}`, change)));
        const ask = { ...ASK, prefixKey, mayPay };
        const result = pickReplica(replicas, ask);
        assert.equal(pickReplica(replicas, ask), result);
        if (typeof result === 'string') return;
        const replica = replicas[result];
        assert.ok(replica !== undefined && replica.unusable === null);
        assert.ok(mayPay || !replica.isPaid);
        assert.ok(replica.running < replica.maxInFlight || replica.waiting < replica.maxQueued);
        assert.ok(replica.interactiveWaitMs <= ASK.deadlineLeftMs);
      },
    ),
    { numRuns: 200 },
  );
});
