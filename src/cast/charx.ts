/**
 * CHARX: a character card as a zip with `card.json` and its assets. Reads hostile archives: the central directory is
 * checked whole (names, links, sizes, ratio, count) before one byte is inflated, and inflating stops at the declared
 * size. Layout: APPNOTE.TXT 6.3.10, §4.3. Nothing is ever written to disk by the names in it.
 */
import { crc32, inflateRawSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { ServiceError } from '../core/errors.ts';

export const CHARX_BYTES_MAX = 64 * 1024 * 1024;
const ENTRIES_MAX = 2_000;
const CARD_BYTES_MAX = 8 * 1024 * 1024;
const TOTAL_BYTES_MAX = 256 * 1024 * 1024;
/** JSON packs about 10:1; a bomb thousands to one. */
const RATIO_MAX = 200;
const CARD_NAME = 'card.json';

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const METHOD_STORED = 0;
const METHOD_DEFLATE = 8;
const UNIX_TYPE_MASK = 0o170000;
const UNIX_LINK = 0o120000;

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly checksum: number;
  readonly localAt: number;
}

/** Whether the bytes begin like a zip. */
export function isZip(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 && bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 0x03 && bytes[3] === 0x04
  );
}

/** The text of `card.json`, and the names of the other files. Throws `card_rejected` naming the rule that was broken. */
export function readCharx(bytes: Uint8Array): { readonly card: string; readonly assets: readonly string[] } {
  const entries = directory(bytes);
  const card = entries.find((entry) => entry.name === CARD_NAME);
  if (card === undefined) throw rejected(`it has no ${CARD_NAME}`);
  if (card.bytes > CARD_BYTES_MAX) {
    throw rejected(`${CARD_NAME} has ${card.bytes} bytes, at most ${CARD_BYTES_MAX} are read`);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(inflate(bytes, card));
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw rejected(`${CARD_NAME} cannot be unpacked as UTF-8 (${(error as Error).message})`);
  }
  const assets = entries.filter((entry) => entry.name !== CARD_NAME && !entry.name.endsWith('/'));
  return { card: text, assets: assets.map((entry) => entry.name) };
}

/** A CHARX with the card alone. */
export function writeCharx(card: string): Uint8Array {
  // A fixed date (the first a zip can hold) keeps the same card the same bytes.
  return zipSync({ [CARD_NAME]: [Buffer.from(card), { mtime: '1980-01-01T00:00:00' }] });
}

function directory(bytes: Uint8Array): readonly Entry[] {
  if (bytes.length > CHARX_BYTES_MAX) {
    throw rejected(`it has ${bytes.length} bytes, at most ${CHARX_BYTES_MAX} are read`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const endAt = findEnd(view);
  const count = view.getUint16(endAt + 10, true);
  const from = view.getUint32(endAt + 16, true);
  if (count === 0xffff || from === 0xffffffff)
    throw rejected('it is a ZIP64 archive, far larger than a card may be');
  if (count > ENTRIES_MAX) throw rejected(`it has ${count} entries, at most ${ENTRIES_MAX} are read`);
  const entries: Entry[] = [];
  let at = from;
  let total = 0;
  for (let index = 0; index < count; index++) {
    if (at + 46 > endAt || view.getUint32(at, true) !== ENTRY_SIGNATURE) {
      throw rejected(`its directory is damaged at entry ${index}`);
    }
    const nameLength = view.getUint16(at + 28, true);
    const next = at + 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > endAt) throw rejected(`its directory is damaged at entry ${index}`);
    const entry: Entry = {
      name: Buffer.from(bytes.subarray(at + 46, at + 46 + nameLength)).toString('utf8'),
      method: view.getUint16(at + 10, true),
      packedBytes: view.getUint32(at + 20, true),
      bytes: view.getUint32(at + 24, true),
      checksum: view.getUint32(at + 16, true),
      localAt: view.getUint32(at + 42, true),
    };
    const isEncrypted = (view.getUint16(at + 8, true) & 1) !== 0;
    const unixMode = view.getUint32(at + 38, true) >>> 16;
    checkEntry(entry, isEncrypted, unixMode);
    total += entry.bytes;
    if (total > TOTAL_BYTES_MAX) throw rejected(`it unpacks to more than ${TOTAL_BYTES_MAX} bytes`);
    entries.push(entry);
    at = next;
  }
  if (new Set(entries.map((entry) => entry.name)).size !== entries.length)
    throw rejected('two entries have one name');
  return entries;
}

/** The end record stands last, behind it at most a comment of 65,535 bytes. */
function findEnd(view: DataView): number {
  const last = view.byteLength - 22;
  for (let at = last; at >= Math.max(0, last - 0xffff); at--) {
    if (
      view.getUint32(at, true) === END_SIGNATURE &&
      at + 22 + view.getUint16(at + 20, true) === view.byteLength
    ) {
      return at;
    }
  }
  throw rejected('it is not a whole zip (no end record)');
}

function checkEntry(entry: Entry, isEncrypted: boolean, unixMode: number): void {
  const name = entry.name.slice(0, 100);
  if (
    entry.name === '' ||
    /^[\\/]|^[A-Za-z]:|\\|\0/.test(entry.name) ||
    entry.name.split('/').includes('..')
  ) {
    throw rejected(`entry "${name}" leaves the archive by its path`);
  }
  if ((unixMode & UNIX_TYPE_MASK) === UNIX_LINK) throw rejected(`entry "${name}" is a link`);
  if (isEncrypted) throw rejected(`entry "${name}" is encrypted`);
  if (entry.bytes > 1024 && entry.bytes > entry.packedBytes * RATIO_MAX) {
    throw rejected(
      `entry "${name}" unpacks ${entry.packedBytes} bytes to ${entry.bytes}, over ${RATIO_MAX} to one`,
    );
  }
}

function inflate(bytes: Uint8Array, entry: Entry): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = entry.localAt;
  if (at + 30 > bytes.length || view.getUint32(at, true) !== LOCAL_SIGNATURE) {
    throw rejected(`entry "${entry.name}" does not begin where the directory says`);
  }
  const from = at + 30 + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
  const to = from + entry.packedBytes;
  if (to > bytes.length) throw rejected(`entry "${entry.name}" is cut off`);
  const packed = bytes.subarray(from, to);
  let data: Uint8Array;
  if (entry.method === METHOD_STORED) data = packed;
  else if (entry.method === METHOD_DEFLATE) {
    data = inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.bytes) });
  } else
    throw rejected(`entry "${entry.name}" is packed by method ${entry.method}, expected stored or deflate`);
  if (data.length !== entry.bytes)
    throw rejected(`entry "${entry.name}" has another size than the directory says`);
  if (crc32(data) !== entry.checksum) throw rejected(`entry "${entry.name}" has a wrong CRC`);
  return data;
}

function rejected(reason: string): ServiceError {
  return new ServiceError('card_rejected', `the CHARX archive was refused: ${reason}`);
}
