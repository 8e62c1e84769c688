import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doorHarness } from '../testing/door-harness.ts';

test('a hint names the adapter of each NPC and whether it is there, and is accepted whatever is missing', async () => {
  await using harness = await doorHarness();
  const reply = await harness.post('/v1/prepare', { npc_ids: ['vampire_1', 'nobody'] });
  assert.equal(reply.status, 202);
  assert.deepEqual(await reply.json(), {
    data: [
      { npc_id: 'vampire_1', adapter: 'vampire@1', state: 'loading', prefix: 'cold' },
      { npc_id: 'nobody', adapter: null, state: 'unknown_npc', prefix: 'cold' },
    ],
  });
});

test('a hint for nobody, for too many or with another key is refused by name', async () => {
  await using harness = await doorHarness();
  for (const [body, fault] of [
    [{ npc_ids: [] }, /npc_ids/],
    [{ npc_ids: Array.from({ length: 65 }, () => 'vampire_1') }, /npc_ids/],
    [{ npcs: ['vampire_1'] }, /npc/],
  ] as const) {
    const reply = await harness.post('/v1/prepare', body);
    assert.equal(reply.status, 400);
    assert.match(JSON.stringify(await reply.json()), fault);
  }
});
