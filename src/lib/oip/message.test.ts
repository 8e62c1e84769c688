import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeMessage, encodeMessage, JSON_LENGTH_HEADER, jsonLengthOf } from './message.ts';
import { type Tensor, TensorFormatError, textTensor } from './tensor.ts';

const TENSORS: readonly Tensor[] = [
  {
    name: 'IDS',
    datatype: 'INT64',
    shape: [1, 3],
    data: BigInt64Array.of(1n, -(2n ** 63n), 9_007_199_254_740_993n),
  },
  textTensor('TEXT', [2], ['Grüß Gott', '']),
  { name: 'SCORES', datatype: 'FP32', shape: [2], data: Float32Array.of(0.5, -1) },
];
const HEAD = { id: '7', parameters: { priority: 1 } };

for (const [title, isBinary] of [
  ['as JSON', () => false],
  ['as bytes', () => true],
  ['mixed', (tensor: Tensor) => tensor.datatype === 'INT64'],
] as const)
  test(`a message comes back whole, its tensors ${title}`, () => {
    const { body, headers } = encodeMessage(HEAD, 'inputs', TENSORS, isBinary);
    const decoded = decodeMessage(body, 'inputs', jsonLengthOf(headers[JSON_LENGTH_HEADER]));
    assert.deepEqual(decoded, { head: HEAD, tensors: TENSORS });
  });

test('a body cut at any byte is refused, and never read as something else', () => {
  const { body, headers } = encodeMessage(HEAD, 'outputs', TENSORS, ({ datatype }) => datatype !== 'FP32');
  const jsonBytes = jsonLengthOf(headers[JSON_LENGTH_HEADER]);
  for (let length = 0; length < body.length; length += 1)
    assert.throws(() => decodeMessage(body.subarray(0, length), 'outputs', jsonBytes), TensorFormatError);
  assert.throws(
    () => decodeMessage(Buffer.concat([body, Buffer.of(0)]), 'outputs', jsonBytes),
    /1 bytes are left/,
  );
});

test('a wrong length of the JSON part, at every byte, is refused', () => {
  const { body, headers } = encodeMessage(HEAD, 'outputs', TENSORS, () => true);
  const right = Number(headers[JSON_LENGTH_HEADER]);
  for (let length = 0; length <= body.length + 1; length += 1)
    if (length !== right) assert.throws(() => decodeMessage(body, 'outputs', length), TensorFormatError);
});

test('a byte that flips gives tensors of the same shape or a refusal, nothing else', () => {
  const { body, headers } = encodeMessage(HEAD, 'outputs', TENSORS, () => true);
  const jsonBytes = jsonLengthOf(headers[JSON_LENGTH_HEADER]);
  for (let at = 0; at < body.length; at += 1)
    for (const flip of [0x01, 0x20, 0x80]) {
      const broken = Uint8Array.from(body);
      broken[at] = (broken[at] ?? 0) ^ flip;
      try {
        for (const { shape, data } of decodeMessage(broken, 'outputs', jsonBytes).tensors)
          assert.equal(
            data.length,
            shape.reduce((product, dimension) => product * dimension, 1),
          );
      } catch (error) {
        assert.ok(error instanceof TensorFormatError, `byte ${at}: ${String(error)}`);
      }
    }
});

test('any JSON in place of a message is refused', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const tensors = { outputs: [value] };
      for (const body of [value, tensors, { outputs: value }])
        try {
          decodeMessage(Buffer.from(JSON.stringify(body)), 'outputs', null);
        } catch (error) {
          assert.ok(error instanceof TensorFormatError, String(error));
        }
    }),
  );
});

test('shared memory, both forms at once and half a header are refused', () => {
  const entry = (parameters: object, more: object = {}) =>
    Buffer.from(
      JSON.stringify({ inputs: [{ name: 'a', datatype: 'INT8', shape: [1], parameters, ...more }] }),
    );
  assert.throws(() => decodeMessage(entry({ shared_memory_region: 'r' }), 'inputs', null), /shared memory/);
  const both = entry({ binary_data_size: 0 }, { data: [1] });
  assert.throws(() => decodeMessage(both, 'inputs', null), /both data and/);
  assert.throws(() => decodeMessage(entry({ binary_data_size: -1 }), 'inputs', null), TensorFormatError);
  for (const value of ['', '-1', '1e3', '0x10', ['1', '2']])
    assert.throws(() => jsonLengthOf(value), TensorFormatError);
  assert.equal(jsonLengthOf(undefined), null);
  assert.equal(jsonLengthOf(' 12 '), 12);
});
