/**
 * Reads a PNG into pixels: 8 bits a channel, grey, colour or palette, with or without alpha (dropped), not interlaced.
 * That is what engines' screenshots are; anything else is refused by name. Bounded: no picture costs more memory than its
 * declared size, and none may declare more than the limit (PNG specification, third edition).
 */
import { inflateSync } from 'node:zlib';

export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue of each pixel, row by row from the top. */
  readonly rgb: Uint8Array;
}

export class PngError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PngError';
  }
}

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const PALETTE = 3;

export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.equals(bytes.subarray(0, SIGNATURE.length));
}

/** Throws PngError for anything that is no PNG of the kinds above, or has more than `pixelsMax` pixels. */
export function decodePng(bytes: Uint8Array, pixelsMax: number): Pixels {
  if (!isPng(bytes)) throw new PngError('the image is no PNG');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data: Uint8Array[] = [];
  let header: DataView | null = null;
  let palette: Uint8Array | null = null;
  let hasEnd = false;
  for (let at = SIGNATURE.length; at + 12 <= bytes.length && !hasEnd; ) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length) throw new PngError('the PNG is cut off');
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const chunk = bytes.subarray(at + 8, at + 8 + length);
    if (kind === 'IHDR' && length === 13) header = new DataView(chunk.buffer, chunk.byteOffset, length);
    else if (kind === 'PLTE') palette = chunk;
    else if (kind === 'IDAT') data.push(chunk);
    else if (kind === 'IEND') hasEnd = true;
    at += 12 + length;
  }
  if (header === null || !hasEnd || data.length === 0) throw new PngError('the PNG is cut off');
  const [width, height] = [header.getUint32(0), header.getUint32(4)];
  const [depth, colour, interlaced] = [header.getUint8(8), header.getUint8(9), header.getUint8(12)];
  const channels = CHANNELS[colour];
  if (width === 0 || height === 0 || width * height > pixelsMax)
    throw new PngError(`the PNG has ${width} × ${height} pixels; at most ${pixelsMax} are read`);
  if (depth !== 8 || interlaced !== 0 || channels === undefined)
    throw new PngError(
      `the PNG has ${depth} bits a channel, colour type ${colour}${interlaced === 0 ? '' : ', interlaced'}; expected 8 bits, not interlaced`,
    );
  const stride = width * channels;
  const rows = inflated(data, (stride + 1) * height);
  unfilter(rows, stride, channels, height);
  return { width, height, rgb: toRgb(rows, { width, height, channels, colour, palette }) };
}

function inflated(data: readonly Uint8Array[], expected: number): Uint8Array {
  let rows: Uint8Array;
  try {
    rows = inflateSync(Buffer.concat(data), { maxOutputLength: expected });
  } catch (error) {
    throw new PngError(`the PNG's pixels cannot be read: ${(error as Error).message}`);
  }
  if (rows.length !== expected)
    throw new PngError(`the PNG has ${rows.length} bytes of pixels; expected ${expected}`);
  return rows;
}

/** Undoes the row filters in place (specification §9.2). Each row begins with the number of its filter. */
function unfilter(rows: Uint8Array, stride: number, channels: number, height: number): void {
  for (let row = 0; row < height; row += 1) {
    const start = row * (stride + 1) + 1;
    const filter = rows[start - 1] ?? 0;
    if (filter > 4) throw new PngError(`the PNG uses filter ${filter}, which is none`);
    if (filter === 0) continue;
    for (let at = 0; at < stride; at += 1) {
      const left = at < channels ? 0 : (rows[start + at - channels] ?? 0);
      const above = row === 0 ? 0 : (rows[start + at - stride - 1] ?? 0);
      const corner = row === 0 || at < channels ? 0 : (rows[start + at - stride - 1 - channels] ?? 0);
      const guess =
        filter === 1
          ? left
          : filter === 2
            ? above
            : filter === 3
              ? (left + above) >> 1
              : paeth(left, above, corner);
      rows[start + at] = (rows[start + at] ?? 0) + guess;
    }
  }
}

function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner;
  const [byLeft, byAbove, byCorner] = [guess - left, guess - above, guess - corner].map(Math.abs) as [
    number,
    number,
    number,
  ];
  if (byLeft <= byAbove && byLeft <= byCorner) return left;
  return byAbove <= byCorner ? above : corner;
}

interface Layout {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly colour: number;
  readonly palette: Uint8Array | null;
}

function toRgb(rows: Uint8Array, { width, height, channels, colour, palette }: Layout): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  if (colour === PALETTE && palette === null) throw new PngError('the PNG has no palette');
  for (let row = 0, to = 0; row < height; row += 1)
    for (let column = 0; column < width; column += 1, to += 3) {
      const from = row * (width * channels + 1) + 1 + column * channels;
      for (let channel = 0; channel < 3; channel += 1)
        rgb[to + channel] =
          colour === PALETTE
            ? (palette?.[(rows[from] ?? 0) * 3 + channel] ?? 0)
            : (rows[channels < 3 ? from : from + channel] ?? 0);
    }
  return rgb;
}
