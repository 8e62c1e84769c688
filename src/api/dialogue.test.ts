/** The game's door through a real server: the reply, the order of events, hanging up, and one answer per key. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { doorHarness } from '../testing/door-harness.ts';

const SAY = { npc_id: 'vampire_1', prompt: 'Good evening.' };

test('a line that does not stream comes whole, with the fields of the contract', async () => {
  await using door = await doorHarness();
  const response = await door.post('/v1/dialogue', SAY);
  assert.equal(response.status, 200);
  const reply = (await response.json()) as Record<string, unknown>;
  assert.deepEqual(Object.keys(reply), [
    'id',
    'npc_id',
    'text',
    'sentences',
    'finish_reason',
    'tier',
    'source',
    'usage',
    'timing',
  ]);
  assert.equal(reply['text'], 'Sit. The night is long.');
  assert.deepEqual(reply['usage'], {
    prompt_tokens: 10,
    cached_tokens: 4,
    completion_tokens: 6,
    cost_usd: 0,
  });
  assert.equal(door.services.asked[0]?.context.timelineId, 'main');
  assert.equal(door.services.asked[0]?.temperature, null);
});

for (const [name, body, headers] of [
  ['stream: true', { ...SAY, stream: true }, {}],
  ['Accept: text/event-stream', SAY, { accept: 'text/event-stream' }],
] as const)
  test(`with ${name} the events come in their order and end with one done`, async () => {
    await using door = await doorHarness();
    const response = await door.post('/v1/dialogue', { ...body, units: 'token' }, headers);
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    const events = (await response.text()).split('\n\n').map((event) => /^event: (\w+)/.exec(event)?.[1]);
    assert.deepEqual(events, ['accepted', 'token', 'sentence', 'token', 'sentence', 'done', undefined]);
  });

test('an unknown NPC is 404 also where a stream was asked for', async () => {
  await using door = await doorHarness();
  const response = await door.post('/v1/dialogue', { ...SAY, npc_id: 'nobody', stream: true });
  assert.equal(response.status, 404);
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.equal(((await response.json()) as { code: string }).code, 'unknown_npc');
});

for (const [what, error, code, retryable] of [
  ['an operating error', new ServiceError('engine_error', 'the engine fell over'), 'engine_error', true],
  ['a bug', new TypeError('x is not a function'), 'internal', false],
] as const)
  test(`${what} in a stream is one error event, the last, and shows nothing of the inside`, async () => {
    await using door = await doorHarness({
      before: (index) => (index === 2 ? Promise.reject(error) : undefined),
    });
    const text = await (await door.post('/v1/dialogue', { ...SAY, stream: true })).text();
    const [, data] = /event: error\ndata: (.*)\n\n$/.exec(text) ?? [];
    const told = JSON.parse(data ?? '') as Record<string, unknown>;
    assert.equal(told['code'], code);
    assert.equal(told['retryable'], retryable);
    assert.doesNotMatch(text, /not a function|event: done/);
    const whole = await door.post('/v1/dialogue', SAY);
    assert.equal(whole.status, code === 'internal' ? 500 : 502);
  });

for (const [phase, at] of [
  ['before the first byte', 0],
  ['between sentences', 2],
] as const)
  test(`hanging up ${phase} stops the walk with client_closed`, async () => {
    const held = Promise.withResolvers<void>();
    await using door = await doorHarness({
      before: (index) => {
        if (index !== at) return;
        held.resolve();
        return new Promise<void>(() => {});
      },
    });
    const hangUp = new AbortController();
    const body = door.post('/v1/dialogue', { ...SAY, stream: true }, {}, hangUp.signal).then((r) => r.text());
    await held.promise;
    hangUp.abort();
    await assert.rejects(body);
    await door.until(() => door.services.stopped.length === 1);
    assert.equal((door.services.stopped[0] as { code: string }).code, 'client_closed');
  });

test('a client that closes its half of the connection counts as gone', async () => {
  const held = Promise.withResolvers<void>();
  await using door = await doorHarness({
    before: () => {
      held.resolve();
      return new Promise<void>(() => {});
    },
  });
  const socket = connect({ port: Number(new URL(door.url).port), host: '127.0.0.1', allowHalfOpen: true });
  const body = JSON.stringify(SAY);
  socket.write(
    `POST /v1/dialogue HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await held.promise;
  socket.end();
  socket.resume();
  await once(socket, 'close');
  await door.until(() => door.services.stopped.length === 1);
  assert.equal((door.services.stopped[0] as { code: string }).code, 'client_closed');
});

test('silence is broken by a comment', async () => {
  const gate = Promise.withResolvers<void>();
  await using door = await doorHarness(
    { before: (index) => (index === 1 ? gate.promise : undefined) },
    { limits: { heartbeatMs: 20 } },
  );
  const response = await door.post('/v1/dialogue', { ...SAY, stream: true });
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes(': heartbeat')) gate.resolve();
  }
  assert.ok(text.indexOf(': heartbeat') < text.indexOf('event: sentence'));
  assert.match(text, /event: done/);
});

test('equal requests with one Idempotency-Key at one instant are answered once, alike', async () => {
  await using door = await doorHarness();
  const headers = { 'idempotency-key': 'k1' };
  const replies = await Promise.all(
    Array.from({ length: 5 }, async () => await (await door.post('/v1/dialogue', SAY, headers)).text()),
  );
  assert.equal(new Set(replies).size, 1);
  assert.equal(door.services.asked.length, 1);
  const replay = await (await door.post('/v1/dialogue', { ...SAY, stream: true }, headers)).text();
  assert.match(replay, /^event: accepted\n.*event: sentence\n.*event: done\n/s);
  assert.equal(door.services.asked.length, 1);
  const other = await door.post('/v1/dialogue', { ...SAY, prompt: 'Other.' }, headers);
  assert.equal(other.status, 409);
});

test('an answer that was hung up on is not kept for its key', async () => {
  const held = Promise.withResolvers<void>();
  let isFirst = true;
  await using door = await doorHarness({
    before: () => {
      if (!isFirst) return;
      isFirst = false;
      held.resolve();
      return new Promise<void>(() => {});
    },
  });
  const headers = { 'idempotency-key': 'k2' };
  const hangUp = new AbortController();
  const first = door.post('/v1/dialogue', SAY, headers, hangUp.signal);
  await held.promise;
  hangUp.abort();
  await assert.rejects(first);
  const second = await door.post('/v1/dialogue', SAY, headers);
  assert.equal(second.status, 200);
  assert.equal(door.services.asked.length, 2);
});

test('an answer that failed is not kept for its key', async () => {
  let failures = 1;
  await using door = await doorHarness({
    before: () => {
      if (failures-- > 0) throw new ServiceError('engine_error', 'the engine fell over');
    },
  });
  const headers = { 'idempotency-key': 'k3' };
  assert.equal((await door.post('/v1/dialogue', SAY, headers)).status, 502);
  assert.equal((await door.post('/v1/dialogue', SAY, headers)).status, 200);
});

test('an operator may ask for another adapter, and the reply says which spoke and which did not', async () => {
  await using door = await doorHarness({
    source: { adapter: 'lich@8', adapterGeneration: 12 },
  });
  for (const adapter of ['lich@8', 'lich@canary', 'lich', null])
    assert.equal((await door.post('/v1/dialogue', { ...SAY, adapter })).status, 200);
  await door.post('/v1/dialogue', SAY);
  const asked = door.services.asked.map((request) => request.adapter);
  assert.deepEqual(asked, ['lich@8', 'lich@canary', 'lich', null, undefined]);
  const reply = (await (await door.post('/v1/dialogue', SAY)).json()) as Record<
    string,
    Record<string, unknown>
  >;
  assert.deepEqual([reply['source']?.['adapter'], reply['source']?.['adapter_generation']], ['lich@8', 12]);
  assert.equal('adapter_missing' in (reply['source'] ?? {}), false);
  await using loading = await doorHarness({
    source: { adapterMissing: { adapter: 'lich@8', reason: 'loading' }, leanPrompt: true },
  });
  const text = await (await loading.post('/v1/dialogue', { ...SAY, stream: true })).text();
  assert.match(
    text,
    /"adapter":null,"adapter_missing":\{"adapter":"lich@8","reason":"loading"\},"lean_prompt":true/,
  );
});

test('what is no adapter is refused, and a game key may not name one', async () => {
  await using door = await doorHarness();
  for (const adapter of ['', 'Lich@7', 'lich@', 'lich@7@8', '../lich@7', 'x'.repeat(98), 7])
    assert.equal((await door.post('/v1/dialogue', { ...SAY, adapter })).status, 400, String(adapter));
  await using keyed = await doorHarness({}, { authRequired: true });
  const { token: game } = await keyed.store.keys.create({ label: 'shard', scopes: ['game'] });
  const { token: both } = await keyed.store.keys.create({ label: 'ops', scopes: ['game', 'operator'] });
  const say = async (token: string, adapter: string | null) => {
    const headers = { authorization: `Bearer ${token}` };
    return (await keyed.post('/v1/dialogue', { ...SAY, adapter }, headers)).status;
  };
  assert.deepEqual(
    [await say(game, 'lich@7'), await say(game, null), await say(both, 'lich@7')],
    [403, 403, 200],
  );
  assert.equal(keyed.services.asked.length, 1);
});
