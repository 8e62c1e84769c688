/** One line among many: what is found is what comparing with each would find. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { findNearDuplicates } from './near-duplicates.ts';
import { NearIndex } from './near-index.ts';

const line = fc
  .array(fc.constantFrom(...'the bell is my soul and night of ash in a stair you mind wine'.split(' ')), {
    minLength: 1,
    maxLength: 9,
  })
  .map((words) => words.join(' '));

test('finds a near duplicate exactly where comparing each with each does', () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), line, (lines, text) => {
      const index = new NearIndex<number>();
      for (const [at, each] of lines.entries()) index.add(each, at);
      // Two at a time, so that the older way has no groups to leave out.
      const near = lines.flatMap((each, at) =>
        findNearDuplicates([
          { id: 'known', text: each },
          { id: 'asked', text },
        ]).length > 0
          ? [at]
          : [],
      );
      const found = index.find(text);
      if (found === null) assert.deepEqual(near, []);
      else assert.ok(near.includes(found), `${lines[found]} is not near ${text}`);
      for (const at of near)
        assert.equal(
          index.find(text, (value) => value === at),
          at,
        );
    }),
    { numRuns: 1_000 },
  );
});

test('a line without words, and an index without lines, are near nothing but themselves', () => {
  const index = new NearIndex<string>();
  assert.equal(index.find('anything at all, really'), null);
  index.add('…', 'dots');
  assert.equal(index.find('!!'), 'dots');
  assert.equal(index.find('a'), null);
});
