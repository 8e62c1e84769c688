import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCast } from '../cast/cast.ts';
import { parsePersona } from '../cast/persona.ts';
import type { AdapterKeeper } from '../core/adapter.ts';
import { tiersSchema } from '../routing/tiers.ts';
import { prepareNpcs } from './prepare.ts';

const never = new AbortController().signal;

function persona(id: string, adapter?: string) {
  const parsed = parsePersona(
    {
      schema: 'greenroom.persona/1',
      ...{ id, version: 1, name: id, monster_type: 'lich', tier: 2, summary: 'Keeps bones.' },
      ...(adapter === undefined ? {} : { model: { adapter } }),
    },
    `${id}.json`,
  );
  assert.ok('persona' in parsed, JSON.stringify(parsed));
  return parsed.persona;
}

test('a hint wants the adapter behind every player, waits for nothing, and says what is missing', async () => {
  const wanted: unknown[] = [];
  const adapters: AdapterKeeper = {
    resolve: (reference) =>
      reference === 'lich' ? { id: 'lich@7', engineName: 'lich@7-00000000', generation: 1 } : 'unknown',
    want: (adapter, _replicas, wish) => {
      wanted.push([adapter.id, wish]);
      return Promise.resolve('loading');
    },
    lease: () => null,
  };
  const cast = createCast([persona('one', 'lich'), persona('two', 'nobody'), persona('three')], []);
  const tiers = tiersSchema.parse({});
  const said = await prepareNpcs(
    ['one', 'two', 'three', 'four'],
    { cast, tiers, pools: new Map(), adapters, warm: { hint: () => 'warming' } },
    never,
  );
  assert.deepEqual(said, [
    { npcId: 'one', adapter: 'lich@7', state: 'loading', prefix: 'warming' },
    { npcId: 'two', adapter: 'nobody', state: 'unknown', prefix: 'cold' },
    { npcId: 'three', adapter: null, state: 'ready', prefix: 'warming' },
    { npcId: 'four', adapter: null, state: 'unknown_npc', prefix: 'cold' },
  ]);
  assert.deepEqual(wanted, [['lich@7', { priority: 'hint', tier: 2, waitMs: 0 }]]);
});
