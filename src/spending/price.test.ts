import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EngineUsage } from '../core/engine.ts';
import { PriceTable, priceSchema } from './price.ts';

const at = (text: string) => Date.parse(text);
const usage = (changes: Partial<EngineUsage>): EngineUsage => ({
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  source: 'reported',
  ...changes,
});
const row = (changes: object) =>
  priceSchema.parse({ model: 'm', effectiveFrom: '2026-01-01', inputUsd: 2, outputUsd: 10, ...changes });

test('a dollar a million tokens is a micro-dollar a token, cached and written ones at their own price', () => {
  const table = new PriceTable([row({ cachedInputUsd: 0.2, cacheWriteUsd: 2.5 })]);
  const spent = usage({
    promptTokens: 1_000,
    cachedTokens: 600,
    cacheWriteTokens: 100,
    completionTokens: 50,
    reasoningTokens: 20,
  });
  // 300 × 2 + 600 × 0.2 + 100 × 2.5 + 50 × 10; what was thought is among the 50.
  assert.equal(table.costMicroUsd('m', spent, at('2026-11-21')), 600 + 120 + 250 + 500);
});

test('the newest row that holds on the day counts, and a name goes before a pattern', () => {
  const table = new PriceTable([
    row({ model: 'gemini-*', inputUsd: 9 }),
    row({ model: 'gemini-flash', inputUsd: 0.75 }),
    row({ model: 'gemini-flash', inputUsd: 1.5, effectiveFrom: '2027-01-01' }),
  ]);
  assert.equal(table.of('gemini-flash', at('2026-12-31T23:59:59Z'))?.inputUsd, 0.75);
  assert.equal(table.of('gemini-flash', at('2027-01-01T00:00:00Z'))?.inputUsd, 1.5);
  assert.equal(table.of('gemini-pro', at('2026-06-01'))?.inputUsd, 9);
  assert.equal(table.of('gemini-pro', at('2025-12-31')), null);
  assert.equal(table.costMicroUsd('local', usage({ promptTokens: 9 }), at('2026-06-01')), 0);
});

test('long prompts and peak hours cost what their row says', () => {
  const table = new PriceTable([
    row({
      longPrompt: { overTokens: 100, inputFactor: 2, outputFactor: 1.5 },
      peak: { factor: 2, hours: [['01:00', '04:00']] },
    }),
  ]);
  const short = usage({ promptTokens: 100, completionTokens: 10 });
  const long = usage({ promptTokens: 101, completionTokens: 10 });
  const calm = at('2026-11-20T04:00:00Z');
  assert.equal(table.costMicroUsd('m', short, calm), 300);
  assert.equal(table.costMicroUsd('m', long, calm), 101 * 4 + 150);
  assert.equal(table.costMicroUsd('m', short, at('2026-11-20T03:59:00Z')), 600, 'Friday, within the hours');
  assert.equal(table.costMicroUsd('m', short, at('2026-11-21T02:00:00Z')), 300, 'Saturday');
});

test('no call costs more than its worst case', () => {
  const table = new PriceTable([
    row({
      cachedInputUsd: 0.1,
      cacheWriteUsd: 3,
      longPrompt: { overTokens: 50, inputFactor: 2, outputFactor: 2 },
    }),
  ]);
  const count = fc.integer({ min: 0, max: 400 });
  fc.assert(
    fc.property(count, count, count, count, (prompt, cached, written, completion) => {
      const spent = usage({
        promptTokens: prompt,
        cachedTokens: Math.min(cached, prompt),
        cacheWriteTokens: written,
        completionTokens: completion,
      });
      const cost = table.costMicroUsd('m', spent, 0 + at('2026-02-02'));
      assert.ok(Number.isSafeInteger(cost) && cost >= 0);
      assert.ok(cost <= table.worstMicroUsd('m', prompt, completion, at('2026-02-02')));
    }),
  );
});
