/** The dialogue cache at the operator's door, through a real server and a real cache. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { doorHarness } from '../testing/door-harness.ts';
import { aRecallHouse } from '../testing/recall-desk.ts';
import { recallSchema } from './recall-wire.ts';

const ROOT = '/admin/v1/recall';

async function open(given: Parameters<typeof aRecallHouse>[0] = {}) {
  const house = aRecallHouse(given);
  const door = await doorHarness({ recall: house.desk });
  const show = async () => recallSchema.parse(await (await door.get(ROOT)).json());
  return { ...house, door, show, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() };
}

async function refused(reply: Response, status: number, code: string): Promise<string> {
  const body = (await reply.json()) as { code: string; detail: string };
  assert.equal(reply.status, status, body.detail);
  assert.equal(body.code, code);
  return body.detail;
}

test('before the first line shares are null, not zero', async () => {
  await using house = await open();
  const seen = await house.show();
  assert.equal(seen.enabled, true);
  assert.equal(seen.shared, 'none');
  assert.equal(seen.recent.hit_share, null);
  assert.equal(seen.total.hit_share, null);
  assert.equal(seen.prefix.cached_share, null);
  assert.deepEqual(seen.npcs, []);
  assert.equal(seen.memory.bytes_max, 64 * 2 ** 20);
  assert.equal(seen.options.shared_wait_ms, null);
});

test('what was saved is told in all and by NPC, in dollars and seconds', async () => {
  await using house = await open({ options: { variantsMax: 7, ttlS: 60 } });
  house.heard('ilse', 'miss');
  house.heard('ilse', 'hit', 2_500);
  house.heard('ilse', 'joined');
  house.heard('vey', 'miss');
  house.heard('vey', 'bypass');
  house.generated('ilse', 450);
  house.keep('ilse', 'who');
  const seen = await house.show();
  assert.equal(seen.total.hit_share, 0.5, 'a bypassed line is not asked of the cache');
  assert.equal(seen.recent.hit_share, 0.5);
  assert.equal(seen.total.cost_usd, 0.0025);
  assert.equal(seen.total.wait_s, 1.2);
  const [ilse] = seen.npcs;
  assert.equal(ilse?.npc_id, 'ilse');
  assert.equal(ilse.hit_share, 2 / 3);
  assert.deepEqual(ilse.prefix, { prompt_tokens: 500, cached_tokens: 450, cached_share: 0.9 });
  assert.equal(seen.memory.keys, 1);
  assert.equal(seen.options.variants_max, 7);
  assert.equal(seen.options.ttl_s, 60);
  house.clock.advance(300_000);
  const later = await house.show();
  assert.equal(later.recent.hit_share, null);
  assert.equal(later.total.hits, 1);
});

test('a hundred NPCs are listed, and how many there are is told', async () => {
  await using house = await open();
  for (let at = 0; at < 130; at++) house.heard(`npc_${at}`, 'miss');
  const seen = await house.show();
  assert.equal(seen.npcs.length, 100);
  assert.equal(seen.npcs_known, 130);
});

test('one NPC is forgotten, everybody only when that is said, and a wrong id names near ones', async () => {
  await using house = await open();
  const forget = (body: unknown) => house.door.post(`${ROOT}/forget`, body);
  house.keep('ilse', 'who');
  house.keep('vey', 'who');
  assert.match(await refused(await forget({ npc_id: 'ilsa' }), 404, 'unknown_npc'), /did you mean ilse\?/);
  for (const body of [{}, { all: false }, { npc_id: 'ilse', all: true }, { npc_id: '' }, { everybody: true }])
    await refused(await forget(body), 400, 'bad_request');
  assert.match(await refused(await forget({}), 400, 'bad_request'), /either npc_id, or "all": true/);
  assert.equal((await house.show()).memory.keys, 2);
  assert.deepEqual(await (await forget({ npc_id: 'ilse' })).json(), { npc_id: 'ilse', keys: 1 });
  assert.deepEqual(await (await forget({ all: true })).json(), { npc_id: null, keys: 1 });
  assert.equal((await house.show()).memory.keys, 0);
});

test('a shared tier that is away is said, and forgetting without it fails after this process forgot', async () => {
  await using house = await open({
    shared: {
      isReachable: false,
      look: () => Promise.resolve({ kind: 'away' }),
      keep: () => {},
      forget: () => Promise.reject(new ServiceError('store_unavailable', 'the shared tier is away')),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    },
  });
  house.keep('ilse', 'who');
  assert.equal((await house.show()).shared, 'unreachable');
  assert.equal((await house.show()).options.shared_wait_ms, 2);
  await refused(await house.door.post(`${ROOT}/forget`, { all: true }), 503, 'store_unavailable');
  assert.equal((await house.show()).memory.keys, 0);
});

test('a process without a cache says so, and a key that may only talk is refused', async () => {
  await using none = await doorHarness();
  await refused(await none.get(ROOT), 404, 'not_found');
  await using locked = await doorHarness({ recall: aRecallHouse().desk }, { authRequired: true });
  const { token } = await locked.store.keys.create({ label: 'game', scopes: ['game'] });
  await refused(await locked.get(ROOT, { authorization: `Bearer ${token}` }), 403, 'forbidden');
  assert.equal((await locked.post(`${ROOT}/forget`, { all: true })).status, 401);
});
