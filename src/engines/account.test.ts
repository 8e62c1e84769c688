import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Account, count } from './account.ts';

const request = { messages: [{ role: 'user' as const, content: 'abcdef' }], assistantPrefix: 'abc' };

test('what is not reported is estimated, and only what is reported whole is called so', () => {
  const account = new Account(request);
  assert.deepEqual(account.usage, {
    promptTokens: 3,
    cachedTokens: 0,
    completionTokens: 0,
    source: 'estimated',
  });
  assert.equal([...account.heard('')].length, 0);
  const events = [...account.heard('one two')];
  assert.deepEqual(
    events.map(({ type }) => type),
    ['usage', 'text'],
  );
  assert.equal(account.usage.completionTokens, 3);
  account.reportPrompt({ promptTokens: 20, cachedTokens: 15, cacheWriteTokens: 2 });
  assert.equal(account.usage.source, 'estimated');
  account.reportCompletion({ completionTokens: 8, reasoningTokens: 6 });
  assert.deepEqual(account.usage, {
    promptTokens: 20,
    cachedTokens: 15,
    cacheWriteTokens: 2,
    completionTokens: 8,
    reasoningTokens: 6,
    source: 'reported',
  });
});

test('no more of the prompt can have come from the cache than there was', () => {
  const account = new Account(request);
  account.reportPrompt({ promptTokens: 2, cachedTokens: 7 });
  assert.equal(account.usage.cachedTokens, 2);
});

test('a count is a whole number, not below zero', () => {
  assert.deepEqual([0, 7, -1, 1.5, '7', null, undefined, Number.NaN, 1e30].map(count), [
    0,
    7,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
  ]);
});
