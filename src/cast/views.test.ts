import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { type Cast, loadCast } from './cast.ts';
import { lineCounts, lineRows, npcSummaries } from './views.ts';

let cast: Cast;
before(async () => {
  cast = await loadCast('examples/body-broker/cast', new AbortController().signal);
});

test('the example cast has at least 14 NPCs over six kinds and four tiers', () => {
  const npcs = npcSummaries(cast);
  assert.ok(npcs.length >= 14);
  assert.deepEqual([...new Set(npcs.map((npc) => npc.kind))].sort(), [
    'ghoul',
    'human',
    'lich',
    'vampire',
    'werewolf',
    'zombie',
  ]);
  assert.deepEqual(
    [...new Set(npcs.map((npc) => npc.tier))].sort((a, b) => a - b),
    [1, 2, 3, 4],
  );
});

test('lines are listed by speaker and trigger, conditions as their source text', () => {
  const rows = lineRows(cast, { speaker: 'vampire', trigger: 'spot' });
  assert.ok(rows.length >= 20);
  assert.ok(rows.every((row) => row.speaker === 'vampire' && row.trigger === 'spot'));
  const conditional = lineRows(cast, { speaker: 'vampire' }).find((row) => row.when.length > 0);
  assert.equal(typeof conditional?.when[0], 'string');
});

test("counts stand in the order the pool widens: the NPC's own, its kind's, everybody's", () => {
  const counts = lineCounts(cast, 'vampire_salon_keeper');
  assert.deepEqual(Object.keys(counts), ['vampire_salon_keeper', 'vampire', 'common']);
  assert.ok((counts['vampire_salon_keeper']?.['greet'] ?? 0) >= 8);
});
