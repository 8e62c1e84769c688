/** One rule for every side: what counts as good, and what is not judged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figuresOf, sourcesOf } from './figures.ts';
import { judge, type Verdict } from './judge.ts';
import { FIRST_SENTENCE_MS, outcome, say } from './lines-for-tests.ts';

const CASES: readonly { name: string; line: Parameters<typeof outcome>[1] | null; verdict: Verdict }[] = [
  { name: 'a first sentence at the last moment of its tier', line: { ttfsMs: 2_000 }, verdict: 'good' },
  { name: 'a first sentence a moment later', line: { ttfsMs: 2_001 }, verdict: 'late' },
  { name: 'a line of which nothing was known at the end', line: null, verdict: 'late' },
  { name: 'a cached line', line: { source: 'cache' }, verdict: 'good' },
  { name: 'a written line that was asked for', line: { source: 'written' }, verdict: 'good' },
  { name: 'a stand-in in time', line: { source: 'written', cause: 'overload' }, verdict: 'stood-in' },
  {
    name: 'a stand-in that is late',
    line: { source: 'written', cause: 'timeout', ttfsMs: 9_000 },
    verdict: 'late',
  },
  { name: 'a line that failed after its first sentence', line: { end: 'failed' }, verdict: 'failed' },
  {
    name: 'a line that nobody had to speak',
    line: { end: 'unspoken', ttfsMs: null },
    verdict: 'not-judged',
  },
  { name: 'an answer without a sentence', line: { ttfsMs: null }, verdict: 'late' },
];

for (const { name, line, verdict } of CASES)
  test(`${name} is ${verdict}`, () => {
    const outcomes = line === null ? [] : [outcome('s1', line)];
    assert.equal(judge([say('s1')], outcomes, FIRST_SENTENCE_MS)[0]?.verdict, verdict);
  });

test('a player who leaves before the time was up is no judge, one who waited longer in vain is', () => {
  const verdictAt = (totalMs: number) =>
    judge([say('s1')], [outcome('s1', { end: 'hung_up', ttfsMs: null, totalMs })], FIRST_SENTENCE_MS)[0]
      ?.verdict;
  assert.equal(verdictAt(1_999), 'not-judged');
  assert.equal(verdictAt(2_000), 'late');
});

test('each tier has its own time', () => {
  const lines = judge(
    [say('s1', { tier: 1 }), say('s2', { tier: 4 })],
    [outcome('s1', { tier: 1, ttfsMs: 1_500 }), outcome('s2', { tier: 4, ttfsMs: 1_500 })],
    FIRST_SENTENCE_MS,
  );
  assert.deepEqual(
    lines.map(({ verdict }) => verdict),
    ['late', 'good'],
  );
});

test('shares are of the lines that are judged, and a stand-in is in time but never good', () => {
  const says = ['s1', 's2', 's3', 's4', 's5'].map((id) => say(id));
  const figures = figuresOf(
    judge(
      says,
      [
        outcome('s1', {}),
        outcome('s2', { source: 'written', cause: 'overload' }),
        outcome('s3', { ttfsMs: 5_000 }),
        outcome('s4', { end: 'unspoken', ttfsMs: null }),
        outcome('s5', { end: 'failed', ttfsMs: null }),
      ],
      FIRST_SENTENCE_MS,
    ),
  );
  assert.equal(figures.asked, 5);
  assert.equal(figures.judged, 4);
  assert.equal(figures.goodShare, 0.25);
  assert.equal(figures.inTimeShare, 0.5);
});

test('cached tokens are counted of lines that an engine spoke, not of those from the dialogue cache', () => {
  const figures = figuresOf(
    judge(
      [say('s1'), say('s2')],
      [
        outcome('s1', { source: 'engine', promptTokens: 200, cachedTokens: 150 }),
        outcome('s2', { source: 'cache', promptTokens: 200, cachedTokens: 0 }),
      ],
      FIRST_SENTENCE_MS,
    ),
  );
  assert.equal(figures.cachedTokenShare, 0.75);
});

test('where no line says that tokens were cached the share is unknown, not nought', () => {
  const lines = judge([say('s1')], [outcome('s1', { cachedTokens: 0 })], FIRST_SENTENCE_MS);
  assert.ok(Number.isNaN(figuresOf(lines).cachedTokenShare));
});

test('sources add up to all that was spoken, and a stand-in is told from a line that was written for its trigger', () => {
  const shares = sourcesOf(
    judge(
      [say('s1'), say('s2'), say('s3'), say('s4'), say('s5')],
      [
        outcome('s1', { source: 'engine' }),
        outcome('s2', { source: 'cache' }),
        outcome('s3', { source: 'written' }),
        outcome('s4', { source: 'written', cause: 'overload' }),
        outcome('s5', { ttfsMs: null }),
      ],
      FIRST_SENTENCE_MS,
    ),
  );
  assert.deepEqual(shares, { engine: 0.25, cache: 0.25, written: 0.25, stoodIn: 0.25 });
});
