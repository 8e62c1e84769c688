import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseExactJson, tensorDataJson, tensorFromJson } from './json-tensor.ts';
import { TensorFormatError, textTensor } from './tensor.ts';

test('64-bit integers keep every digit, there and back', () => {
  fc.assert(
    fc.property(fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })), (values) => {
      const tensor = {
        name: 't',
        datatype: 'INT64',
        shape: [values.length],
        data: BigInt64Array.from(values),
      } as const;
      const data = parseExactJson(tensorDataJson(tensor));
      assert.deepEqual(tensorFromJson('t', 'INT64', tensor.shape, data), tensor);
    }),
  );
});

test('floats keep their value through JSON, whatever their digits', () => {
  fc.assert(
    fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true }), (data) => {
      const tensor = { name: 't', datatype: 'FP32', shape: [data.length], data } as const;
      const back = tensorFromJson('t', 'FP32', tensor.shape, parseExactJson(tensorDataJson(tensor)));
      // JSON has no minus zero in what join writes.
      assert.deepEqual(
        [...back.data].map((value) => Number(value) + 0),
        [...data].map((value) => value + 0),
      );
    }),
  );
});

test('rows may be nested as the shape says, or flat; booleans may be numbers', () => {
  const flat = tensorFromJson('t', 'INT32', [2, 2], [1, 2, 3, 4]);
  assert.deepEqual(
    tensorFromJson(
      't',
      'INT32',
      [2, 2],
      [
        [1, 2],
        [3, 4],
      ],
    ),
    flat,
  );
  assert.deepEqual(tensorFromJson('t', 'BOOL', [3], [true, 0, 1]).data, Uint8Array.of(1, 0, 1));
  assert.deepEqual(tensorFromJson('t', 'BYTES', [1, 1], [['é']]), textTensor('t', [1, 1], ['é']));
});

test('what does not fit the datatype or the shape is refused with its value', () => {
  const refused = (
    datatype: Parameters<typeof tensorFromJson>[1],
    data: unknown,
    pattern: RegExp,
    shape = [1],
  ) =>
    assert.throws(
      () => tensorFromJson('t', datatype, shape, data),
      (error) => error instanceof TensorFormatError && pattern.test(error.message),
    );
  refused('UINT8', [256], /256, which is no UINT8/);
  refused('INT8', [1.5], /1\.5/);
  refused('INT64', [2n ** 63n], /9223372036854775808, which is no INT64/);
  refused('UINT64', [-1], /-1/);
  refused('FP32', ['1'], /"1"/);
  refused('BYTES', [1], /1, which is no BYTES/);
  refused('BOOL', [2], /2/);
  refused('INT32', [1, 2], /more than the 1/);
  refused('INT32', [], /has 0 elements/);
  refused('INT32', [[[1]]], /which is no INT32/);
  refused('INT32', undefined, /no data/);
  refused('FP16', [1], /no JSON form/);
});

test('what JSON cannot say is not said', () => {
  assert.throws(
    () => tensorDataJson({ name: 't', datatype: 'FP64', shape: [1], data: Float64Array.of(NaN) }),
    /NaN or infinity/,
  );
  assert.throws(
    () => tensorDataJson({ name: 't', datatype: 'BYTES', shape: [1], data: [Uint8Array.of(0xff)] }),
    /no UTF-8/,
  );
  assert.throws(
    () => tensorDataJson({ name: 't', datatype: 'BF16', shape: [1], data: Uint16Array.of(1) }),
    /no JSON form/,
  );
});
