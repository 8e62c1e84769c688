import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { z } from 'zod';
import {
  breakerOptionsSchema,
  budgetOptionsSchema,
  canaryOptionsSchema,
  cooldownOptionsSchema,
  hedgingOptionsSchema,
  modelsSchema,
  paceOptionsSchema,
  poolsSchema,
} from './options.ts';

test('nothing named is a whole set of defaults, and hedging is off', () => {
  for (const schema of [
    breakerOptionsSchema,
    budgetOptionsSchema,
    canaryOptionsSchema,
    cooldownOptionsSchema,
    paceOptionsSchema,
  ])
    for (const value of Object.values(schema.parse({}))) assert.equal(typeof value, 'number');
  assert.equal(hedgingOptionsSchema.parse({}).enabled, false);
  assert.deepEqual([poolsSchema.parse(undefined), modelsSchema.parse(undefined)], [{}, {}]);
});

const REFUSED: readonly (readonly [string, z.ZodType, unknown])[] = [
  ['an open time over its most', breakerOptionsSchema, { openMs: 60_000, openMaxMs: 1_000 }],
  ['a breaker that opens at no failure', breakerOptionsSchema, { failureRatio: 0 }],
  ['a breaker that never opens', breakerOptionsSchema, { failureRatio: 1.1 }],
  ['an unknown field', breakerOptionsSchema, { threshold: 5 }],
  ['a floor over the ceiling', budgetOptionsSchema, { floorMs: 5_000, ceilingMs: 1_000 }],
  ['the hundredth percentile', budgetOptionsSchema, { percentile: 1 }],
  ['part of a millisecond', budgetOptionsSchema, { gapMs: 0.5 }],
  ['more samples wanted than kept', paceOptionsSchema, { samples: 8, minimumSamples: 9 }],
  ['more hedges than requests', hedgingOptionsSchema, { maxShare: 2 }],
  ['an empty pool', poolsSchema, { fast: { engines: [] } }],
  ['a pool with a name of its own making', poolsSchema, { 'Fast!': { engines: ['a'] } }],
  ['an alias with a name of its own making', modelsSchema, { llama: { aliases: { 'a@b': '1' } } }],
];

for (const [what, schema, value] of REFUSED)
  test(`refused: ${what}`, () => assert.equal(schema.safeParse(value).success, false));
