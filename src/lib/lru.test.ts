import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LruCache } from './lru.ts';

test('what was used longest ago leaves first', () => {
  const evicted: string[] = [];
  const cache = new LruCache<string, number>({ maxEntries: 2, onEvict: (key) => evicted.push(key) });
  cache.set('a', 1);
  cache.set('b', 2);
  assert.equal(cache.get('a'), 1);
  assert.equal(cache.peek('b'), 2, 'a peek is no use');
  cache.set('c', 3);
  assert.deepEqual([cache.get('b'), cache.get('a'), cache.get('c')], [undefined, 1, 3]);
  cache.set('a', 4);
  assert.equal(cache.delete('c'), true);
  assert.equal(cache.delete('c'), false);
  assert.deepEqual(evicted, ['b']);
});

test('an entry over the byte limit is refused and its old value is gone', () => {
  const cache = new LruCache<string, string>({ maxEntries: 9, maxBytes: 4, sizeOf: (value) => value.length });
  assert.equal(cache.set('a', 'four'), true);
  assert.equal(cache.set('a', 'fiver'), false);
  assert.deepEqual([cache.has('a'), cache.bytes, cache.size], [false, 0, 0]);
  assert.throws(() => new LruCache({ maxEntries: 0 }), /entries/);
  assert.throws(() => new LruCache({ maxEntries: 1, maxBytes: 1 }), /sizeOf/);
});

test('any sequence of calls agrees with a list that is searched', () => {
  const key = fc.integer({ min: 0, max: 6 });
  const call = fc.oneof(
    fc.tuple(fc.constant('set' as const), key, fc.integer({ min: 0, max: 6 })),
    fc.tuple(fc.constantFrom('get' as const, 'delete' as const), key, fc.constant(0)),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 80 }), (calls) => {
      const cache = new LruCache<number, number>({ maxEntries: 4, maxBytes: 12, sizeOf: (value) => value });
      let model: [number, number][] = [];
      for (const [name, at, value] of calls) {
        const found = model.find(([each]) => each === at);
        if (name !== 'get' || found) model = model.filter((each) => each !== found);
        if (name === 'get') {
          assert.equal(cache.get(at), found?.[1]);
          if (found) model.push(found);
        } else if (name === 'delete') {
          assert.equal(cache.delete(at), found !== undefined);
        } else {
          cache.set(at, value);
          model.push([at, value]);
          while (model.length > 4 || model.reduce((sum, [, each]) => sum + each, 0) > 12) model.shift();
        }
        assert.deepEqual(
          [...cache.keys()],
          model.map(([each]) => each),
        );
        assert.equal(
          cache.bytes,
          model.reduce((sum, [, each]) => sum + each, 0),
        );
      }
    }),
  );
});
