/**
 * The text chunks of a PNG or APNG, where character cards live. Reads hostile files: every length is checked against
 * the file and a limit before a byte is taken, every CRC is verified, compressed text is not opened.
 * Layout: https://www.w3.org/TR/png-3/#5Chunk-layout. Never decodes pixels.
 */
import { crc32 } from 'node:zlib';
import { ServiceError } from '../core/errors.ts';

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** Largest picture that is read, in bytes. */
export const PNG_BYTES_MAX = 32 * 1024 * 1024;
const CHUNKS_MAX = 20_000;
const TEXT_CHUNK_BYTES_MAX = 8 * 1024 * 1024;
/** PNG forbids larger (§5.3). */
const CHUNK_BYTES_MAX = 0x7fff_ffff;

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
  /** Where the chunk begins (its length field) and ends (after its CRC) in the file. */
  readonly from: number;
  readonly to: number;
}

export function isPng(bytes: Uint8Array): boolean {
  return bytes.length >= SIGNATURE.length && SIGNATURE.every((byte, at) => bytes[at] === byte);
}

/**
 * The tEXt chunks of a picture by keyword (Latin-1); of two with one keyword the last wins. Throws `card_rejected`
 * naming the chunk and the rule it broke.
 */
export function readPngText(bytes: Uint8Array): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const chunk of chunks(bytes)) {
    if (chunk.type !== 'tEXt') continue;
    if (chunk.data.length > TEXT_CHUNK_BYTES_MAX) {
      throw rejected(
        `tEXt chunk at ${chunk.from} has ${chunk.data.length} bytes, at most ${TEXT_CHUNK_BYTES_MAX} are read`,
      );
    }
    const end = chunk.data.indexOf(0);
    if (end < 1 || end > 79) throw rejected(`tEXt chunk at ${chunk.from} has no keyword of 1 to 79 bytes`);
    const latin1 = Buffer.from(chunk.data.buffer, chunk.data.byteOffset, chunk.data.length).toString(
      'latin1',
    );
    texts.set(latin1.slice(0, end), latin1.slice(end + 1));
  }
  return texts;
}

/**
 * The same picture with the given tEXt chunks, which replace those of the same keyword and stand before the image data.
 * Throws `card_rejected` when the picture is not a sound PNG.
 */
export function writePngText(bytes: Uint8Array, texts: ReadonlyMap<string, string>): Uint8Array {
  const parts: Uint8Array[] = [SIGNATURE];
  for (const chunk of chunks(bytes)) {
    if (chunk.type === 'tEXt' && texts.has(keyword(chunk))) continue;
    parts.push(bytes.subarray(chunk.from, chunk.to));
    if (chunk.type === 'IHDR') {
      for (const [name, text] of texts) {
        parts.push(
          encodeChunk(
            'tEXt',
            Buffer.concat([Buffer.from(name, 'latin1'), Buffer.of(0), Buffer.from(text, 'latin1')]),
          ),
        );
      }
    }
  }
  return Buffer.concat(parts);
}

/** A picture of one transparent dot, for cards that have none. */
export function blankPng(): Uint8Array {
  const header = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0, 0, 0]);
  // zlib stream of one filter byte and four zero bytes, stored.
  const data = Buffer.from([0x78, 0x01, 0x01, 5, 0, 0xfa, 0xff, 0, 0, 0, 0, 0, 0, 5, 0, 1]);
  return Buffer.concat([
    SIGNATURE,
    encodeChunk('IHDR', header),
    encodeChunk('IDAT', data),
    encodeChunk('IEND', Buffer.alloc(0)),
  ]);
}

function* chunks(bytes: Uint8Array): Generator<Chunk> {
  if (!isPng(bytes)) throw rejected('it does not begin with the PNG signature');
  if (bytes.length > PNG_BYTES_MAX) {
    throw rejected(`it has ${bytes.length} bytes, at most ${PNG_BYTES_MAX} are read`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = SIGNATURE.length;
  for (let count = 0; ; count++) {
    if (count > CHUNKS_MAX) throw rejected(`more than ${CHUNKS_MAX} chunks`);
    if (at + 12 > bytes.length)
      throw rejected(`cut off at byte ${bytes.length}, in a chunk header or before IEND`);
    const length = view.getUint32(at);
    const type = Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1');
    if (!/^[A-Za-z]{4}$/.test(type)) throw rejected(`chunk at ${at} has a type that is not four letters`);
    if (count === 0 && type !== 'IHDR') throw rejected(`the first chunk is ${type}, expected IHDR`);
    if (length > CHUNK_BYTES_MAX || at + 12 + length > bytes.length) {
      throw rejected(`${type} chunk at ${at} claims ${length} bytes, ${bytes.length - at - 12} are left`);
    }
    const to = at + 12 + length;
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(to - 4)) {
      throw rejected(`${type} chunk at ${at} has a wrong CRC`);
    }
    yield { type, data: bytes.subarray(at + 8, at + 8 + length), from: at, to };
    if (type === 'IEND') return;
    at = to;
  }
}

function keyword(chunk: Chunk): string {
  const end = chunk.data.indexOf(0);
  return Buffer.from(chunk.data.subarray(0, Math.max(0, end))).toString('latin1');
}

function encodeChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, 'latin1');
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

function rejected(reason: string): ServiceError {
  return new ServiceError('card_rejected', `the PNG was refused: ${reason}`);
}
