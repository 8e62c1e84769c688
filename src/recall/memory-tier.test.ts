import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { MemoryTier } from './memory-tier.ts';
import { bytesOf, type Variant, variantOf } from './variant.ts';

export const aVariant = (...sentences: readonly string[]): Variant =>
  variantOf({
    sentences,
    source: { engine: 'local', model: 'm', modelVersion: null, adapter: null },
    bornAtMs: 1,
    took: { promptTokens: 400, completionTokens: 20, costMicroUsd: 7, ttfsMs: 500 },
  });

test('it holds as many bytes as it may, and what was asked for longest ago goes first', () => {
  const one = aVariant('A line of some length, said once.');
  const tier = new MemoryTier(3 * (bytesOf(one) + 210));
  for (const key of ['a:1', 'a:2', 'a:3']) tier.keep(key, one, 100, 4);
  assert.equal(tier.get('a:1', 0).length, 1);
  tier.keep('a:4', one, 100, 4);
  assert.equal(tier.get('a:2', 0).length, 0, 'nobody asked for it');
  assert.equal(tier.get('a:1', 0).length, 1);
  assert.equal(tier.evictions, 1);
  assert.equal(tier.variants, 3);
});

test('a variant that no budget has room for is not held', () => {
  const tier = new MemoryTier(100);
  tier.keep('a:1', aVariant('Anything at all.'), 100, 4);
  assert.deepEqual(tier.get('a:1', 0), []);
  assert.equal(tier.variants, 0);
  assert.equal(tier.bytes, 0);
});

test('of more variants than a key may have the oldest goes, and the same words are one', () => {
  const tier = new MemoryTier(1e6);
  for (const text of ['One.', 'Two.', 'Three.', 'Two.']) tier.keep('a:1', aVariant(text), 100, 2);
  assert.deepEqual(
    tier.get('a:1', 0).map(({ sentences }) => sentences[0]),
    ['Three.', 'Two.'],
  );
});

test('a variant is not said after its time', () => {
  const tier = new MemoryTier(1e6);
  tier.keep('a:1', aVariant('Soon over.'), 100, 4);
  tier.keep('a:1', aVariant('Lasts longer.'), 200, 4);
  assert.equal(tier.get('a:1', 99).length, 2);
  assert.deepEqual(
    tier.get('a:1', 100).map(({ sentences }) => sentences[0]),
    ['Lasts longer.'],
  );
  assert.equal(tier.get('a:1', 200).length, 0);
  assert.equal(tier.keys, 0);
});

test('what one NPC said is forgotten alone', () => {
  const tier = new MemoryTier(1e6);
  for (const key of ['vey:1', 'vey:2', 'veyra:1']) tier.keep(key, aVariant('Words.'), 100, 4);
  assert.equal(tier.forget('vey'), 2);
  assert.equal(tier.get('veyra:1', 0).length, 1);
  assert.equal(tier.forget(null), 1);
  assert.equal(tier.variants, 0);
});

test('whatever is kept and forgotten, counts and bytes are those of what is there', () => {
  const step = fc.record({
    key: fc.constantFrom('a:1', 'a:2', 'b:1'),
    text: fc.constantFrom('One.', 'Two, and more.', 'Three'.repeat(40)),
    expires: fc.nat(50),
    now: fc.nat(50),
    act: fc.constantFrom('keep', 'get', 'forget', 'drop'),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 500, max: 5_000 }),
      (steps, bytesMax) => {
        const tier = new MemoryTier(bytesMax);
        for (const { key, text, expires, now, act } of steps) {
          if (act === 'keep') tier.keep(key, aVariant(text), expires, 2);
          else if (act === 'get') tier.get(key, now);
          else if (act === 'drop') tier.drop(key, aVariant(text).id);
          else tier.forget(key.slice(0, 1));
          assert.ok(tier.bytes <= bytesMax);
        }
        const all = ['a:1', 'a:2', 'b:1'].map((key) => tier.get(key, -1));
        assert.equal(
          tier.variants,
          all.reduce((sum, variants) => sum + variants.length, 0),
        );
        assert.ok(all.every((variants) => variants.length <= 2));
      },
    ),
  );
});
