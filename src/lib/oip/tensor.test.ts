import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  DATATYPES,
  ELEMENT_BYTES,
  elementCount,
  type FixedDatatype,
  TensorFormatError,
  tensorFromBytes,
  tensorToBytes,
  textTensor,
} from './tensor.ts';

const FIXED = DATATYPES.filter((datatype) => datatype !== 'BYTES') as FixedDatatype[];

test('bytes of any alignment come back as they were, for every datatype', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...FIXED),
      fc.nat(9),
      fc.nat(7),
      fc.uint8Array({ minLength: 80, maxLength: 80 }),
      (datatype, count, offset, bytes) => {
        const part = bytes.subarray(offset, offset + count * ELEMENT_BYTES[datatype]);
        const tensor = tensorFromBytes('t', datatype, [count], part);
        assert.equal(tensor.data.length, count);
        assert.deepEqual([...tensorToBytes(tensor)], [...part]);
      },
    ),
  );
});

test('aligned bytes are looked at, not copied', () => {
  const bytes = new Uint8Array(16);
  const tensor = tensorFromBytes('t', 'FP32', [4], bytes);
  bytes[3] = 0x3f;
  bytes[2] = 0x80;
  assert.equal(tensor.data[0], 1);
  assert.equal(tensorToBytes(tensor).buffer, bytes.buffer);
});

test('strings of bytes come back, the empty ones too, and a cut anywhere is noticed', () => {
  const tensor = textTensor('t', [3], ['Grüß', '', 'x'.repeat(300)]);
  const bytes = tensorToBytes(tensor);
  assert.deepEqual(tensorFromBytes('t', 'BYTES', [3], bytes), tensor);
  for (let length = 0; length < bytes.length; length += 1)
    assert.throws(() => tensorFromBytes('t', 'BYTES', [3], bytes.subarray(0, length)), TensorFormatError);
  assert.throws(
    () => tensorFromBytes('t', 'BYTES', [3], Buffer.concat([bytes, Buffer.of(0)])),
    /1 bytes after/,
  );
  assert.throws(() => tensorFromBytes('t', 'BYTES', [2 ** 27], bytes), /too few/);
});

test('a shape is a list of counts that fits memory', () => {
  assert.equal(elementCount('t', []), 1);
  assert.equal(elementCount('t', [2, 0, 3]), 0);
  assert.equal(elementCount('t', [2, 3]), 6);
  for (const shape of [[-1], [1.5], [NaN], [2 ** 20, 2 ** 20], [2 ** 60], Array(40).fill(1) as number[]])
    assert.throws(() => elementCount('t', shape), TensorFormatError);
});

test('data of another length than the shape is refused both ways', () => {
  assert.throws(() => tensorFromBytes('t', 'INT16', [2], new Uint8Array(3)), /has 3 bytes; expected 4/);
  assert.throws(
    () => tensorToBytes({ name: 't', datatype: 'INT8', shape: [3], data: Int8Array.of(1) }),
    /has 1 elements; its shape \[3\] has 3/,
  );
});
