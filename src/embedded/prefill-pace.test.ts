import assert from 'node:assert/strict';
import { it } from 'node:test';
import { PrefillPace } from './prefill-pace.ts';
import { LANE_PASS_MS } from './short-lane.ts';

it('a pass takes as many prompt tokens as its time allows, within its bounds', () => {
  const pace = new PrefillPace({ prefillTokensPerStep: 256, stepTargetMs: 90 });
  for (let pass = 0; pass < 50; pass++) pace.observe(100, 100);
  assert.ok(Math.abs(pace.budget(false).tokens - 90) <= 1);
  assert.ok(Math.abs(pace.budget(true).tokens - LANE_PASS_MS) <= 1, 'short work is about');
  for (let pass = 0; pass < 50; pass++) pace.observe(4, 1_000);
  assert.deepEqual(pace.budget(false), { tokens: 16, leastTokens: 16 });
  assert.deepEqual(pace.budget(true), { tokens: 4, leastTokens: 4 });
  for (let pass = 0; pass < 50; pass++) pace.observe(200, 1);
  assert.equal(pace.budget(false).tokens, 256);
  pace.observe(100, 0);
  assert.equal(pace.budget(false).tokens, 256, 'a clock that stood still teaches nothing');
});

it('a machine that reads slowly is given enough for its kernels, but no pass that a listener would hear', () => {
  const at = (msPerToken: number) => {
    const pace = new PrefillPace({ prefillTokensPerStep: 256, stepTargetMs: 90 });
    for (let pass = 0; pass < 50; pass++) pace.observe(20, 20 * msPerToken);
    return pace.budget(false).tokens;
  };
  assert.ok(Math.abs(at(1) - 90) <= 1);
  assert.deepEqual([at(2), at(3.4), at(5), at(50)], [64, 64, 44, 16]);
});
