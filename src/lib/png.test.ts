import assert from 'node:assert/strict';
import test from 'node:test';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { pngOf, pngOfChunks } from '../testing/png.ts';
import { decodePng, PngError } from './png.ts';

test('pixels come back through every row filter', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.uint8Array({ minLength: 243, maxLength: 243 }),
      fc.array(fc.nat(4), { maxLength: 9 }),
      (width, height, noise, filters) => {
        const rgb = noise.subarray(0, width * height * 3);
        const decoded = decodePng(pngOf({ width, height, rgb, filters }), 100);
        assert.deepEqual([decoded.width, decoded.height, ...decoded.rgb], [width, height, ...rgb]);
      },
    ),
  );
});

const chunk = (
  colour: number,
  rows: readonly number[],
  more: readonly (readonly [string, Uint8Array])[] = [],
  depth = 8,
  lace = 0,
) =>
  pngOfChunks([
    ['IHDR', Buffer.of(0, 0, 0, 1, 0, 0, 0, 1, depth, colour, 0, 0, lace)],
    ...more,
    ['IDAT', deflateSync(Buffer.from(rows))],
    ['IEND', Buffer.alloc(0)],
  ]);

test('grey, palette and alpha become red, green and blue', () => {
  assert.deepEqual([...decodePng(chunk(0, [0, 7]), 10).rgb], [7, 7, 7]);
  assert.deepEqual([...decodePng(chunk(4, [0, 7, 99]), 10).rgb], [7, 7, 7]);
  assert.deepEqual([...decodePng(chunk(6, [0, 1, 2, 3, 99]), 10).rgb], [1, 2, 3]);
  assert.deepEqual(
    [...decodePng(chunk(3, [0, 1], [['PLTE', Buffer.of(0, 0, 0, 9, 8, 7)]]), 10).rgb],
    [9, 8, 7],
  );
});

test('what is cut, too large, or of another kind is refused by name', () => {
  const whole = pngOf({ width: 2, height: 2, rgb: new Uint8Array(12).fill(5) });
  for (let length = 0; length < whole.length; length += 1)
    assert.throws(() => decodePng(whole.subarray(0, length), 100), PngError);
  assert.throws(() => decodePng(whole, 3), /2 × 2 pixels; at most 3/);
  assert.throws(() => decodePng(chunk(2, [0, 1, 2, 3], [], 16), 10), /16 bits a channel/);
  assert.throws(() => decodePng(chunk(2, [0, 1, 2, 3], [], 8, 1), 10), /interlaced/);
  assert.throws(() => decodePng(chunk(3, [0, 1]), 10), /no palette/);
  assert.throws(() => decodePng(chunk(2, [9, 1, 2, 3]), 10), /filter 9/);
  assert.throws(() => decodePng(chunk(2, [0, 1]), 10), /2 bytes of pixels; expected 4/);
  assert.throws(() => decodePng(chunk(2, Array(5_000).fill(0) as number[]), 10), PngError);
});

test('a byte that flips gives pixels of the same count or a refusal, nothing else', () => {
  const whole = pngOf({ width: 3, height: 2, rgb: new Uint8Array(18).fill(5), filters: [4, 2] });
  for (let at = 0; at < whole.length; at += 1) {
    const broken = Uint8Array.from(whole);
    broken[at] = (broken[at] ?? 0) ^ 0x41;
    try {
      const { width, height, rgb } = decodePng(broken, 1_000);
      assert.equal(rgb.length, width * height * 3);
    } catch (error) {
      assert.ok(error instanceof PngError, String(error));
    }
  }
});
