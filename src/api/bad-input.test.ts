/** What should not come in, and what it is told: each has a status, a code, and where there is one the field. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'node:test';
import { doorHarness } from '../testing/door-harness.ts';
import { SMALL_LIMITS } from '../testing/fake-services.ts';
import { createServer } from './server.ts';

interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly field?: string;
  readonly status: number;
  readonly request_id: string;
}

const SAY = { npc_id: 'vampire_1', prompt: 'Good evening.' };

for (const [what, body, status, code, field] of [
  ['an empty body', '', 400, 'malformed_json', undefined],
  ['half a JSON object', '{"npc_id":', 400, 'malformed_json', undefined],
  ['a list', '[]', 400, 'bad_request', undefined],
  ['null', 'null', 400, 'bad_request', undefined],
  ['no npc_id', { prompt: 'a' }, 400, 'bad_request', 'npc_id'],
  ['a number as prompt', { ...SAY, prompt: 7 }, 400, 'bad_request', 'prompt'],
  ['an empty prompt', { ...SAY, prompt: '' }, 400, 'bad_request', 'prompt'],
  ['a prompt of 2,001 characters', { ...SAY, prompt: 'x'.repeat(2_001) }, 400, 'bad_request', 'prompt'],
  ['a prompt of 1 MB', { ...SAY, prompt: 'x'.repeat(1_048_576) }, 413, 'body_too_large', undefined],
  ['an unknown field', { ...SAY, mood: 'glad' }, 400, 'bad_request', 'mood'],
  ['an unknown field of the context', { ...SAY, context: { hp: 1 } }, 400, 'bad_request', 'context.hp'],
  [
    'a fact without a value',
    { ...SAY, context: { facts: [{ key: 'a' }] } },
    400,
    'bad_request',
    'context.facts.0.value',
  ],
  ['tier 5', { ...SAY, tier: 5 }, 400, 'bad_request', 'tier'],
  ['a deadline of 0 ms', { ...SAY, deadline_ms: 0 }, 400, 'bad_request', 'deadline_ms'],
  ['513 tokens', { ...SAY, max_tokens: 513 }, 400, 'bad_request', 'max_tokens'],
  ['a trigger nobody wrote for', { ...SAY, trigger: 'sneeze' }, 400, 'bad_request', 'trigger'],
  [
    'an event without a trigger',
    { ...SAY, event: { id: 'door', area: 'crypt' } },
    400,
    'bad_request',
    'event',
  ],
  [
    'an event without an area',
    { ...SAY, trigger: 'spot', event: { id: 'door' } },
    400,
    'bad_request',
    'event.area',
  ],
  [
    'an event of 129 characters',
    { ...SAY, trigger: 'spot', event: { id: 'd'.repeat(129), area: 'crypt' } },
    400,
    'bad_request',
    'event.id',
  ],
  [
    'an event below the ground',
    { ...SAY, trigger: 'spot', event: { id: 'door', area: 'crypt', depth: -1 } },
    400,
    'bad_request',
    'event.depth',
  ],
  [
    '65 listeners',
    { ...SAY, context: { listeners: Array.from({ length: 65 }, (_, number) => `p${number}`) } },
    400,
    'bad_request',
    'context.listeners',
  ],
  [
    'a poisoned prototype',
    '{"npc_id":"vampire_1","prompt":"a","__proto__":{"x":1}}',
    400,
    'malformed_json',
    undefined,
  ],
  ['an NPC that does not exist', { ...SAY, npc_id: 'nobody' }, 404, 'unknown_npc', undefined],
] as const)
  test(`${what} is ${status} ${code}`, async () => {
    await using door = await doorHarness();
    const response = await door.post('/v1/dialogue', body);
    const problem = (await response.json()) as Problem;
    assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
    assert.deepEqual(
      [response.status, problem.status, problem.code, problem.field || undefined],
      [status, status, code, field],
      JSON.stringify(problem),
    );
    assert.equal(problem.request_id, response.headers.get('x-request-id'));
    if (field !== undefined) assert.ok(problem.detail.includes(field));
  });

for (const [what, body] of [
  ['a lone surrogate', '{"npc_id":"vampire_1","prompt":"a\\ud800b"}'],
  ['bidirectional marks', { ...SAY, prompt: '\u202eabc\u2066' }],
  ['a bark', { npc_id: 'vampire_1', prompt: '', trigger: 'greet' }],
  [
    'a bark to an event with listeners',
    {
      npc_id: 'vampire_1',
      prompt: '',
      trigger: 'greet',
      event: { id: 'door', area: 'crypt' },
      context: { listeners: ['p1', 'p2'] },
    },
  ],
  ['facts as a map', { ...SAY, context: { facts: { 'quest.bell': 3 } } }],
] as const)
  test(`${what} is answered`, async () => {
    await using door = await doorHarness();
    assert.equal((await door.post('/v1/dialogue', body)).status, 200);
    if (what === 'facts as a map')
      assert.deepEqual(door.services.asked[0]?.context.facts, [{ key: 'quest.bell', value: 3 }]);
  });

test('wrong address, wrong method, wrong media type have their own names', async () => {
  await using door = await doorHarness();
  const codeOf = async (response: Response) => [response.status, ((await response.json()) as Problem).code];
  assert.deepEqual(await codeOf(await door.get('/nowhere')), [404, 'not_found']);
  const wrongMethod = await door.get('/v1/dialogue');
  assert.equal(wrongMethod.headers.get('allow'), 'POST');
  assert.deepEqual(await codeOf(wrongMethod), [405, 'method_not_allowed']);
  const xml = await door.post('/v1/dialogue', '<a/>', { 'content-type': 'text/xml' });
  assert.deepEqual(await codeOf(xml), [415, 'unsupported_media_type']);
});

/** Sends bytes as they are; resolves with all that came back once the server has closed. */
async function exchange(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let said = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  socket.on('error', () => {});
  socket.write(bytes);
  await once(socket, 'close');
  return said;
}

test('10,000 bytes of headers are 431', async () => {
  await using door = await doorHarness();
  const said = await exchange(
    door.url,
    `GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(10_000)}\r\n\r\n`,
  );
  assert.match(said, /^HTTP\/1\.1 431 .*headers_too_large/s);
});

for (const [what, bytes] of [
  ['headers', 'POST /v1/dialogue HTTP/1.1\r\nhost: localhost\r\n'],
  [
    'a body',
    'POST /v1/dialogue HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{',
  ],
] as const)
  test(`${what} that never arrive whole are 408, and the connection is closed`, async () => {
    await using door = await doorHarness({}, { limits: { requestTimeoutMs: 100 } });
    assert.match(await exchange(door.url, bytes), /^HTTP\/1\.1 408 .*request_timeout/s);
  });

test('bytes that are not HTTP are 400', async () => {
  await using door = await doorHarness();
  assert.match(await exchange(door.url, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 .*bad_request/s);
});

test('one request over the limit is 503 with Retry-After, while health answers', async () => {
  const gate = Promise.withResolvers<void>();
  await using door = await doorHarness({ before: () => gate.promise }, { limits: { requestsMax: 1 } });
  const first = door.post('/v1/dialogue', SAY);
  await door.until(() => door.services.asked.length === 1);
  const second = await door.post('/v1/dialogue', SAY);
  assert.equal(second.status, 503);
  assert.equal(second.headers.get('retry-after'), '1');
  assert.equal(((await second.json()) as Problem).code, 'overloaded');
  assert.equal((await door.get('/livez')).status, 200);
  gate.resolve();
  assert.equal((await first).status, 200);
  await door.until(() => door.services.counted.length === 3);
  assert.ok(door.services.counted.some(({ route, status }) => route === '/v1/dialogue' && status === 503));
});

test('while draining no new work is taken, running lines end, and health answers', async () => {
  const gate = Promise.withResolvers<void>();
  await using door = await doorHarness({ before: () => gate.promise });
  const running = door.post('/v1/dialogue', SAY);
  await door.until(() => door.services.asked.length === 1);
  door.services.drain.abort(new Error('SIGTERM'));
  const refused = await door.post('/v1/dialogue', SAY);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('connection'), 'close');
  assert.equal(((await refused.json()) as Problem).code, 'draining');
  assert.equal((await door.get('/readyz')).status, 200);
  gate.resolve();
  assert.equal((await running).status, 200);
});

test('closing waits for a running line, takes nothing new, and may be asked for twice', async () => {
  const gate = Promise.withResolvers<void>();
  await using door = await doorHarness({ before: () => gate.promise });
  const running = door.post('/v1/dialogue', SAY);
  await door.until(() => door.services.asked.length === 1);
  assert.equal(door.server.active, 1);
  const closed = Promise.all([door.server.close(), door.server.close()]);
  gate.resolve();
  assert.equal((await running).status, 200);
  await closed;
  assert.equal(door.server.active, 0);
  await assert.rejects(door.get('/livez'));
});

test('a port that is taken is said by name', async () => {
  await using door = await doorHarness();
  await using other = await doorHarness();
  const port = Number(new URL(door.url).port);
  await other.server.close();
  const second = await createServer(other.services, {
    limits: SMALL_LIMITS,
    authRequired: false,
    consoleDirectory: null,
  });
  await assert.rejects(second.listen({ host: '127.0.0.1', port }), { code: 'port_taken' });
  await second.close();
});

test('a connection over the limit is closed, and room is made again', async () => {
  await using door = await doorHarness({}, { limits: { connectionsMax: 1 } });
  const port = Number(new URL(door.url).port);
  const first = connect(port, '127.0.0.1');
  await once(first, 'connect');
  const second = connect(port, '127.0.0.1').on('error', () => {});
  await once(second.resume(), 'close');
  first.destroy();
  await once(first, 'close');
});
