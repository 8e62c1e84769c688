/** Who comes in: loopback names without keys, scopes with them, and 503 rather than 401 when the store is away. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import test from 'node:test';
import { doorHarness } from '../testing/door-harness.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Gate, isLoopback } from './access.ts';

const SAY = { npc_id: 'vampire_1', prompt: 'Good evening.' };

/** fetch sets Host itself; a page that rebinds its name does not ask. */
function statusWithHost(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(`${url}/v1/npcs`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

for (const [origin, expected] of [
  ['http://localhost:8080', true],
  ['http://127.0.0.1', true],
  ['http://127.9.9.9:1', true],
  ['http://[::1]:8080', true],
  ['http://a.localhost', true],
  ['http://localhost.evil.com', false],
  ['http://127.0.0.1.evil.com', false],
  ['http://evil.com:8080', false],
  ['http://localhost@evil.com', false],
  ['http://', false],
  ['null', false],
  ['file:///x', false],
] as const)
  test(`${origin} ${expected ? 'is' : 'is not'} this machine`, () => {
    assert.equal(isLoopback(origin), expected);
  });

test('without keys a page that rebound its name, and a page of another site, are refused', async () => {
  await using door = await doorHarness();
  assert.equal(await statusWithHost(door.url, 'evil.com'), 403);
  assert.equal(await statusWithHost(door.url, 'localhost:1'), 200);
  const foreign = await door.post('/v1/dialogue', SAY, { origin: 'https://evil.com' });
  assert.equal(foreign.status, 403);
  const own = await door.post('/v1/dialogue', SAY, { origin: door.url });
  assert.equal(own.status, 200);
  assert.equal(door.services.asked[0]?.mayRaiseTier, true);
});

test('with keys a call needs the scope of its route', async () => {
  await using door = await doorHarness({}, { authRequired: true });
  const game = await door.store.keys.create({ label: 'g', scopes: ['game'] });
  const operator = await door.store.keys.create({ label: 'o', scopes: ['operator'] });
  const both = await door.store.keys.create({ label: 'b', scopes: ['game', 'operator'] });
  const status = async (path: string, token: string | null) =>
    (await door.get(path, token === null ? {} : { authorization: `Bearer ${token}` })).status;
  assert.equal(await status('/v1/npcs', null), 401);
  assert.equal(await status('/v1/npcs', 'nonsense'), 401);
  assert.equal(await status('/v1/npcs', game.token), 200);
  assert.equal(await status('/v1/npcs', operator.token), 403);
  assert.equal(await status('/admin/v1/status', game.token), 403);
  assert.equal(await status('/metrics', operator.token), 200);
  for (const path of ['/livez', '/readyz', '/', '/openapi.json', '/docs'])
    assert.equal(await status(path, null), 200, path);
  assert.equal((await door.get('/v1/npcs', { 'x-api-key': game.token })).status, 200);
  await door.post('/v1/dialogue', SAY, { authorization: `Bearer ${game.token}` });
  await door.post('/v1/dialogue', SAY, { authorization: `Bearer ${both.token}` });
  assert.deepEqual(
    door.services.asked.map(({ mayRaiseTier }) => mayRaiseTier),
    [false, true],
  );
});

test('a key that no store can confirm is 503, not 401; health still answers', async () => {
  await using door = await doorHarness({}, { authRequired: true });
  await using elsewhere = await doorHarness();
  const { token } = await elsewhere.store.keys.create({ label: 'made elsewhere', scopes: ['game'] });
  await door.store[Symbol.asyncDispose]();
  const response = await door.get('/v1/npcs', { authorization: `Bearer ${token}` });
  assert.equal(response.status, 503);
  assert.equal((await door.get('/livez')).status, 200);
});

test('two keys never hear one another through the same Idempotency-Key', async () => {
  await using door = await doorHarness({}, { authRequired: true });
  for (const label of ['a', 'b']) {
    const { token } = await door.store.keys.create({ label, scopes: ['game'] });
    await door.post('/v1/dialogue', SAY, { authorization: `Bearer ${token}`, 'idempotency-key': 'same' });
  }
  assert.equal(door.services.asked.length, 2);
});

test('a store that is away is 503 with an Idempotency-Key, and nothing to a line without one', async () => {
  await using door = await doorHarness();
  assert.equal((await door.get('/v1/npcs')).status, 200);
  await door.store[Symbol.asyncDispose]();
  const once = await door.post('/v1/dialogue', SAY, { 'idempotency-key': 'k' });
  assert.equal(once.status, 503);
  assert.equal(((await once.json()) as { code: string }).code, 'store_unavailable');
  assert.equal((await door.post('/v1/dialogue', SAY)).status, 200);
});

test('a new key is noticed within two seconds, and under load nobody waits for the store', async () => {
  await using door = await doorHarness();
  const clock = new ManualClock();
  const answers: ((hasActive: boolean) => void)[] = [];
  const keys = {
    ...door.store.keys,
    hasActive: () => new Promise<boolean>((resolve) => answers.push(resolve)),
  };
  const gate = new Gate({ keys, clock, authRequired: false });
  const local = { headers: { host: 'localhost' } };
  const first = gate.admit(local, 'game');
  answers.shift()?.(false);
  await first;
  clock.advance(1_500);
  // The store has not answered, and both are in; only one look is under way.
  await gate.admit(local, 'game');
  await gate.admit(local, 'game');
  assert.equal(answers.length, 1);
  clock.advance(600);
  const late = gate.admit(local, 'game');
  answers.shift()?.(true);
  await assert.rejects(late, { code: 'unauthorized' });
});
