import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { NotFiniteError, Q4_1_BLOCK_BYTES, Q8_0_BLOCK_BYTES, requantize } from './requantize.ts';

/** As IEEE 754 has it, digit by digit. */
function half(bits: number): number {
  const sign = bits >> 15 === 1 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  if (exponent === 31) return (bits & 1023) === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0
    ? sign * (bits & 1023) * 2 ** -24
    : sign * (1024 + (bits & 1023)) * 2 ** (exponent - 25);
}

/** ggml's `dequantize_row_q4_1`. */
function weightsOfQ41(block: Buffer): readonly number[] {
  const step = half(block.readUInt16LE(0));
  const least = half(block.readUInt16LE(2));
  const bits = [...block.subarray(4)];
  return [...bits.map((pair) => pair & 15), ...bits.map((pair) => pair >> 4)].map((q) => step * q + least);
}

/** ggml's `dequantize_row_q8_0`. */
function weightsOfQ80(block: Buffer): readonly number[] {
  const step = half(block.readUInt16LE(0));
  return Array.from({ length: 32 }, (_, index) => step * block.readInt8(2 + index));
}

/** The least half that is not below the value, found by trying. */
function halfAbove(value: number): number {
  let bits = 0;
  while (half(bits) < value) bits++;
  return bits;
}

function blockOf(step: number, least: number, pairs: readonly number[]): Buffer {
  const block = Buffer.alloc(Q4_1_BLOCK_BYTES);
  block.writeUInt16LE(step, 0);
  block.writeUInt16LE(least, 2);
  block.set(pairs, 4);
  return block;
}

function rewritten(...blocks: Buffer[]): Buffer {
  const to = Buffer.alloc(blocks.length * Q8_0_BLOCK_BYTES);
  requantize(Buffer.concat(blocks), to);
  return to;
}

function assertNear(block: Buffer, copy: Buffer): void {
  const before = weightsOfQ41(block);
  const after = weightsOfQ80(copy);
  const largest = Math.max(...before.map(Math.abs));
  const step = copy.readUInt16LE(0);
  assert.equal(
    step,
    halfAbove(Math.fround(largest / 127)),
    'the step is the least that holds the largest weight',
  );
  for (const [index, weight] of before.entries()) {
    const error = Math.abs(weight - (after[index] ?? Number.NaN));
    assert.ok(error <= half(step) * 0.5000001, `weight ${index}: ${weight} became ${after[index]}`);
  }
}

const pair = fc.integer({ min: 0, max: 255 });
const pairs = fc.array(pair, { minLength: 16, maxLength: 16 });

test('every weight of any block ends within half a step of where it was', () => {
  const finite = fc.integer({ min: 0, max: 0xffff }).filter((bits) => Number.isFinite(half(bits)));
  fc.assert(
    fc.property(finite, finite, pairs, (step, least, bits) => {
      const block = blockOf(step, least, bits);
      assertNear(block, rewritten(block));
    }),
    { numRuns: 2_000 },
  );
});

test('blocks as models have them keep seven bits of each weight', () => {
  const ordinary = fc.integer({ min: 0x2000, max: 0x2c00 });
  fc.assert(
    fc.property(ordinary, pairs, (step, bits) => {
      // Weights around zero: the least is eight steps below it.
      const block = blockOf(step, 0x8000 | (step + (3 << 10)), bits);
      const after = weightsOfQ80(rewritten(block));
      const before = weightsOfQ41(block);
      const largest = Math.max(...before.map(Math.abs));
      for (const [index, weight] of before.entries())
        assert.ok(Math.abs(weight - (after[index] ?? Number.NaN)) <= largest / 250);
    }),
  );
});

test('zeros stay zeros, equal weights stay equal, and the extremes of f16 have room', () => {
  assert.deepEqual(rewritten(blockOf(0, 0, Array(16).fill(0xa5))), Buffer.alloc(Q8_0_BLOCK_BYTES));
  assert.deepEqual(weightsOfQ80(rewritten(blockOf(0, 0x8000, Array(16).fill(0)))), Array(32).fill(0));
  const [first, ...rest] = weightsOfQ80(rewritten(blockOf(0, 0x3c00, Array(16).fill(0x0f))));
  assert.ok(Math.abs((first ?? 0) - 1) < 0.001);
  assert.ok(rest.every((weight) => weight === first));
  for (const [step, least] of [
    [0x7bff, 0x7bff],
    [0xfbff, 0xfbff],
    [0x7bff, 0xfbff],
    [0x0001, 0x8001],
    [0x03ff, 0x0000],
    [0x0400, 0x8400],
  ] as const) {
    const block = blockOf(step, least, [0x0f, 0xf0, ...Array(14).fill(0x37)]);
    assertNear(block, rewritten(block));
  }
});

test('a block stands for itself: what lies before and behind it changes nothing', () => {
  const blocks = [
    blockOf(0x2c00, 0xb000, Array(16).fill(0x19)),
    blockOf(0x7bff, 0x0400, Array(16).fill(0xff)),
  ];
  const [one, two] = blocks as [Buffer, Buffer];
  assert.deepEqual(rewritten(one, two, one), Buffer.concat([rewritten(one), rewritten(two), rewritten(one)]));
});

test('a block that is no number is refused, whichever part of it', () => {
  for (const broken of [0x7c00, 0xfc00, 0x7e00, 0x7c01]) {
    assert.throws(() => rewritten(blockOf(broken, 0x3c00, Array(16).fill(0))), NotFiniteError);
    assert.throws(() => rewritten(blockOf(0x3c00, broken, Array(16).fill(0x21))), NotFiniteError);
  }
});
