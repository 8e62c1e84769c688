import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbeddingPace, EmbeddingTask } from './embedding-task.ts';
import type { Embedder } from './llama/embedder.ts';

/** Keeps what it was given; a token takes a millisecond. */
function embedderOf(readsForward: boolean) {
  const clock = { nowMs: 0 };
  const parts: { from: number; tokens: readonly number[]; isLast: boolean }[] = [];
  const embedder: Embedder = {
    readsForward,
    prepare: (tokens) => tokens,
    evaluate: (tokens, from, isLast) => {
      parts.push({ from, tokens, isLast });
      clock.nowMs += tokens.length;
      return Promise.resolve(isLast ? [3, 4] : null);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { clock, parts, embedder };
}

const TOKENS = Array.from({ length: 50 }, (_none, at) => at);

test('a text is evaluated in parts of the time given, each where the last ended, and its vector has length one', async () => {
  const { clock, parts, embedder } = embedderOf(true);
  const task = new EmbeddingTask(embedder, TOKENS, { pace: new EmbeddingPace(), nowMs: () => clock.nowMs });
  let calls = 1;
  while (!(await task.advance(12))) calls += 1;
  assert.equal(calls, 5);
  assert.deepEqual(
    parts.map(({ from, isLast }) => [from, isLast]),
    [
      [0, false],
      [12, false],
      [24, false],
      [36, false],
      [48, true],
    ],
  );
  assert.deepEqual(
    parts.flatMap(({ tokens }) => tokens),
    TOKENS,
  );
  assert.deepEqual(task.vector, [0.6, 0.8]);
});

test('a model that reads both ways gets the whole text at once', async () => {
  const { clock, parts, embedder } = embedderOf(false);
  const task = new EmbeddingTask(embedder, TOKENS, { pace: new EmbeddingPace(), nowMs: () => clock.nowMs });
  assert.equal(await task.advance(1), true);
  assert.equal(parts.length, 1);
});

test('the pace follows the machine, and a part is never too small to be worth its pass', () => {
  const pace = new EmbeddingPace();
  for (let times = 0; times < 40; times += 1) pace.observe(100, 25);
  assert.equal(pace.tokensIn(10), 39);
  for (let times = 0; times < 40; times += 1) pace.observe(10, 1_000);
  assert.equal(pace.tokensIn(10), 4);
});
