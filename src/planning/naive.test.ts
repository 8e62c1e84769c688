/** The sums of the source document come out to the dollar, and the cost of a plan adds up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { costOf } from './cost.ts';
import { naiveRow, SEEDS_ASSUMPTIONS } from './naive.ts';

test("the source document's row: 240,000 dialogues a day, $32,400, $7,313, 77 % saved", () => {
  const row = naiveRow(SEEDS_ASSUMPTIONS);
  assert.equal(row.dialoguesPerDay, 240_000);
  assert.equal(row.cloudOnlyUsdPerMonth, 32_400);
  assert.equal(row.hybridCloudUsdPerMonth, 6_480);
  assert.equal(Math.round(row.hardwareUsdPerMonth), 833);
  assert.equal(Math.round(row.hybridUsdPerMonth), 7_313);
  assert.equal(Math.round(row.savedUsdPerMonth), 25_087);
  assert.equal(Math.round(row.savedShare * 100), 77);
});

test('engines are paid for every hour they stand, clouds for every dialogue', () => {
  const cost = costOf({
    players: 1_000,
    dialoguesPerPlayerHour: 20,
    hoursPerDay: 12,
    engines: 3,
    usdPerEngineHour: 0.5,
    engineHoursPerDay: 24,
    cloudUsdPerDialogue: 0.0001,
  });
  assert.equal(cost.dialoguesPerDay, 240_000);
  assert.equal(cost.enginesUsdPerDay, 36);
  assert.ok(Math.abs(cost.cloudUsdPerDay - 24) < 1e-9);
  assert.ok(Math.abs(cost.usdPerPlayerHour - 60 / 12_000) < 1e-12);
});
