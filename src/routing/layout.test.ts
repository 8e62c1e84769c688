import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LayoutInput, layoutFaults, poolLayout } from './layout.ts';
import { modelsSchema, poolsSchema } from './options.ts';

const ENGINES = {
  'gpu-1': { model: 'llama', modelVersion: '2026-05' },
  'gpu-2': { model: 'llama', modelVersion: '2026-05' },
  'gpu-3': { model: 'llama', modelVersion: '2026-06' },
  local: { model: 'smollm2' },
};

function faults(changes: {
  pools?: unknown;
  models?: unknown;
  rungs?: readonly string[];
  engines?: LayoutInput['engines'];
}): readonly string[] {
  return layoutFaults({
    engines: changes.engines ?? ENGINES,
    pools: poolsSchema.parse(changes.pools ?? {}),
    models: modelsSchema.parse(changes.models ?? {}),
    tiers: { '2': { rungs: changes.rungs ?? ['local'] } },
  });
}

test('an engine in no pool is a pool of its own name, after the pools of the file', () => {
  assert.deepEqual(
    [...poolLayout(Object.keys(ENGINES), poolsSchema.parse({ fast: { engines: ['gpu-1', 'gpu-2'] } }))],
    [
      ['fast', ['gpu-1', 'gpu-2']],
      ['gpu-3', ['gpu-3']],
      ['local', ['local']],
    ],
  );
});

test('a layout in which every name exists has no fault', () => {
  assert.deepEqual(
    faults({
      pools: { fast: { engines: ['gpu-1', 'gpu-2'] } },
      models: { llama: { aliases: { stable: '2026-05', canary: '2026-06' } } },
      rungs: ['fast', 'gpu-3', 'local', 'written'],
    }),
    [],
  );
  assert.deepEqual(faults({ rungs: ['written'] }), []);
  assert.deepEqual(faults({ pools: { local: { engines: ['local'] } } }), []);
});

/** What is wrong, the change, and the line that says so. */
const TABLE: readonly (readonly [string, Parameters<typeof faults>[0], RegExp])[] = [
  [
    'an empty ladder',
    { rungs: [] },
    /^tiers\.2\.rungs: is empty; name a pool \(gpu-1, gpu-2, gpu-3, local\), or "written"/,
  ],
  ['an unknown rung', { rungs: ['loca'] }, /^tiers\.2\.rungs\.0: "loca" is no pool; expected one of local, /],
  ['a rung twice', { rungs: ['local', 'gpu-1', 'local'] }, /^tiers\.2\.rungs\.2: "local" is named twice/],
  ['something below the written lines', { rungs: ['written', 'local'] }, /"written" is the last rung/],
  [
    'an engine of a pool as a rung',
    { pools: { fast: { engines: ['gpu-1'] } }, rungs: ['gpu-1'] },
    /"gpu-1" is an engine of pool fast; name the pool/,
  ],
  [
    'an unknown engine',
    { pools: { fast: { engines: ['gpu-9'] } } },
    /^pools\.fast\.engines\.0: "gpu-9" is no engine; expected one of gpu-1, /,
  ],
  [
    'an engine twice in a pool',
    { pools: { fast: { engines: ['gpu-1', 'gpu-1'] } } },
    /^pools\.fast\.engines\.1: "gpu-1" is named twice/,
  ],
  [
    'a pool that holds itself',
    { pools: { fast: { engines: ['fast'] } } },
    /"fast" is a pool, this very one; a pool holds engines/,
  ],
  [
    'pools in a circle',
    { pools: { one: { engines: ['two'] }, two: { engines: ['one'] } } },
    /^pools\.one\.engines\.0: "two" is a pool;/,
  ],
  [
    'a pool with the name of an engine outside it',
    { pools: { local: { engines: ['gpu-1'] } } },
    /^pools\.local: is also the name of an engine/,
  ],
  ['a pool called written', { pools: { written: { engines: ['local'] } } }, /stands for the written lines/],
  [
    'two versions in one pool',
    { pools: { fast: { engines: ['gpu-1', 'gpu-3'] } } },
    /different model versions \(2026-05, 2026-06\)/,
  ],
  [
    'an alias of a version that nobody has',
    { models: { llama: { aliases: { stable: '2026-07' } } } },
    /^models\.llama\.aliases\.stable: "2026-07" is no version of it; expected one of 2026-0/,
  ],
  [
    'aliases in a circle',
    { models: { llama: { aliases: { stable: 'canary', canary: 'stable' } } } },
    /^models\.llama\.aliases\.stable: "canary" is an alias; an alias names a version: 2026-05, 2026-06/,
  ],
  [
    'an alias of itself',
    { models: { llama: { aliases: { stable: 'stable' } } } },
    /"stable" is an alias, this very one/,
  ],
  [
    'a model that no engine has',
    { models: { lama: {} } },
    /^models\.lama: no engine has this model; expected one of llama/,
  ],
  [
    'an alias with the name of a version',
    {
      engines: {
        a: { model: 'llama', modelVersion: 'v1' },
        b: { model: 'llama', modelVersion: 'v2' },
        local: { model: 'x' },
      },
      models: { llama: { aliases: { v1: 'v2' } } },
    },
    /^models\.llama\.aliases\.v1: "v2" has the name of a version/,
  ],
];

for (const [what, change, pattern] of TABLE)
  test(`refused: ${what}`, () => {
    const found = faults(change);
    assert.ok(
      found.some((fault) => pattern.test(fault)),
      found.join('\n') || 'no fault',
    );
  });
