import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import type { TensorEngine } from '../core/tensors.ts';
import { encodeMessage, JSON_LENGTH_HEADER } from '../lib/oip/message.ts';
import { type Tensor, textTensor } from '../lib/oip/tensor.ts';
import { type OipServer, startOipServer } from '../testing/oip-server.ts';
import { createOipHttp } from './oip-http.ts';
import { createTransport } from './transport.ts';

const never = new AbortController().signal;
const TEXT = [textTensor('TEXT', [1, 1], ['hello'])];
let server: OipServer;
let engine: TensorEngine;

function engineOf(double: OipServer, replyBytesMax = 100_000): TensorEngine {
  return createOipHttp({
    name: 'triton',
    kind: 'triton',
    encoding: 'auto',
    transport: createTransport({ baseUrl: double.httpUrl, connections: 8, connectTimeoutMs: 5_000 }),
    replyBytesMax,
  });
}

before(async () => {
  server = await startOipServer();
  engine = engineOf(server);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const failsAs = (code: string, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ServiceError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, pattern);
  return true;
};

async function replying<T>(
  status: number,
  headers: Record<string, string>,
  body: Uint8Array | string,
  work: () => Promise<T>,
) {
  await engine.serverMetadata(never);
  await engine.infer({ model: 'embed', inputs: TEXT }, never);
  server.broken = { status, headers, body: Buffer.from(body) };
  try {
    return await work();
  } finally {
    server.broken = null;
  }
}

test('priority, time, parameters and version reach the server', async () => {
  await engine.infer(
    {
      model: 'embed',
      version: '1',
      inputs: TEXT,
      priority: 1,
      timeoutMs: 200,
      parameters: { sequence_id: 7 },
    },
    never,
  );
  assert.deepEqual(server.repository.asked.at(-1), {
    model: 'embed',
    version: '1',
    parameters: { sequence_id: 7, priority: 1, timeout: 200_000, binary_data_output: true },
  });
  assert.equal(server.heard.headers['x-model-version'], '1');
});

test('a full queue at the server is an overload', async () => {
  server.repository.maxQueue = 0;
  await assert.rejects(
    engine.infer({ model: 'embed', inputs: TEXT }, never),
    failsAs('overloaded', /maximum queue size/),
  );
  server.repository.maxQueue = Number.POSITIVE_INFINITY;
});

test('a runtime without the binary extension gets JSON, and its health bodies are read', async () => {
  await using kserve = await startOipServer({ flavour: 'kserve' });
  await using runtime = engineOf(kserve);
  assert.equal(await runtime.live(never), true);
  assert.equal(await runtime.ready(never), true);
  assert.equal(await runtime.modelReady('embed', undefined, never), true);
  assert.equal(await runtime.modelReady('nobody', undefined, never), false);
  const { outputs } = await runtime.infer({ model: 'embed', inputs: TEXT }, never);
  assert.equal(kserve.heard.headers['content-type'], 'application/json');
  assert.deepEqual(outputs[0]?.shape, [1, 8]);
  assert.deepEqual((await runtime.modelMetadata('embed', undefined, never)).versions, []);
  const names = (await runtime.repositoryIndex(never)).map(({ name }) => name);
  assert.deepEqual(names, ['echo', 'embed', 'classify', 'endless']);
});

test('a server that says no, in any of its ways, is not ready; a page in its place is an error', async () => {
  const looks = () => engine.ready(never);
  assert.equal(await replying(400, {}, '', looks), false);
  assert.equal(await replying(503, {}, '', looks), false);
  assert.equal(await replying(200, {}, '{"ready":false}', looks), false);
  assert.equal(await replying(200, {}, '{"name":"m"}', looks), true);
  await assert.rejects(
    replying(200, { 'content-type': 'text/html' }, '<html>', looks),
    failsAs('engine_error', /cannot be read/),
  );
  await assert.rejects(replying(502, {}, '<html>', looks), failsAs('engine_error', /502/));
});

test('metadata that is none is an error of the engine', async () => {
  for (const body of ['[]', '{"name":1}', '{"name":"m","inputs":[{"shape":["x"]}]}', 'null', '{'])
    await assert.rejects(
      replying(200, {}, body, () => engine.modelMetadata('m', undefined, never)),
      failsAs('engine_error', /metadata|cannot be read/),
    );
  await assert.rejects(
    replying(200, {}, '{"models":3}', () => engine.repositoryIndex(never)),
    failsAs('engine_error', /repository index/),
  );
});

test('a reply cut at any byte, or of a wrong shape, is an error of the engine and never a tensor', async () => {
  const tensor: Tensor = { name: 'EMBEDDING', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) };
  const { body, headers } = encodeMessage(
    { model_name: 'embed', model_version: '1' },
    'outputs',
    [tensor],
    () => true,
  );
  const asks = () => engine.infer({ model: 'embed', inputs: TEXT }, never);
  assert.deepEqual((await replying(200, headers, body, asks)).outputs, [tensor]);
  for (let length = 0; length < body.length; length += 1)
    await assert.rejects(
      replying(200, headers, body.subarray(0, length), asks),
      failsAs('engine_error', /embed/),
    );
  await assert.rejects(
    replying(200, { ...headers, [JSON_LENGTH_HEADER]: 'many' }, body, asks),
    failsAs('engine_error', /expected a count/),
  );
  const wrong = '{"outputs":[{"name":"E","datatype":"FP32","shape":[3],"data":[1,2]}]}';
  await assert.rejects(
    replying(200, {}, wrong, asks),
    failsAs('engine_error', /2 elements; its shape \[3\]/),
  );
  await assert.rejects(replying(200, {}, '<html>', asks), failsAs('engine_error', /not JSON/));
});

test('a reply over the limit is given up', async () => {
  await assert.rejects(
    replying(200, {}, Buffer.alloc(200_000, 0x20), () =>
      engine.infer({ model: 'embed', inputs: TEXT }, never),
    ),
    failsAs('engine_error', /over 100000 bytes/),
  );
});

test('a server that is not there is unavailable', async () => {
  const gone = await startOipServer();
  await using lost = engineOf(gone);
  await gone[Symbol.asyncDispose]();
  await assert.rejects(lost.live(never), failsAs('engine_unavailable', /no reply/));
});
