/** What is late is not hidden by what was never asked, and what stood in is late. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figuresOf, percentile } from './figures.ts';
import type { LineResult } from './window.ts';

const LINE: LineResult = {
  tier: 1,
  source: 'engine',
  cause: null,
  ttftMs: 50,
  ttfsMs: 100,
  isHungUp: false,
  promptTokens: 100,
  cachedTokens: 80,
  completionTokens: 10,
  costMicroUsd: 0,
};
const LIMITS = { 1: 600, 2: 600, 3: 600, 4: 600 };
const figures = (lines: readonly LineResult[]) =>
  figuresOf({ engines: 1, lines, played: lines.length, utilisation: 0.5, burstMs: 1_000 }, LIMITS);
const times = (count: number, line: Partial<LineResult>) =>
  Array.from({ length: count }, () => ({ ...LINE, ...line }));

test('barks do not make late lines in time', () => {
  const { tiers, holds } = figures([
    ...times(90, { source: 'written', ttftMs: null, ttfsMs: 0 }),
    ...times(9, {}),
    ...times(1, { ttfsMs: 900 }),
  ]);
  assert.equal(tiers[0]?.inTime, 0.9);
  assert.equal(tiers[0]?.lines, 100);
  assert.equal(tiers[0]?.asked, 10);
  assert.equal(holds, false);
});

test('a written line that stood in is never in time, and who left before a word does not count', () => {
  const { tiers, lines } = figures([
    ...times(95, {}),
    ...times(5, { source: 'written', cause: 'overload', ttfsMs: 1 }),
    ...times(7, { isHungUp: true, ttfsMs: null, ttftMs: null }),
  ]);
  assert.equal(lines, 100);
  assert.equal(tiers[0]?.inTime, 0.95);
  assert.equal(tiers[0]?.standIns, 0.05);
});

test('shares add up, and prompt tokens are those that a model read', () => {
  const { sources, cachedTokens, promptTokens } = figures([
    ...times(50, {}),
    ...times(25, { source: 'cache', promptTokens: 0, cachedTokens: 0 }),
    ...times(25, { source: 'cloud', cachedTokens: 0 }),
  ]);
  assert.deepEqual(sources, { engine: 0.5, cache: 0.25, cloud: 0.25, written: 0 });
  assert.ok(Math.abs(cachedTokens - 80 / 150) < 1e-9);
  assert.equal(promptTokens, 100);
});

test('a percentile is one of the values, and of none there is none', () => {
  assert.equal(percentile([1, 2, 3, 4], 0.5), 2);
  assert.equal(percentile([1, 2, 3, 4], 0.95), 4);
  assert.equal(percentile([], 0.5), null);
});
