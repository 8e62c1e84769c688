import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { ServiceError } from '../core/errors.ts';
import { createTransport } from '../engines/transport.ts';
import { Admission } from '../routing/admission.ts';
import { startChatServer } from '../testing/chat-server.ts';
import { shortWorkHarness } from '../testing/short-work-harness.ts';
import { embeddingModelsSchema, pathsSchema } from './short-work-options.ts';

const PATHS = { '/api/v1/embeddings': { model: 'embed' }, '/api/v1/raw': { model: 'echo', version: '1' } };

test("a generic path embeds with its model, in the form of OpenAI's own client", async () => {
  await using harness = await shortWorkHarness({ paths: PATHS });
  const client = new OpenAI({ baseURL: `${harness.door.url}/api/v1`, apiKey: 'any', maxRetries: 0 });
  // The client asks for base64 unless told otherwise, and turns it back.
  const { data, model } = await client.embeddings.create({ model: 'whatever', input: ['ab', 'a', 'ab'] });
  assert.equal(model, 'embed@1');
  assert.deepEqual(
    data.map(({ index, embedding }) => [index, embedding.length]),
    [
      [0, 8],
      [1, 8],
      [2, 8],
    ],
  );
  assert.deepEqual(data[0]?.embedding, data[2]?.embedding);
  assert.notDeepEqual(data[0]?.embedding, data[1]?.embedding);
  const plain = await client.embeddings.create({ model: 'x', input: 'ab', encoding_format: 'float' });
  assert.deepEqual(plain.data[0]?.embedding, data[0]?.embedding);
});

test('a version that is not there is answered 404 with those that are; a wrong body names its field', async () => {
  await using harness = await shortWorkHarness({ paths: PATHS });
  const ask = async (body: unknown, headers = {}) => {
    const reply = await harness.door.post('/api/v1/embeddings', body, headers);
    const { code, detail } = (await reply.json()) as { code: string; detail: string };
    return `${reply.status} ${code} ${detail}`;
  };
  assert.match(await ask({ input: 'a' }, { 'x-model-version': '4' }), /^404 unknown_model .*there is 1$/);
  assert.match(await ask({}), /^400 bad_request input/);
  assert.match(await ask({ input: [] }), /^400 bad_request input/);
  assert.match(await ask({ input: 'a', encoding_format: 'int8' }), /^400 bad_request encoding_format/);
  assert.match(await ask('[]'), /^400 malformed_json/);
});

test('a path that says nothing of what is spoken takes tensors, for its version', async () => {
  await using harness = await shortWorkHarness({ paths: PATHS });
  const inputs = [{ name: 'IN_INT8', datatype: 'INT8', shape: [1], data: [7] }];
  const reply = await harness.door.post('/api/v1/raw', { inputs });
  assert.deepEqual(((await reply.json()) as { model_version: string }).model_version, '1');
  const other = await harness.door.post('/api/v1/raw', { inputs }, { 'x-model-version': '2' });
  assert.deepEqual(((await other.json()) as { model_version: string }).model_version, '2');
});

test("a path whose model is a text engine's goes to that engine, with the version in the name", async () => {
  await using server = await startChatServer();
  await using transport = createTransport({
    baseUrl: server.origin,
    connections: 2,
    connectTimeoutMs: 5_000,
  });
  const asked: string[] = [];
  await using harness = await shortWorkHarness({
    paths: {
      '/api/v1/chat': { model: 'small', version: 'stable' },
      '/api/v1/gone/embeddings': { model: 'gone' },
    },
    passThrough: (model) => {
      asked.push(model);
      if (model === 'gone') throw new ServiceError('unknown_model', 'no model "gone"; there is small');
      const admission = new Admission({ engine: 'double', maxInFlight: 1, maxQueued: 0 });
      return { engine: 'double', model: 'small', transport, admission };
    },
  });
  const body = { messages: [{ role: 'user', content: 'Good evening.' }], max_tokens: 2, stream: true };
  const reply = await harness.door.post('/api/v1/chat', body);
  assert.match(await reply.text(), /word0 .*word1 .*\[DONE\]/s);
  assert.equal(server.asked[0]?.['model'], 'small');
  const gone = await harness.door.post('/api/v1/gone/embeddings', { input: 'a' });
  assert.equal(gone.status, 404);
  assert.match(((await gone.json()) as { detail: string }).detail, /there is small/);
  assert.deepEqual(asked, ['small@stable', 'gone']);
});

test('a path may not hide a door of the service', () => {
  for (const path of [
    '/v1/dialogue',
    '/v2/models',
    '/admin/x',
    '/metrics',
    '/api/chat',
    'embeddings',
    '/a b',
    '/a/',
  ])
    assert.equal(pathsSchema.safeParse({ [path]: { model: 'm' } }).success, false, path);
  assert.equal(pathsSchema.safeParse({ '/api/v1/embeddings': { model: 'm' } }).success, true);
  assert.deepEqual(embeddingModelsSchema.parse({ m: {} }), { m: { input: 'TEXT', output: 'EMBEDDING' } });
});
