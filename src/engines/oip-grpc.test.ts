import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { ServiceError } from '../core/errors.ts';
import type { TensorEngine } from '../core/tensors.ts';
import { DATATYPES, type Tensor, TensorFormatError, tensorToBytes, textTensor } from '../lib/oip/tensor.ts';
import { type OipServer, startOipServer } from '../testing/oip-server.ts';
import { sampleTensor } from '../testing/tensor-conformance.ts';
import { createOipGrpc } from './oip-grpc.ts';
import { parametersFromWire, parametersToWire, tensorsOf } from './oip-grpc-tensors.ts';
import { InferTensorContentsSchema } from './oip-wire/inference_pb.ts';

const never = new AbortController().signal;
const TEXT = [textTensor('TEXT', [1, 1], ['hello'])];
let server: OipServer;
let engine: TensorEngine;

function engineOf(baseUrl: string, replyBytesMax = 1_000_000): TensorEngine {
  return createOipGrpc({
    name: 'triton',
    kind: 'triton',
    baseUrl,
    headers: { authorization: 'Bearer sesame' },
    replyBytesMax,
    requestBytesMax: 2_000_000,
  });
}

before(async () => {
  server = await startOipServer();
  engine = engineOf(server.grpcUrl);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const failsAs = (code: string) => (error: unknown) => {
  assert.ok(error instanceof ServiceError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

test('key, version, priority and deadline reach the server', async () => {
  await engine.infer({ model: 'embed', version: '1', inputs: TEXT, priority: 1, timeoutMs: 5_000 }, never);
  const { headers } = server.heard;
  assert.equal(headers['authorization'], 'Bearer sesame');
  assert.equal(headers['x-model-version'], '1');
  assert.match(headers['grpc-timeout'] ?? '', /^\d+m$/);
  assert.deepEqual(server.repository.asked.at(-1)?.parameters, { priority: 1, timeout: 5_000_000 });
});

test('typed contents are read as raw ones are', async () => {
  for (const datatype of DATATYPES) {
    if (datatype === 'FP16' || datatype === 'BF16') continue;
    const sent = sampleTensor(datatype);
    const { outputs } = await engine.infer(
      { model: 'echo', inputs: [sent], parameters: { typed_reply: true } },
      never,
    );
    assert.deepEqual(outputs.map(tensorToBytes), [tensorToBytes(sent)], datatype);
  }
});

test('a message over the limit is refused on either side', async () => {
  await using small = engineOf(server.grpcUrl, 2_000);
  const inputs: Tensor[] = [
    { name: 'IN_FP32', datatype: 'FP32', shape: [10_000], data: new Float32Array(10_000) },
  ];
  await assert.rejects(small.infer({ model: 'echo', inputs }, never), failsAs('engine_error'));
  const large: Tensor[] = [
    { name: 'IN_FP32', datatype: 'FP32', shape: [600_000], data: new Float32Array(600_000) },
  ];
  await assert.rejects(engine.infer({ model: 'echo', inputs: large }, never), failsAs('body_too_large'));
});

test('a full queue is an overload, a server that is not there is unavailable', async () => {
  server.repository.maxQueue = 0;
  await assert.rejects(engine.infer({ model: 'embed', inputs: TEXT }, never), failsAs('overloaded'));
  server.repository.maxQueue = Number.POSITIVE_INFINITY;
  const gone = await startOipServer();
  await using lost = engineOf(gone.grpcUrl);
  await gone[Symbol.asyncDispose]();
  await assert.rejects(lost.live(never), failsAs('engine_unavailable'));
});

test('contents that do not fit their shape are no tensor', () => {
  const wire = (datatype: string, shape: bigint[], contents = {}) => ({
    name: 't',
    datatype,
    shape,
    contents: create(InferTensorContentsSchema, contents),
  });
  const refused = (tensors: Parameters<typeof tensorsOf>[0], raw: Uint8Array[], pattern: RegExp) =>
    assert.throws(
      () => tensorsOf(tensors, raw),
      (error) => error instanceof TensorFormatError && pattern.test(error.message),
    );
  refused([wire('INT8', [1n], { intContents: [300] })], [], /300, which is no INT8/);
  refused([wire('INT32', [2n], { intContents: [1] })], [], /1 elements/);
  refused([wire('INT32', [1n], { intContents: [1] })], [new Uint8Array(4)], /both raw and typed/);
  refused([wire('INT32', [1n])], [new Uint8Array(3)], /3 bytes; expected 4/);
  refused([wire('INT32', [1n]), wire('INT32', [1n])], [new Uint8Array(4)], /1 raw contents came for 2/);
  refused([wire('FP16', [1n])], [], /raw contents are needed/);
  refused([wire('QUBIT', [1n])], [], /which is none/);
  refused([wire('INT32', [2n ** 40n])], [], /over/);
});

test('parameters keep their kind on the wire', () => {
  const parameters = { priority: 1, ratio: 0.5, name: 'a', on: true };
  assert.deepEqual(parametersFromWire(parametersToWire(parameters)), parameters);
});
