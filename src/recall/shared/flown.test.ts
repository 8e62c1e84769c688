import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeFlown, encodeFlown, FLOWN_LENGTH_MAX } from './flown.ts';

const source = { engine: 'local', model: 'm', modelVersion: null, adapter: 'lich@8' };
const named = fc.string({ maxLength: 400 });
const flown = fc.record(
  {
    text: fc
      .string({ minLength: 1, maxLength: 2_000, unit: 'grapheme' })
      .filter(({ length }) => length <= 2_000),
    source: fc.record(
      {
        engine: named,
        model: fc.option(named),
        modelVersion: fc.option(named),
        adapter: fc.option(named),
        adapterGeneration: fc.nat(),
      },
      { requiredKeys: ['engine', 'model', 'modelVersion', 'adapter'], noNullPrototype: true },
    ),
  },
  { noNullPrototype: true },
);

describe('a sentence between gateways', () => {
  it('arrives as it left, however it is written', () => {
    fc.assert(
      fc.property(flown, (sentence) => {
        const encoded = encodeFlown(sentence);
        assert.ok(encoded !== null && !encoded.includes('\n'));
        assert.deepEqual(decodeFlown(encoded), sentence);
      }),
    );
  });

  it('is nothing when it is cut anywhere', () => {
    const encoded = encodeFlown({
      text: 'Grüß dich, Fremder! 🔥',
      source: { ...source, adapterGeneration: 2 },
    });
    assert.ok(encoded !== null);
    for (let length = 0; length < encoded.length; length++)
      assert.equal(decodeFlown(encoded.slice(0, length)), null);
  });

  it('does not leave when it is too long to arrive', () => {
    assert.equal(encodeFlown({ text: 'x'.repeat(2_001), source }), null);
    assert.equal(encodeFlown({ text: 'x', source: { ...source, engine: 'x'.repeat(24_000) } }), null);
    // Control characters take six characters each, and fit.
    const text = '\u0001'.repeat(2_000);
    assert.equal(decodeFlown(encodeFlown({ text, source }) ?? '')?.text, text);
  });

  it('is nothing when it is not ours', () => {
    for (const other of [
      { text: '', source },
      { text: 'x'.repeat(2_001), source },
      { text: 'x' },
      { text: 'x', source: { ...source, engine: null } },
      { text: 'x', source: { ...source, secret: 1 } },
      { text: 'x', source, more: 1 },
      { text: 'x', source: { ...source, adapterGeneration: -1 } },
      [],
      null,
    ])
      assert.equal(decodeFlown(JSON.stringify(other)), null, JSON.stringify(other));
    assert.equal(decodeFlown(' '.repeat(FLOWN_LENGTH_MAX) + encodeFlown({ text: 'x', source })), null);
  });
});
