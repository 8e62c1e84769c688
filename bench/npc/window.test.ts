/** Stretches of the trace: every line once, at its time, in an order that favours nobody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { say } from './lines-for-tests.ts';
import { Cursor, entriesOf, orderOf } from './window.ts';

const ENTRIES = Array.from({ length: 200 }, (_none, index) => say(`s${index}`, { atMs: index * 100 }));

test('a stretch at three times the pace holds the lines of three times the time, each at a third of its distance', () => {
  const entries = entriesOf(ENTRIES, { fromMs: 1_000, speed: 3, wallMs: 1_000 });
  assert.equal(entries.length, 30);
  assert.equal(entries[0]?.atMs, 0);
  assert.equal(entries[3]?.atMs, 100);
});

test('stretches one after the other never share a line unless they say that they begin again', () => {
  const asked = fc.record({
    speed: fc.double({ min: 0.1, max: 20, noNaN: true }),
    wallMs: fc.integer({ min: 100, max: 2_000 }),
  });
  fc.assert(
    fc.property(fc.array(asked, { maxLength: 12 }), fc.nat(30_000), (all, offsetMs) => {
      const cursor = new Cursor({ fromMs: 1_000, untilMs: 20_000 }, offsetMs, ENTRIES);
      let heard = new Set<unknown>();
      for (const { speed, wallMs } of all) {
        const { stretch, isAgain } = cursor.next(speed, wallMs);
        if (isAgain) heard = new Set();
        assert.ok(stretch.fromMs >= 1_000 && stretch.wallMs <= wallMs + 1e-6);
        for (const entry of entriesOf(ENTRIES, stretch)) {
          assert.ok(entry.kind === 'say' && !heard.has(entry.id));
          heard.add(entry.id);
        }
      }
    }),
  );
});

test('a stretch is taken where the trace is neither in a burst nor in a lull', () => {
  const calm = Array.from({ length: 300 }, (_none, index) => say(`c${index}`, { atMs: index * 200 }));
  const burst = Array.from({ length: 50 }, (_none, index) => say(`b${index}`, { atMs: index * 80 }));
  const cursor = new Cursor({ fromMs: 0, untilMs: 60_000 }, 0, [...burst, ...calm]);
  const { stretch } = cursor.next(1, 4_000);
  const expected = 350 / 15;
  const lines = entriesOf([...burst, ...calm], stretch).length;
  assert.ok(Math.abs(lines / expected - 1) <= 0.15, `${lines} lines`);
});

test('in as many rounds as there are sides each begins once, and no round leaves one out', () => {
  const sides = ['a', 'b', 'c', 'd', 'e'];
  const orders = sides.map((_side, round) => orderOf(sides, round));
  for (const order of orders) assert.deepEqual(order.toSorted(), sides);
  assert.equal(new Set(orders.map(([first]) => first)).size, sides.length);
});
