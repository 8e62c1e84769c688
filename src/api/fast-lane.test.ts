/** The short way and the framework answer alike; the one is only faster. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'node:test';
import { doorHarness } from '../testing/door-harness.ts';

const CHAT = '/v1/chat/completions';
const say = (model: string, more: object = {}) =>
  JSON.stringify({ model, messages: [{ role: 'user', content: 'Who goes there?' }], ...more });

/** What differs from request to request in an answer that is otherwise the same. */
function settled(text: string): string {
  return text
    .replaceAll(/"(dlg|req)_[^"]+"/g, '"$1_…"')
    .replaceAll(/"created":\d+/g, '"created":0')
    .replaceAll(/"(\w+_ms)":[\d.]+/g, '"$1":0');
}

for (const [what, body, status] of [
  ['an NPC’s answer', say('npc:vampire_1'), 200],
  ['an NPC’s stream', say('npc:vampire_1', { stream: true }), 200],
  ['a body that is no JSON', '{', 400],
  ['a body without a model', '{"messages":[]}', 400],
  ['an unknown NPC', say('npc:nobody'), 404],
  ['an unknown model', say('nothing'), 404],
] as const) {
  test(`${what} is the same on both ways`, async () => {
    await using door = await doorHarness();
    // With a query, an address is not the lane's.
    const [short, long] = await Promise.all(
      [CHAT, `${CHAT}?way=long`].map(async (path) => {
        const reply = await door.post(path, body, { 'content-type': 'application/json' });
        assert.ok(reply.headers.get('x-request-id')?.startsWith('req'));
        const type = reply.headers.get('content-type');
        return { status: reply.status, type, text: settled(await reply.text()) };
      }),
    );
    assert.deepEqual(short, long);
    assert.equal(short?.status, status, short?.text);
    await door.until(() => door.server.active === 0);
  });
}

test('a caller without a key is refused on both ways', async () => {
  await using door = await doorHarness({}, { authRequired: true });
  for (const path of [CHAT, `${CHAT}?way=long`]) {
    const reply = await door.post(path, say('npc:vampire_1'), { 'content-type': 'application/json' });
    assert.equal(reply.status, 401);
    assert.equal(reply.headers.get('www-authenticate'), 'Bearer realm="greenroom"');
  }
});

test('what has no stated length, another type or too many bytes is left to the framework', async () => {
  await using door = await doorHarness();
  const chunked = new ReadableStream({
    start: (controller) => {
      controller.enqueue(Buffer.from(say('npc:vampire_1')));
      controller.close();
    },
  });
  const reply = await fetch(door.url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: chunked,
    duplex: 'half',
  });
  assert.equal(reply.status, 200, await reply.text());
  const typed = await door.post(CHAT, say('npc:vampire_1'), { 'content-type': 'application/xml' });
  assert.equal(typed.status, 415);
  const large = await door.post(CHAT, say('npc:vampire_1', { padding: 'x'.repeat(2_000_000) }), {
    'content-type': 'application/json',
  });
  assert.equal(large.status, 413);
});

test('a client that leaves in the midst of its body holds no place', async () => {
  await using door = await doorHarness();
  const { hostname, port } = new URL(door.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"mod`,
  );
  await door.until(() => door.server.active === 1);
  socket.destroy();
  await once(socket, 'close');
  await door.until(() => door.server.active === 0);
});
