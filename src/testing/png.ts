/** Writes PNGs for tests, with any row filter, so that the reader is tried on more than one encoder's habits. */
import { crc32, deflateSync } from 'node:zlib';

export interface PngOptions {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
  /** Row filter 0..4, by row; 0 where none is named. */
  readonly filters?: readonly number[];
}

export function pngOf({ width, height, rgb, filters = [] }: PngOptions): Buffer {
  const stride = width * 3;
  const rows = Buffer.alloc((stride + 1) * height);
  const at = (row: number, column: number) => (row < 0 || column < 0 ? 0 : (rgb[row * stride + column] ?? 0));
  for (let row = 0; row < height; row += 1) {
    const filter = filters[row] ?? 0;
    rows[row * (stride + 1)] = filter;
    for (let column = 0; column < stride; column += 1) {
      const [left, above, corner] = [at(row, column - 3), at(row - 1, column), at(row - 1, column - 3)];
      const guess = [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter] ?? 0;
      rows[row * (stride + 1) + 1 + column] = (at(row, column) - guess) & 0xff;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return pngOfChunks([
    ['IHDR', header],
    ['IDAT', deflateSync(rows)],
    ['IEND', Buffer.alloc(0)],
  ]);
}

export function pngOfChunks(chunks: readonly (readonly [string, Uint8Array])[]): Buffer {
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    ...chunks.flatMap(([kind, data]) => {
      const body = Buffer.concat([Buffer.from(kind), data]);
      const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
      length.writeUInt32BE(data.length);
      sum.writeUInt32BE(crc32(body));
      return [length, body, sum];
    }),
  ]);
}

function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner;
  const sides = [left, above, corner].map((side) => ({ side, far: Math.abs(guess - side) }));
  return sides.reduce((best, each) => (each.far < best.far ? each : best)).side;
}
