import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { decodeVariants, encodeVariants, variantOf } from './variant.ts';

const aVariant = fc
  .record({
    sentences: fc.array(fc.string({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 }),
    source: fc.record(
      {
        engine: fc.string({ maxLength: 10 }),
        model: fc.option(fc.string({ maxLength: 10 }), { nil: null }),
        modelVersion: fc.constant(null),
        adapter: fc.option(fc.constant('lich@7'), { nil: null }),
        adapterGeneration: fc.nat(),
      },
      { requiredKeys: ['engine', 'model', 'modelVersion', 'adapter'], noNullPrototype: true },
    ),
    bornAtMs: fc.nat(),
    took: fc.record(
      { promptTokens: fc.nat(), completionTokens: fc.nat(), costMicroUsd: fc.nat(), ttfsMs: fc.nat() },
      { noNullPrototype: true },
    ),
  })
  .map(variantOf);

test('what is encoded is read back', () => {
  fc.assert(
    fc.property(fc.array(aVariant, { maxLength: 4 }), (variants) => {
      assert.deepEqual(decodeVariants(encodeVariants(variants)), variants);
    }),
  );
});

test('anything else is nothing: cut at any character, of another version, with a field more, hostile', () => {
  const encoded = encodeVariants(fc.sample(aVariant, { numRuns: 2, seed: 3 }));
  for (let at = 0; at < encoded.length; at++) assert.equal(decodeVariants(encoded.slice(0, at)), null);
  for (const other of [
    encoded.replace('"version":1', '"version":2'),
    encoded.replace('"version":1', '"version":1,"more":1'),
    '{"version":1,"variants":[{}]}',
    '{"__proto__":{"version":1},"variants":[]}',
    'null',
    '[]',
    '"',
  ])
    assert.equal(decodeVariants(other), null, other.slice(0, 60));
  fc.assert(fc.property(fc.json(), (text) => assert.equal(decodeVariants(text), null)));
});

test('the same words are the same variant, and other words another', () => {
  const [one] = fc.sample(aVariant, { numRuns: 1, seed: 4 });
  assert.ok(one);
  const { id: _id, ...rest } = one;
  assert.equal(variantOf({ ...rest, bornAtMs: 9 }).id, one.id);
  assert.notEqual(variantOf({ ...rest, sentences: ['Other words.'] }).id, one.id);
  assert.notEqual(
    variantOf({ ...rest, sentences: ['a b'] }).id,
    variantOf({ ...rest, sentences: ['a', 'b'] }).id,
  );
});
