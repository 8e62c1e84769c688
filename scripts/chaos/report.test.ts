/** The bars of a chaos run break where they should, and hold where a player left or no gateway was there. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Heard } from './ask.ts';
import { barsOf, rowOf } from './report.ts';

const LINE: Heard = {
  outcome: 'answered',
  tier: 1,
  startedMs: 0,
  endedMs: 100,
  deadlineMs: 1_000,
  rung: 'local',
  rungNumber: 0,
  gatewayMs: 90,
  costUsd: 0.5,
  isSilent: false,
  wrong: null,
  failure: null,
  stored: null,
  isUnkept: false,
  metDown: false,
};
const FINE = { acknowledgedTurns: 3, lostTurns: 0, leftBehind: [], stillOut: [] as readonly string[] };
const brokenBy = (changes: Partial<Heard>, endings = FINE) =>
  barsOf([{ words: 'a fault', heard: [LINE, { ...LINE, ...changes }], note: '' }], endings)
    .filter(({ holds }) => holds !== true)
    .map(({ name }) => name);

test('all bars hold of a run in which all went well, whoever left and whoever met no gateway', () => {
  assert.deepEqual(brokenBy({}), []);
  assert.deepEqual(brokenBy({ outcome: 'left', rung: null }), []);
  assert.deepEqual(brokenBy({ metDown: true, endedMs: 9_000 }), []);
  assert.deepEqual(brokenBy({ endedMs: 1_050 }), []);
});

test('each promise that is not kept breaks its bar', () => {
  assert.match(String(brokenBy({ outcome: 'unanswered', rung: null })), /^answered/);
  assert.match(String(brokenBy({ endedMs: 1_051 })), /^within the deadline/);
  assert.match(String(brokenBy({ wrong: 'zubabakex' })), /^lines with the words/);
  assert.match(String(brokenBy({ isSilent: true })), /^silent/);
  assert.match(String(brokenBy({}, { ...FINE, lostTurns: 1 })), /^acknowledged/);
  assert.match(String(brokenBy({}, { ...FINE, stillOut: ['local'] })), /^engines that the gateway/);
});

test('a row counts by rung, and words of another count also where the player left', () => {
  const heard = [
    LINE,
    { ...LINE, rung: 'written' },
    { ...LINE, outcome: 'left', rung: null, wrong: 'x' },
  ] as const;
  const row = rowOf({ words: 'a fault', heard, recoverySeconds: null, note: '' }, ['local', 'cloud']);
  assert.deepEqual(
    [row['requests'], row['hungUp'], row['answered'], row['local'], row['cloud'], row['written']],
    [3, 1, 2, 1, 0, 1],
  );
  assert.deepEqual([row['wrongLines'], row['recoverySeconds'], row['costUsd']], [1, 'not yet', 1.5]);
});
