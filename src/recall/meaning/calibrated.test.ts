import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { TRIGGERS } from '../../core/dialogue.ts';
import { calibrate, FALSE_ACCEPT_MAX, THRESHOLDS } from './calibrate.ts';
import { CALIBRATED } from './calibrated.ts';
import { interval, leastThreshold } from './error-rate.ts';
import { DIFFERENCES, parseLabelled } from './labelled.ts';

const text = readFileSync(path.join(import.meta.dirname, 'labelled.jsonl'), 'utf8');
const { scenes } = parseLabelled(text);
const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

test('set, measure and threshold are those that were calibrated; the error rate is printed', (context) => {
  const now = calibrate(text);
  assert.deepEqual(
    now,
    CALIBRATED,
    'something drifted: look at the errors, then node bench/meaning.ts --write',
  );
  for (const [part, { same, met, different, falselyMet }] of [
    ['calibration', now.calibration],
    ['held-out', now.heldOut],
  ] as const) {
    const [low, high] = interval(falselyMet, different);
    context.diagnostic(
      `${part} at ${now.threshold}: ${falselyMet} of ${different} falsely accepted, ${percent(falselyMet / different)} (95 % interval ${percent(low)} to ${percent(high)}); ${met} of ${same} pairs met, ${percent(met / same)}`,
    );
  }
  assert.ok(now.heldOut.falselyMet <= FALSE_ACCEPT_MAX * now.heldOut.different);
});

test('the set covers every trigger and every way to differ in both parts, and says no text twice', () => {
  for (const part of ['calibration', 'held-out'] as const) {
    const own = scenes.filter((scene) => scene.part === part);
    assert.deepEqual([...new Set(own.map(({ trigger }) => trigger))].sort(), [...TRIGGERS].sort());
    const hows = new Set(own.flatMap(({ different }) => different.map(({ how }) => how)));
    assert.deepEqual([...hows].sort(), [...DIFFERENCES].sort());
  }
  assert.equal(new Set(scenes.map(({ id }) => id)).size, scenes.length);
  for (const { id, same, different } of scenes) {
    const words = [...same, ...different.map((each) => each.words)];
    assert.equal(new Set(words).size, words.length, id);
  }
  const pairs = scenes.reduce((sum, { same }) => sum + (same.length * (same.length - 1)) / 2, 0);
  assert.ok(pairs >= 400, `${pairs} pairs that mean the same`);
});

test('a line that is not as the header says is named', () => {
  const lines = text.trim().split('\n');
  assert.throws(() => parseLabelled([lines[0], lines[1], '{"id":"x"}'].join('\n')), /line 3/);
});

test('the interval is the exact one, and the rule takes the least threshold that it allows', () => {
  const near = (value: number, expected: number) => assert.ok(Math.abs(value - expected) < 5e-5, `${value}`);
  // Published values: 0 of 10, 1 of 10 and 5 of 10.
  near(interval(0, 10)[1], 0.3085);
  near(interval(1, 10)[0], 0.0025);
  near(interval(1, 10)[1], 0.445);
  near(interval(5, 10)[0], 0.1871);
  near(interval(5, 10)[1], 0.8129);
  assert.deepEqual(interval(0, 0), [0, 1]);
  assert.equal(interval(10, 10)[1], 1);
  const different = Array.from({ length: 500 }, (_, at) => ({
    id: '',
    how: '',
    words: '',
    best: at === 0 ? 0.62 : 0.1,
  }));
  const measured = { same: [0.9], different };
  assert.equal(leastThreshold(measured, THRESHOLDS, 0.01), 0.65);
  assert.equal(leastThreshold(measured, THRESHOLDS, 0.02), 0.15);
  assert.equal(leastThreshold({ same: [], different: different.slice(0, 9) }, THRESHOLDS, 0.01), null);
});
