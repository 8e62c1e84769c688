/** The table's arithmetic, and the flags of the command line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFlags } from './drive.ts';
import { type Report, type ReportRow, reportOf, tableOf } from './report.ts';
import type { SayEntry, SayOutcome } from './trace.ts';

const TIMES = { firstSentenceMs: { 1: 1_000, 2: 1_500, 3: 2_000, 4: 3_000 } } as const;

function say(id: string, changes: Partial<SayEntry> = {}): SayEntry {
  return {
    kind: 'say',
    id,
    atMs: 0,
    playerId: 'p',
    npcId: 'n',
    tier: 1,
    prompt: 'Hm?',
    context: {},
    priority: 'interactive',
    prefix: 'n',
    messages: [],
    maxTokens: 9,
    ...changes,
  };
}

function outcome(id: string, changes: Partial<SayOutcome> = {}): SayOutcome {
  return {
    id,
    tier: 1,
    isBark: false,
    startLateMs: 1,
    ttftMs: 100,
    ttfsMs: 300,
    totalMs: 400,
    end: 'done',
    source: 'engine',
    cause: null,
    promptTokens: 100,
    cachedTokens: 80,
    completionTokens: 5,
    costUsd: 0.5,
    text: 'Late.',
    ...changes,
  };
}

function rowOf(report: Report, name: string): ReportRow {
  const row = report.rows.find((each) => each.name === name);
  assert.ok(row !== undefined, `no row ${name}`);
  return row;
}

test('good lines are those in their tier’s time that nobody had to stand in for', () => {
  const says = ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => say(id));
  const report = reportOf(
    TIMES,
    [...says, say('g', { tier: 4 }), say('h', { prompt: '', trigger: 'hit' })],
    [
      outcome('a'),
      outcome('b', { ttfsMs: 1_001 }),
      outcome('c', { source: 'written', cause: 'timeout' }),
      outcome('d', { end: 'failed', failure: 'status 503', ttfsMs: null, ttftMs: null }),
      outcome('e', { source: 'cache', promptTokens: 0, cachedTokens: 0, costUsd: 0 }),
      // f has no outcome: the run was over before anything was known of it.
      outcome('g', { tier: 4, ttfsMs: 2_900 }),
      outcome('h', { end: 'unspoken', ttfsMs: null, ttftMs: null, source: 'unknown', promptTokens: 0 }),
    ],
    2_000,
  );
  const first = rowOf(report, 'tier 1');
  assert.deepEqual([first.lines, first.failed, first.unspoken], [7, 1, 1]);
  assert.equal(first.goodShare, 2 / 6);
  assert.equal(first.stoodInShare, 1 / 6);
  assert.equal(first.goodPerSecond, 1);
  assert.equal(rowOf(report, 'tier 4').goodShare, 1);
  const all = rowOf(report, 'all');
  assert.equal(all.linesPerSecond, 5 / 2);
  assert.equal(all.costUsd, 0.5 * 6);
  assert.equal(all.cacheShare, 1 / 5);
  assert.equal(all.writtenShare, 1 / 5);
  assert.deepEqual(report.failures, [['status 503', 1]]);
  assert.deepEqual(
    report.rows.map(({ name }) => name),
    ['tier 1', 'tier 4', 'barks', 'talk', 'all'],
  );
});

test('the table has a row for each group and says what is not known', () => {
  const text = tableOf(reportOf(TIMES, [say('a')], [], 1_000));
  assert.match(text, /^ +lines +failed/);
  assert.match(text, /\ntier 1 +1 +0 +0 +– /);
  assert.match(text, /the client began late by – ms/);
  const failed = outcome('a', { end: 'failed', failure: 'status 503' });
  assert.match(tableOf(reportOf(TIMES, [say('a')], [failed], 1_000)), /\n1 × status 503\n$/);
});

test('flags name a server of either kind, and wall seconds become the trace’s own time', () => {
  const { target, options } = readFlags(
    '--target greenroom=http://127.0.0.1:1 --speed 2 --seconds 30 --from 5 --key k --no-barks'.split(' '),
  );
  assert.deepEqual(target, {
    kind: 'greenroom',
    url: 'http://127.0.0.1:1',
    units: 'sentence',
    headers: { authorization: 'Bearer k' },
  });
  assert.deepEqual(options, {
    speed: 2,
    fromMs: 5_000,
    forMs: 60_000,
    includeBarks: false,
    useEvents: true,
    giveUpMs: 30_000,
  });
  assert.deepEqual(readFlags(['--target', 'openai=http://a', '--model', 'm']).target, {
    kind: 'openai',
    url: 'http://a',
    model: 'm',
    headers: {},
  });
  assert.throws(() => readFlags([]), /--target/);
  assert.throws(() => readFlags(['--target', 'openai=http://a', '--speed', 'x']), /--speed is x/);
  assert.throws(() => readFlags(['--target', 'openai=http://a', '--units', 'word']), /--units is word/);
});
