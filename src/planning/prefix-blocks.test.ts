/** Prompts that begin alike share blocks; room is bounded, and the least used goes first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_TOKENS, blocksOf, PrefixBlocks, tokensOf } from './prefix-blocks.ts';

test('a text that differs shares the blocks before the difference and none after', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 300, maxLength: 600 }), fc.nat({ max: 299 }), (text, at) => {
      const other = `${text.slice(0, at)}${text[at] === 'x' ? 'y' : 'x'}${text.slice(at + 1)}`;
      const one = blocksOf(text);
      const two = blocksOf(other);
      const same = Math.floor(at / (BLOCK_TOKENS * 4));
      assert.deepEqual(one.slice(0, same), two.slice(0, same));
      for (let block = same; block < Math.min(one.length, two.length); block++)
        assert.notEqual(one[block], two[block]);
    }),
  );
});

test('a prompt that was read is cached but for its last token, and what is over the room is forgotten', () => {
  const cache = new PrefixBlocks(4 * BLOCK_TOKENS);
  const first = blocksOf('a'.repeat(128));
  const second = blocksOf('b'.repeat(192));
  cache.keep(first);
  assert.equal(cache.cachedTokens(first, 32), 31);
  assert.equal(cache.cachedTokens(first, 40), 32);
  cache.keep(second);
  assert.equal(cache.tokens, 4 * BLOCK_TOKENS);
  assert.equal(cache.cachedTokens(second, 60), 48);
  assert.equal(cache.cachedTokens(first, 40), BLOCK_TOKENS, 'the end of the older prompt went first');
});

test('an engine without a cache keeps nothing, and no text is no prompt', () => {
  const cache = new PrefixBlocks(0);
  cache.keep(blocksOf('a'.repeat(640)));
  assert.equal(cache.tokens, 0);
  assert.equal(tokensOf(''), 1);
});
