import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PlaceLimit } from './place-limit.ts';

const EARLY = 0.2;

test('an engine that brings all in time keeps every place', () => {
  const limit = new PlaceLimit(16);
  for (let line = 0; line < 100; line++) limit.spoke(EARLY, 16);
  assert.equal(limit.places, 16);
});

test('a line that comes late takes places from those that ran beside it, not from the most that is allowed', () => {
  const limit = new PlaceLimit(64);
  limit.late(limit.ticket(), 10);
  assert.equal(limit.places, 7);
});

test('lines that are late together cut once; one that began after the cut cuts again', () => {
  const limit = new PlaceLimit(16);
  const together = Array.from({ length: 10 }, () => limit.ticket());
  for (const ticket of together) limit.late(ticket, 10);
  assert.equal(limit.places, 7);
  limit.late(limit.ticket(), 7);
  assert.equal(limit.places, 4);
});

test('places come back one after another while all that are there are used and lines come early', () => {
  const limit = new PlaceLimit(8);
  for (let line = 0; line < 20; line++) limit.late(limit.ticket(), 8);
  assert.equal(limit.places, 1);
  const seen = [1];
  for (let line = 0; line < 200; line++) {
    limit.spoke(EARLY, limit.places);
    if (limit.places !== seen.at(-1)) seen.push(limit.places);
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('neither lines that only just came in time nor unused places add any', () => {
  const limit = new PlaceLimit(8);
  limit.late(limit.ticket(), 4);
  assert.equal(limit.places, 2);
  for (let line = 0; line < 100; line++) limit.spoke(0.7, 2);
  for (let line = 0; line < 100; line++) limit.spoke(EARLY, 1);
  assert.equal(limit.places, 2);
});

test('there is always a place, and never more than allowed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.array(
        fc.record({
          isLate: fc.boolean(),
          share: fc.double({ min: 0, max: 2, noNaN: true }),
          ran: fc.nat(64),
        }),
      ),
      (max, lines) => {
        const limit = new PlaceLimit(max);
        for (const { isLate, share, ran } of lines) {
          if (isLate) limit.late(limit.ticket(), ran);
          else limit.spoke(share, ran);
          assert.ok(Number.isInteger(limit.places) && limit.places >= 1 && limit.places <= max);
        }
      },
    ),
  );
});
