/** The policies on the simulated engine: what the table of the bench rests on, in small. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { seeded } from '../engine/prompts.ts';
import { openLoop, zipf } from './demand.ts';
import { NPC_LINES, type SimulatedCell, simulateCell } from './simulated.ts';

const workload = { ...NPC_LINES, playMs: 20_000, warmUpMs: 0 };
const cell = (changes: Partial<SimulatedCell>): SimulatedCell => ({
  workload,
  policy: 'first come',
  adapters: 12,
  slots: 3,
  waitMs: 800,
  seed: 7,
  ...changes,
});

// The engine of the simulation ends the cell when a line is spoken by other weights than it asked for, when an adapter is
// unloaded under a line, when it is asked for a slot that it has not, and when a line is never answered.

test('first come, first served: every line is spoken by its own adapter, however long it waits', async () => {
  const scarce = await simulateCell(cell({}));
  assert.equal(scarce.basePercent, 0);
  assert.ok(scarce.loads > 0);
  const resident = await simulateCell(cell({ slots: 12 }));
  assert.equal(resident.loads, 0);
  assert.equal(resident.lines, scarce.lines, 'the same lines for each policy');
});

test('our keeper answers the same lines, some of them by the base', async () => {
  const ours = await simulateCell(cell({ policy: 'ours' }));
  assert.equal(ours.lines, (await simulateCell(cell({}))).lines);
  assert.ok(ours.basePercent > 0 && ours.basePercent < 100, `${ours.basePercent} %`);
});

test('the same seed gives the same figures, another one others', async () => {
  for (const policy of ['ours', 'first come'] as const) {
    const first = await simulateCell(cell({ policy }));
    assert.deepEqual(await simulateCell(cell({ policy })), first);
    assert.notDeepEqual(await simulateCell(cell({ policy, seed: 8 })), first);
  }
});

test('demand follows the law that it names', () => {
  const draw = zipf(4, 1, seeded(1));
  const counts = [0, 0, 0, 0];
  for (let at = 0; at < 25_000; at++) {
    const rank = draw();
    counts[rank] = (counts[rank] ?? 0) + 1;
  }
  // 12/25, 6/25, 4/25 and 3/25 of them.
  for (const [rank, share] of [12, 6, 4, 3].entries())
    assert.ok(Math.abs((counts[rank] ?? 0) - share * 1_000) < 500, String(counts));
  const lines = openLoop({ adapters: 1, exponent: 0, linesPerSecond: 10, forMs: 100_000 }, seeded(2));
  assert.ok(Math.abs(lines.length - 1_000) < 120, String(lines.length));
  assert.ok(lines.every(({ atMs }, at) => atMs >= (lines[at - 1]?.atMs ?? 0) && atMs < 100_000));
});
