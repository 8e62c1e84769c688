/**
 * Q4_1 blocks as Q8_0 blocks, both of 32 weights (ggml-common.h). A Q4_1 block holds a step and a least value as f16 and
 * 4 bits a weight (step × bits + least); a Q8_0 block holds a step as f16 and a signed byte a weight. Each weight ends
 * within half a step of where it was, and the step is a 127th of the block's largest weight.
 */

export const Q4_1_BLOCK_BYTES = 20;
export const Q8_0_BLOCK_BYTES = 34;

/** Weights that are no numbers: a damaged file, which is not to be made to look whole. */
export class NotFiniteError extends Error {
  constructor() {
    super('a block of its weights is no number');
    this.name = 'NotFiniteError';
  }
}

/**
 * Writes the blocks of `from` into `to`, which has room for as many. Throws NotFiniteError at a block with a NaN or an
 * infinity. No call a weight and no allocation a block: a hundred million weights are a second.
 */
export function requantize(from: Uint8Array, to: Uint8Array): void {
  tables ??= makeTables();
  const { halves, bitsOf } = tables;
  const blocks = from.length / Q4_1_BLOCK_BYTES;
  for (let block = 0, at = 0, out = 0; block < blocks; block++) {
    const step = halves[(from[at] as number) | ((from[at + 1] as number) << 8)] as number;
    const least = halves[(from[at + 2] as number) | ((from[at + 3] as number) << 8)] as number;
    at += 4;
    // Weights follow their bits in order, so that the largest is at the lowest or the highest that occur.
    let occurring = 0;
    for (let index = 0; index < 16; index++) occurring |= bitsOf[from[at + index] as number] as number;
    const lowest = 31 - Math.clz32(occurring & -occurring);
    const highest = 31 - Math.clz32(occurring);
    const largest = Math.max(Math.abs(step * lowest + least), Math.abs(step * highest + least));
    if (!(largest < Number.POSITIVE_INFINITY)) throw new NotFiniteError();

    const half = halfAtLeast(largest / 127);
    to[out] = half & 0xff;
    to[out + 1] = half >> 8;
    out += 2;
    const scale = half === 0 ? 0 : 1 / (halves[half] as number);
    for (let bits = lowest; bits <= highest; bits++)
      // Rounded by cutting off: what is cut is positive.
      rounded[bits] = (((step * bits + least) * scale + 128.5) | 0) - 128;
    for (let index = 0; index < 16; index++) {
      const pair = from[at + index] as number;
      to[out + index] = rounded[pair & 15] as number;
      to[out + 16 + index] = rounded[pair >> 4] as number;
    }
    at += 16;
    out += 32;
  }
}

/** The signed byte of each of the 16 values that a weight of the block at hand can have. */
const rounded = new Int8Array(16);
const bytesOfFloat = new DataView(new ArrayBuffer(4));

/** The least f16 that is not below `value` as f32, so that no weight is over 127 steps. `value` is from 0 to 65,504. */
function halfAtLeast(value: number): number {
  // Below the least normal number halves are multiples of 2⁻²⁴.
  if (value < 2 ** -14) return Math.ceil(value * 2 ** 24);
  bytesOfFloat.setFloat32(0, value);
  const float = bytesOfFloat.getUint32(0);
  // Exponents count from -127 there and from -15 here; 13 bits of the fraction go. A carry into the exponent is right.
  return (float >>> 13) - ((127 - 15) << 10) + ((float & 0x1fff) === 0 ? 0 : 1);
}

let tables: { readonly halves: Float32Array; readonly bitsOf: Uint16Array } | undefined;

/** The number that each f16 is, and for each byte the set of the two values in it. Made once, at the first use. */
function makeTables(): { readonly halves: Float32Array; readonly bitsOf: Uint16Array } {
  const halves = Float32Array.from({ length: 65_536 }, (_, half) => halfToNumber(half));
  const bitsOf = Uint16Array.from({ length: 256 }, (_, pair) => (1 << (pair & 15)) | (1 << (pair >> 4)));
  return { halves, bitsOf };
}

function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
