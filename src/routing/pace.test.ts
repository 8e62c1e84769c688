import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../testing/manual-clock.ts';
import { paceOptionsSchema } from './options.ts';
import { FIRST_SENTENCE_TOKENS, Pace, type PaceSample } from './pace.ts';

function start() {
  const clock = new ManualClock();
  const pace = new Pace(paceOptionsSchema.parse({ samples: 16, minimumSamples: 4, forgetAfterMs: 10_000 }), {
    clock,
  });
  return { clock, pace };
}

function line(changes: Partial<PaceSample> = {}): PaceSample {
  return {
    firstTokenMs: 200,
    totalMs: 600,
    promptTokens: 400,
    cachedTokens: 0,
    completionTokens: 41,
    ...changes,
  };
}

test('a percentile is said once there are enough samples', () => {
  const { pace } = start();
  for (const firstTokenMs of [100, 200, 300]) pace.learn(line({ firstTokenMs }));
  assert.equal(pace.firstTokenPercentileMs(0.5), null);
  pace.learn(line({ firstTokenMs: 400 }));
  assert.equal(pace.firstTokenPercentileMs(0.5), 200);
  assert.equal(pace.firstTokenPercentileMs(0.98), 400);
});

test('only the latest samples count, and none that is too old', () => {
  const { pace, clock } = start();
  pace.learn(line({ firstTokenMs: 9_000 }));
  for (let i = 0; i < 16; i++) pace.learn(line({ firstTokenMs: 100 }));
  assert.equal(pace.firstTokenPercentileMs(0.99), 100);
  clock.advance(6_000);
  for (let i = 0; i < 4; i++) pace.learn(line({ firstTokenMs: 50 }));
  assert.equal(pace.firstTokenPercentileMs(0.99), 100);
  clock.advance(4_000);
  assert.equal(pace.firstTokenPercentileMs(0.99), 50);
  clock.advance(6_000);
  assert.equal(pace.firstTokenPercentileMs(0.5), null);
});

test('prefill is the slope and the rest the foot: what is cached costs nothing', () => {
  const { pace } = start();
  for (const [promptTokens, cachedTokens] of [
    [100, 0],
    [900, 0],
    [900, 600],
    [500, 100],
  ] as const)
    pace.learn(line({ promptTokens, cachedTokens, firstTokenMs: 30 + 0.5 * (promptTokens - cachedTokens) }));
  assert.ok(Math.abs((pace.predictFirstTokenMs(200, 0) ?? 0) - 130) < 1e-6);
  assert.ok(Math.abs((pace.predictFirstTokenMs(200, 70) ?? 0) - 200) < 1e-6);
  const sentenceMs = pace.predictFirstSentenceMs(200, 0) ?? 0;
  assert.ok(sentenceMs > 130 && sentenceMs - 130 < FIRST_SENTENCE_TOKENS * 20);
});

test('prompts of one length are taken as proportional', () => {
  const { pace } = start();
  for (let i = 0; i < 5; i++) pace.learn(line({ promptTokens: 400, firstTokenMs: 200 }));
  assert.ok(Math.abs((pace.predictFirstTokenMs(800, 0) ?? 0) - 400) < 1e-6);
  assert.equal(pace.snapshot().decodeMsPerToken, 10);
});

test('an engine that was slow is forgotten after a while, so that it is tried again', () => {
  const { pace, clock } = start();
  pace.learn(line({ firstTokenMs: 30_000 }));
  assert.ok((pace.predictFirstTokenMs(400, 0) ?? 0) > 29_000);
  clock.advance(10_000);
  assert.equal(pace.predictFirstTokenMs(400, 0), null);
  assert.deepEqual(pace.snapshot(), {
    baseMs: null,
    prefillMsPerToken: null,
    decodeMsPerToken: null,
    cachedRatio: null,
  });
  pace.learn(line({ firstTokenMs: 100 }));
  assert.ok(Math.abs((pace.predictFirstTokenMs(400, 0) ?? 0) - 100) < 1e-6, 'the slow one no longer weighs');
});

test('numbers that no engine can mean are not learned', () => {
  const { pace } = start();
  for (const bad of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    pace.learn(line({ firstTokenMs: bad }));
    pace.learn(line({ promptTokens: bad }));
    pace.learn(line({ completionTokens: bad }));
  }
  assert.equal(pace.predictFirstTokenMs(10, 0), null);
});

test('whatever was measured: predictions are finite, never negative, and grow with the prompt', () => {
  const count = fc.integer({ min: 0, max: 5_000 });
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          firstTokenMs: fc.double({ min: 0, max: 60_000, noNaN: true }),
          totalMs: fc.double({ min: 0, max: 60_000, noNaN: true }),
          promptTokens: count,
          cachedTokens: count,
          completionTokens: count,
        }),
        { minLength: 1, maxLength: 60 },
      ),
      (samples) => {
        const { pace } = start();
        for (const sample of samples) pace.learn(sample);
        let last = 0;
        for (const tokens of [0, 1, 100, 4_000]) {
          const predicted = pace.predictFirstSentenceMs(tokens, 5);
          assert.ok(predicted !== null && Number.isFinite(predicted) && predicted >= Math.max(5, last));
          last = predicted;
        }
        const { cachedRatio } = pace.snapshot();
        assert.ok(cachedRatio === null || (cachedRatio >= 0 && cachedRatio <= 1));
      },
    ),
  );
});
