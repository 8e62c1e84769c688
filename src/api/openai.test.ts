/** The OpenAI-compatible door, by OpenAI's own client, before a real engine server on loopback and before an NPC. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'node:test';
import OpenAI from 'openai';
import { createTransport } from '../engines/transport.ts';
import { Admission } from '../routing/admission.ts';
import { type DoorHarness, doorHarness } from '../testing/door-harness.ts';

interface Engine extends AsyncDisposable {
  readonly door: DoorHarness;
  readonly client: OpenAI;
  readonly admission: Admission;
}

type Handle = (body: string, response: ServerResponse, request: IncomingMessage) => void;

/** A server that speaks OpenAI's wire as `handle` says, behind the door, under the names `small` and `alias`. */
async function engine(handle: Handle): Promise<Engine> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => handle(Buffer.concat(chunks).toString('utf8'), response, request));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const transport = createTransport({
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: 4,
    connectTimeoutMs: 5_000,
  });
  const admission = new Admission({ engine: 'double', maxInFlight: 1, maxQueued: 0 });
  const door = await doorHarness({
    passThrough: () => ({ engine: 'double', model: 'small', transport, admission }),
  });
  return {
    door,
    admission,
    client: new OpenAI({ baseURL: `${door.url}/v1`, apiKey: 'any', maxRetries: 0 }),
    [Symbol.asyncDispose]: async () => {
      await door[Symbol.asyncDispose]();
      await transport[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const MESSAGES = [{ role: 'user' as const, content: 'Good evening.' }];
const chunk = (content: string, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'small', choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;

test('a model is passed through with the bytes as they came, unary', async () => {
  let seen = '';
  await using up = await engine((body, response, request) => {
    seen = body;
    assert.equal(request.headers['authorization'], undefined);
    assert.equal(request.url, '/v1/chat/completions');
    response.setHeader('content-type', 'application/json');
    response.end('{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Sit."}}]}');
  });
  const raw = '{ "model":"small",  "messages":[{"role":"user","content":"\\ud800 hi"}], "top_k": 3 }';
  const response = await up.door.post('/v1/chat/completions', raw, { authorization: 'Bearer secret' });
  assert.equal(response.status, 200);
  assert.equal(seen, raw);
  const completion = await up.client.chat.completions.create({ model: 'alias', messages: MESSAGES });
  assert.equal(completion.choices[0]?.message.content, 'Sit.');
  assert.equal((JSON.parse(seen) as { model: string }).model, 'small');
  assert.equal(up.admission.running, 0);
});

test('a stream is passed through, and aborting it closes the connection to the engine', async () => {
  const closed = Promise.withResolvers<void>();
  await using up = await engine((_body, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk('One '));
    response.on('close', () => closed.resolve());
  });
  const stream = await up.client.chat.completions.create({
    model: 'small',
    messages: MESSAGES,
    stream: true,
  });
  for await (const part of stream) {
    assert.equal(part.choices[0]?.delta.content, 'One ');
    stream.controller.abort();
  }
  await closed.promise;
  await up.door.until(() => up.admission.running === 0);
});

test('a stream that comes in one packet with its head and its end is passed on whole', async () => {
  const body = `${chunk('One ')}${chunk('two.', 'stop')}data: [DONE]\n\n`;
  await using up = await engine((_body, _response, request) => {
    const size = Buffer.byteLength(body).toString(16);
    request.socket.write(
      `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${size}\r\n${body}\r\n0\r\n\r\n`,
    );
  });
  for (let turn = 0; turn < 3; turn += 1) {
    const reply = await up.door.post('/v1/chat/completions', { model: 'small', messages: MESSAGES });
    assert.equal(await reply.text(), body);
    await up.door.until(() => up.admission.running === 0);
  }
});

for (const [where, rest, isApiError] of [
  ['between events', '', true],
  ['within an event', 'data: {"half', false],
] as const)
  test(`a stream whose engine dies ${where} is an error at the client, never a short answer`, async () => {
    await using up = await engine((_body, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk('One ') + rest, () => response.destroy());
    });
    const stream = await up.client.chat.completions.create({
      model: 'small',
      messages: MESSAGES,
      stream: true,
    });
    let text = '';
    await assert.rejects(
      async () => {
        for await (const part of stream) text += part.choices[0]?.delta.content ?? '';
      },
      (error: unknown) => error instanceof OpenAI.APIError === isApiError,
    );
    assert.equal(text, 'One ');
  });

test("the engine's errors pass as they are; a full queue is ours", async () => {
  const held = Promise.withResolvers<ServerResponse>();
  let calls = 0;
  await using up = await engine((_body, response) => {
    if (calls++ > 0) return held.resolve(response);
    response.writeHead(400, { 'content-type': 'application/json' });
    response.end('{"error":{"message":"too long","type":"BadRequestError","param":"messages","code":400}}');
  });
  const ask = () => up.client.chat.completions.create({ model: 'small', messages: MESSAGES });
  await assert.rejects(ask(), (error: unknown) => {
    assert.ok(error instanceof OpenAI.APIError);
    assert.equal(error.status, 400);
    assert.equal(error.param, 'messages');
    return true;
  });
  const first = ask();
  const response = await held.promise;
  await assert.rejects(ask(), { status: 503, code: 'overloaded' });
  response.setHeader('content-type', 'application/json');
  response.end('{"choices":[]}');
  await first;
});

test('an engine that cannot be reached is 502 in the form that the client reads', async () => {
  await using up = await engine((_body, response) => response.destroy());
  await assert.rejects(up.client.embeddings.create({ model: 'small', input: 'x' }), {
    status: 502,
    code: 'engine_unavailable',
    type: 'server_error',
  });
});

test('an NPC answers the official client, whole and streamed', async () => {
  await using door = await doorHarness();
  const client = new OpenAI({ baseURL: `${door.url}/v1`, apiKey: 'any', maxRetries: 0 });
  const completion = await client.chat.completions.create({
    model: 'npc:vampire_1',
    user: 'p1',
    messages: [
      { role: 'system', content: 'You are a pirate.' },
      { role: 'user', content: 'First.' },
      { role: 'assistant', content: 'Yes.' },
      { role: 'user', content: [{ type: 'text', text: 'Second.' }] },
    ],
  });
  assert.equal(completion.choices[0]?.message.content, 'Sit. The night is long.');
  assert.equal(completion.usage?.prompt_tokens_details?.cached_tokens, 4);
  const asked = door.services.asked[0];
  assert.equal(asked?.prompt, 'Second.');
  assert.equal(asked.context.playerId, 'p1');
  assert.deepEqual(asked.context.history, [
    { speaker: 'player', text: 'First.' },
    { speaker: 'npc', text: 'Yes.' },
  ]);
  const stream = await client.chat.completions.create({
    model: 'npc:vampire_1',
    messages: MESSAGES,
    stream: true,
    stream_options: { include_usage: true },
  });
  const parts = await Array.fromAsync(stream);
  assert.equal(parts[0]?.choices[0]?.delta.role, 'assistant');
  assert.equal(parts.map((part) => part.choices[0]?.delta.content ?? '').join(''), 'Sit. The night is long.');
  assert.equal(parts.at(-2)?.choices[0]?.finish_reason, 'stop');
  assert.equal(parts.at(-1)?.usage?.total_tokens, 16);
});

test("aborting the client's stream of an NPC stops the walk", async () => {
  await using door = await doorHarness({
    before: (index) => (index === 2 ? new Promise<void>(() => {}) : undefined),
  });
  const client = new OpenAI({ baseURL: `${door.url}/v1`, apiKey: 'any', maxRetries: 0 });
  const stream = await client.chat.completions.create({
    model: 'npc:vampire_1',
    messages: MESSAGES,
    stream: true,
  });
  for await (const part of stream) if (part.choices[0]?.delta.content === 'Sit.') stream.controller.abort();
  await door.until(() => door.services.stopped.length === 1);
});

test('models and NPCs are listed and found one by one', async () => {
  await using door = await doorHarness();
  const client = new OpenAI({ baseURL: `${door.url}/v1`, apiKey: 'any', maxRetries: 0 });
  const ids = (await client.models.list()).data.map(({ id }) => id);
  assert.deepEqual(ids, ['small', 'npc:vampire_1']);
  assert.equal((await client.models.retrieve('npc:vampire_1')).owned_by, 'greenroom');
  await assert.rejects(client.models.retrieve('none'), { status: 404, code: 'unknown_model' });
});

for (const [what, path, body, code, param] of [
  ['bytes that are not JSON', '/v1/chat/completions', '{"model":', 'malformed_json', null],
  ['a list', '/v1/chat/completions', '[]', 'bad_request', null],
  ['no model', '/v1/chat/completions', '{}', 'bad_request', 'model'],
  ['a model that is a number', '/v1/embeddings', '{"model":1}', 'bad_request', 'model'],
  ['no messages', '/v1/chat/completions', '{"model":"small"}', 'bad_request', 'messages'],
  ['stream as a word', '/v1/completions', '{"model":"small","stream":"yes"}', 'bad_request', 'stream'],
  ['an NPC asked for vectors', '/v1/embeddings', '{"model":"npc:x","input":""}', 'bad_request', 'model'],
  [
    'an NPC asked with nothing',
    '/v1/chat/completions',
    '{"model":"npc:x","messages":[{"role":"user","content":""}]}',
    'bad_request',
    'messages',
  ],
  [
    'an NPC nobody knows',
    '/v1/chat/completions',
    '{"model":"npc:x","messages":[{"role":"user","content":"a"}]}',
    'unknown_npc',
    null,
  ],
] as const)
  test(`${what}: a named error in OpenAI's form`, async () => {
    await using door = await doorHarness();
    const response = await door.post(path, body);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    assert.equal(error['code'], code);
    assert.equal(error['param'], param);
    assert.equal(typeof error['message'], 'string');
    assert.equal(response.status, code === 'unknown_npc' ? 404 : 400);
  });
