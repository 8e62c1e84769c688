/** Each engine class gives back the throughput of the curve that it was read from; times to the first token by our own only. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { ENGINE_CLASSES } from '../../src/planning/engine-classes.ts';
import { classNamed, measuredCurve, PUBLISHED, playPoint } from './calibration.ts';

const RESULTS = path.join(import.meta.dirname, '..', 'results', 'engine.json');

test('every class has a curve, and says where it is from and what it costs', () => {
  for (const { name, origin, paceSource, priceSource } of ENGINE_CLASSES) {
    assert.ok(origin === 'measured by us' || PUBLISHED[name] !== undefined, name);
    assert.ok(paceSource.length > 20 && priceSource.length > 0, name);
  }
});

for (const [name, points] of Object.entries(PUBLISHED))
  test(`${name} gives back the published throughput within a seventh`, async () => {
    for (const point of points) {
      const { tokensPerSecond } = await playPoint(classNamed(name).pace, point);
      const off = tokensPerSecond / point.tokensPerSecond - 1;
      assert.ok(Math.abs(off) < 0.15, `${point.streams} streams: off by ${(off * 100).toFixed(0)} %`);
    }
  });

test('the laptop gives back our own measurement: throughput within a fifth, first tokens within a half', {
  skip: existsSync(RESULTS) ? false : 'skipped: measure with npm run bench:engine',
}, async () => {
  const { rows } = JSON.parse(readFileSync(RESULTS, 'utf8')) as {
    rows: Parameters<typeof measuredCurve>[0];
  };
  const points = measuredCurve(rows);
  assert.ok(points.length >= 3);
  for (const point of points) {
    const played = await playPoint(classNamed('laptop-cpu').pace, point);
    assert.ok(Math.abs(played.tokensPerSecond / point.tokensPerSecond - 1) < 0.2);
    assert.ok(Math.abs(played.ttftP50Ms / (point.ttftP50Ms ?? 1) - 1) < 0.5);
  }
});
