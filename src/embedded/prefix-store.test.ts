import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PrefixStore } from './prefix-store.ts';
import { BASE, sharedLength } from './sequence-table.ts';

/** A copy that counts its disposals. */
class Copy {
  readonly bytes: number;
  disposals = 0;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  [Symbol.dispose](): void {
    this.disposals += 1;
  }
}

const persona = (number: number, length = 40) =>
  Array.from({ length }, (_none, index) => number * 1_000 + index);

describe('PrefixStore', () => {
  it('keeps what was used last within its bytes', () => {
    const store = new PrefixStore<Copy>(30);
    const copies = [0, 1, 2, 3].map(() => new Copy(10));
    for (const number of [0, 1, 2]) store.put(persona(number), BASE, 'prefix', copies[number] ?? new Copy(0));
    const { entry, tokens } = store.find([...persona(0), 7], BASE);
    assert.equal(tokens, 40);
    assert.ok(entry !== null);
    store.touch(entry);
    store.put(persona(3), BASE, 'prefix', copies[3] ?? new Copy(0));
    assert.equal(store.find(persona(1), BASE).tokens, 0);
    assert.deepEqual(
      copies.map((copy) => copy.disposals),
      [0, 1, 0, 0],
    );
    assert.deepEqual([store.size, store.bytes, store.evictions], [3, 30, 1]);
  });

  it('lets a talk go before any persona, and takes no talk that would push one out', () => {
    const store = new PrefixStore<Copy>(40);
    store.put(persona(0), BASE, 'prefix', new Copy(10));
    store.put(persona(1), BASE, 'talk', new Copy(10));
    store.put(persona(2), BASE, 'prefix', new Copy(10));
    store.put(persona(3), BASE, 'prefix', new Copy(10));
    store.put(persona(4), BASE, 'prefix', new Copy(10));
    assert.equal(store.find(persona(1), BASE).tokens, 0);
    assert.equal(store.hasRoomFor(40, 'talk'), false);
    const late = new Copy(10);
    assert.equal(store.put(persona(5), BASE, 'talk', late), false);
    assert.equal(late.disposals, 1);
    assert.deepEqual(
      store.entries().map(({ kind }) => kind),
      ['prefix', 'prefix', 'prefix', 'prefix'],
    );
  });

  it('holds a beginning once: the longer copy serves the shorter prompt too', () => {
    const store = new PrefixStore<Copy>(1_000);
    const short = new Copy(10);
    store.put(persona(0, 20), BASE, 'prefix', short);
    store.put(persona(0, 40), BASE, 'prefix', new Copy(20));
    assert.equal(short.disposals, 1);
    assert.equal(store.size, 1);
    assert.equal(store.find(persona(0, 25), BASE).tokens, 25);
  });

  it('takes nothing when it is off, and nothing larger than itself', () => {
    const off = new PrefixStore<Copy>(0);
    assert.equal(off.hasRoomFor(1, 'prefix'), false);
    assert.equal(off.put(persona(0), BASE, 'prefix', new Copy(1)), false);
    const small = new PrefixStore<Copy>(10);
    assert.equal(small.put(persona(0), BASE, 'prefix', new Copy(11)), false);
    assert.equal(small.hasRoomFor(40, 'prefix'), false, 'it has learned what a token costs');
    assert.equal(small.size, 0);
  });

  it('is within its bytes, disposes each copy once, and never finds what another adapter computed', () => {
    const move = fc.record({
      kind: fc.constantFrom('put' as const, 'find' as const, 'forget' as const, 'drop' as const),
      as: fc.constantFrom('prefix' as const, 'talk' as const),
      adapter: fc.nat(2),
      tokens: fc.array(fc.nat(1), { maxLength: 8 }),
      bytesPerToken: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.nat(60), fc.array(move, { maxLength: 60 }), (bytesMax, moves) => {
        const store = new PrefixStore<Copy>(bytesMax);
        const made: { copy: Copy; tokens: readonly number[]; adapter: number }[] = [];
        for (const { kind, as, adapter, tokens, bytesPerToken } of moves) {
          if (kind === 'put') {
            const prefixes = store.entries().filter((entry) => entry.kind === 'prefix');
            const copy = new Copy(tokens.length * bytesPerToken);
            made.push({ copy, tokens, adapter });
            const isIn = store.put(tokens, adapter, as, copy);
            assert.equal(isIn, copy.disposals === 0);
            if (isIn) assert.equal(store.find(tokens, adapter).tokens, tokens.length);
            if (as === 'talk') for (const entry of prefixes) assert.ok(store.entries().includes(entry));
          } else if (kind === 'find') {
            const { entry, tokens: length } = store.find(tokens, adapter);
            const alive = made.filter((each) => each.copy.disposals === 0 && each.adapter === adapter);
            const longest = Math.max(0, ...alive.map((each) => sharedLength(each.tokens, tokens)));
            assert.equal(length, longest);
            if (entry !== null) {
              assert.equal(entry.adapter, adapter);
              assert.deepEqual(entry.tokens.slice(0, length), tokens.slice(0, length));
              store.touch(entry);
            }
          } else if (kind === 'drop') {
            const [entry] = store.entries();
            if (entry !== undefined) store.drop(entry);
          } else store.forget(adapter);
          const alive = made.filter((each) => each.copy.disposals === 0);
          assert.equal(store.size, alive.length);
          assert.equal(
            store.bytes,
            alive.reduce((sum, each) => sum + each.copy.bytes, 0),
          );
          assert.ok(store.bytes <= bytesMax);
          if (kind === 'forget') assert.ok(alive.every((each) => each.adapter !== adapter));
        }
        store.clear();
        assert.ok(made.every((each) => each.copy.disposals === 1));
        assert.deepEqual([store.size, store.bytes], [0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
