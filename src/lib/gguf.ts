/**
 * Reads the header of a GGUF file: metadata and where each tensor lies, never the weights (gguf specification, versions 2
 * and 3, little endian). The file is hostile until read: every count, length and offset is checked before it is used, and
 * no header costs more memory than the limits say. Native code reads such files with asserts; this goes before it.
 */
import { constants, type FileHandle, open } from 'node:fs/promises';
import { invariant } from './invariant.ts';

export class GgufError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'GgufError';
  }
}

export interface GgufLimits {
  /** Most bytes before the weights. A model's vocabulary is a few MB of it; an adapter's header some ten KB. */
  readonly headerBytesMax: number;
  readonly metadataMax: number;
  readonly tensorsMax: number;
  /** Longest key, name or text in bytes. A chat template is some KB. */
  readonly stringBytesMax: number;
  /** Arrays with more items are skipped: their `items` is null. */
  readonly arrayItemsKept: number;
}

export const GGUF_LIMITS: GgufLimits = {
  headerBytesMax: 64 * 1_048_576,
  metadataMax: 4_096,
  tensorsMax: 65_536,
  stringBytesMax: 1_048_576,
  arrayItemsKept: 4_096,
};

export type GgufScalar = number | bigint | boolean | string;

export interface GgufArray {
  readonly length: number;
  /** null when it was longer than the limit. */
  readonly items: readonly GgufScalar[] | null;
}

/** A 64-bit integer beyond 2⁵³ is a bigint, every other number a number. */
export type GgufValue = GgufScalar | GgufArray;

/** Types of metadata, by number. */
const METADATA_TYPES = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'array',
  'u64',
  'i64',
  'f64',
] as const;

export type GgufMetadataType = (typeof METADATA_TYPES)[number];

/** ggml tensor types by number: name, elements per block, bytes per block (ggml.h, ggml-common.h). */
const TENSOR_TYPES = {
  0: ['F32', 1, 4],
  1: ['F16', 1, 2],
  2: ['Q4_0', 32, 18],
  3: ['Q4_1', 32, 20],
  6: ['Q5_0', 32, 22],
  7: ['Q5_1', 32, 24],
  8: ['Q8_0', 32, 34],
  9: ['Q8_1', 32, 36],
  10: ['Q2_K', 256, 84],
  11: ['Q3_K', 256, 110],
  12: ['Q4_K', 256, 144],
  13: ['Q5_K', 256, 176],
  14: ['Q6_K', 256, 210],
  15: ['Q8_K', 256, 292],
  16: ['IQ2_XXS', 256, 66],
  17: ['IQ2_XS', 256, 74],
  18: ['IQ3_XXS', 256, 98],
  19: ['IQ1_S', 256, 50],
  20: ['IQ4_NL', 32, 18],
  21: ['IQ3_S', 256, 110],
  22: ['IQ2_S', 256, 82],
  23: ['IQ4_XS', 256, 136],
  24: ['I8', 1, 1],
  25: ['I16', 1, 2],
  26: ['I32', 1, 4],
  27: ['I64', 1, 8],
  28: ['F64', 1, 8],
  29: ['IQ1_M', 256, 56],
  30: ['BF16', 1, 2],
  34: ['TQ1_0', 256, 54],
  35: ['TQ2_0', 256, 66],
  39: ['MXFP4', 32, 17],
} as const;

export type GgufTensorType = (typeof TENSOR_TYPES)[keyof typeof TENSOR_TYPES][0];

export interface GgufTensor {
  readonly name: string;
  /** As ggml writes it: the first is the length of a row. 1 to 4 of them. */
  readonly shape: readonly number[];
  readonly type: GgufTensorType;
  /** From `dataOffset`. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly version: number;
  /** Tensors begin at multiples of it. A power of two. */
  readonly alignment: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** How each entry is typed in the file: llama.cpp ends the process when one it reads is of another type. */
  readonly metadataTypes: ReadonlyMap<string, GgufMetadataType>;
  readonly tensors: readonly GgufTensor[];
  /** Where the list of tensors begins in the file: after the metadata. */
  readonly tensorsOffset: number;
  /** Where the weights begin in the file. */
  readonly dataOffset: number;
  readonly fileBytes: number;
}

/** Anything that gives bytes at a position; a FileHandle does. */
export interface ByteSource {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
}

/**
 * Reads the header of the file at `path`. Throws GgufError for what is no whole GGUF file within the limits (a folder, a
 * pipe and a device included), the file system's own error when it cannot be opened, `signal.reason` when aborted.
 */
export async function readGgufHeader(
  path: string,
  limits: GgufLimits,
  signal: AbortSignal,
): Promise<GgufHeader> {
  signal.throwIfAborted();
  // Opening a pipe that nobody writes to would wait for ever.
  const handle: FileHandle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new GgufError('it is no regular file');
    return await parseGgufHeader(handle, stat.size, limits, signal);
  } finally {
    await handle.close();
  }
}

/** How ggml counts a type: its number in a file, and the elements and bytes of a block. */
export function ggufBlock(type: GgufTensorType): {
  readonly number: number;
  readonly elements: number;
  readonly bytes: number;
} {
  const found = Object.entries(TENSOR_TYPES).find(([, [name]]) => name === type);
  invariant(found !== undefined, `no tensor type is called ${type}`);
  const [number, [, elements, bytes]] = found;
  return { number: Number(number), elements, bytes };
}

/** The same over any source of `fileBytes` bytes. */
export async function parseGgufHeader(
  source: ByteSource,
  fileBytes: number,
  limits: GgufLimits,
  signal: AbortSignal,
): Promise<GgufHeader> {
  const cursor = new Cursor(source, fileBytes, limits, signal);
  await cursor.need(24);
  if (cursor.u32() !== MAGIC) throw new GgufError('it does not begin with GGUF');
  const version = cursor.u32();
  if (version < 2 || version > 3)
    throw new GgufError(`it has GGUF version ${version}; 2 and 3 little endian are read`);
  const tensorCount = bounded(cursor.u64(), limits.tensorsMax, 'tensors');
  const metadataCount = bounded(cursor.u64(), limits.metadataMax, 'metadata entries');
  const metadata = new Map<string, GgufValue>();
  const metadataTypes = new Map<string, GgufMetadataType>();
  for (let index = 0; index < metadataCount; index++) {
    const key = await cursor.text('a metadata key');
    if (key === '') throw new GgufError('a metadata key is empty');
    if (metadata.has(key)) throw new GgufError(`the key ${shown(key)} stands there twice`);
    await cursor.need(4);
    const type = METADATA_TYPES[cursor.u32()];
    if (type === undefined) throw new GgufError(`the value of ${shown(key)} has an unknown type`);
    metadata.set(key, await readValue(cursor, type, key, limits));
    metadataTypes.set(key, type);
  }
  if ((metadataTypes.get('general.alignment') ?? 'u32') !== 'u32')
    throw new GgufError('general.alignment is not typed u32');
  const alignment = alignmentOf(metadata);
  const tensorsOffset = cursor.position;
  const tensors: GgufTensor[] = [];
  const names = new Set<string>();
  let end = 0;
  for (let index = 0; index < tensorCount; index++) {
    const tensor = await readTensor(cursor);
    if (names.has(tensor.name)) throw new GgufError(`tensor ${shown(tensor.name)} stands there twice`);
    // llama.cpp wants them one after the other, each padded.
    if (tensor.offset !== end)
      throw new GgufError(`tensor ${shown(tensor.name)} is at ${tensor.offset}; expected ${end}`);
    names.add(tensor.name);
    end = padded(tensor.offset + tensor.bytes, alignment);
    tensors.push(tensor);
  }
  const dataOffset = padded(cursor.position, alignment);
  const last = tensors.at(-1);
  const needed = last === undefined ? cursor.position : dataOffset + last.offset + last.bytes;
  if (needed > fileBytes)
    throw new GgufError(`it is cut off: ${fileBytes} bytes, but its tensors end at ${needed}`);
  return { version, alignment, metadata, metadataTypes, tensors, tensorsOffset, dataOffset, fileBytes };
}

/** "GGUF", read as a little-endian number. */
const MAGIC = 0x46554747;
const WINDOW_BYTES = 65_536;
const ALIGNMENT_DEFAULT = 32;
const ALIGNMENT_MAX = 1_048_576;
/** ggml's GGML_MAX_NAME, which counts the closing zero. */
const NAME_BYTES_MAX = 63;
const DIMENSIONS_MAX = 4;

interface ScalarKind {
  readonly bytes: number;
  readonly read: (cursor: Cursor) => GgufScalar;
}

/** Metadata of fixed size. */
const SCALARS: Readonly<Partial<Record<GgufMetadataType, ScalarKind>>> = {
  u8: { bytes: 1, read: (cursor) => cursor.take(1).getUint8(0) },
  i8: { bytes: 1, read: (cursor) => cursor.take(1).getInt8(0) },
  u16: { bytes: 2, read: (cursor) => cursor.take(2).getUint16(0, true) },
  i16: { bytes: 2, read: (cursor) => cursor.take(2).getInt16(0, true) },
  u32: { bytes: 4, read: (cursor) => cursor.u32() },
  i32: { bytes: 4, read: (cursor) => cursor.take(4).getInt32(0, true) },
  f32: { bytes: 4, read: (cursor) => cursor.take(4).getFloat32(0, true) },
  bool: { bytes: 1, read: (cursor) => cursor.take(1).getUint8(0) !== 0 },
  u64: { bytes: 8, read: (cursor) => compact(cursor.u64()) },
  i64: { bytes: 8, read: (cursor) => compact(cursor.take(8).getBigInt64(0, true)) },
  f64: { bytes: 8, read: (cursor) => cursor.take(8).getFloat64(0, true) },
};

async function readValue(
  cursor: Cursor,
  type: GgufMetadataType,
  key: string,
  limits: GgufLimits,
): Promise<GgufValue> {
  if (type === 'string') return await cursor.text(key);
  if (type !== 'array') return await readScalar(cursor, type, key);
  await cursor.need(12);
  const itemType = METADATA_TYPES[cursor.u32()];
  if (itemType === undefined) throw new GgufError(`the items of ${shown(key)} have an unknown type`);
  const length = bounded(cursor.u64(), limits.headerBytesMax, `items of ${shown(key)}`);
  const isKept = length <= limits.arrayItemsKept;
  if (itemType !== 'string' && !isKept) {
    await cursor.skip(length * kindOf(itemType, key).bytes);
    return { length, items: null };
  }
  const items: GgufScalar[] = [];
  for (let index = 0; index < length; index++) {
    if (!isKept) await cursor.skipText(key);
    else items.push(itemType === 'string' ? await cursor.text(key) : await readScalar(cursor, itemType, key));
  }
  return { length, items: isKept ? items : null };
}

async function readScalar(cursor: Cursor, type: GgufMetadataType, key: string): Promise<GgufScalar> {
  const kind = kindOf(type, key);
  await cursor.need(kind.bytes);
  return kind.read(cursor);
}

function kindOf(type: GgufMetadataType, key: string): ScalarKind {
  const kind = SCALARS[type];
  if (kind === undefined) throw new GgufError(`the value of ${shown(key)} is an array of arrays`);
  return kind;
}

async function readTensor(cursor: Cursor): Promise<GgufTensor> {
  const name = await cursor.text('a tensor name');
  if (name === '' || Buffer.byteLength(name) > NAME_BYTES_MAX)
    throw new GgufError(
      `a tensor name has ${Buffer.byteLength(name)} bytes; expected 1 to ${NAME_BYTES_MAX}`,
    );
  await cursor.need(4);
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > DIMENSIONS_MAX)
    throw new GgufError(
      `tensor ${shown(name)} has ${dimensions} dimensions; expected 1 to ${DIMENSIONS_MAX}`,
    );
  await cursor.need(8 * dimensions + 12);
  const shape = Array.from({ length: dimensions }, () => safe(cursor.u64(), `tensor ${shown(name)}`));
  const typeNumber = cursor.u32();
  const offset = safe(cursor.u64(), `tensor ${shown(name)}`);
  const kind = (TENSOR_TYPES as Readonly<Record<number, readonly [GgufTensorType, number, number]>>)[
    typeNumber
  ];
  if (kind === undefined) throw new GgufError(`tensor ${shown(name)} has the unknown type ${typeNumber}`);
  const [type, blockElements, blockBytes] = kind;
  const elements = shape.reduce((product, length) => product * length, 1);
  if (elements < 1 || elements > Number.MAX_SAFE_INTEGER / 8)
    throw new GgufError(`tensor ${shown(name)} has the shape ${shape.join(' × ')}`);
  if ((shape[0] ?? 0) % blockElements !== 0)
    throw new GgufError(
      `tensor ${shown(name)} has rows of ${shape[0]}; ${type} wants multiples of ${blockElements}`,
    );
  return { name, shape, type, offset, bytes: (elements / blockElements) * blockBytes };
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? ALIGNMENT_DEFAULT;
  if (
    typeof alignment !== 'number' ||
    alignment < 1 ||
    alignment > ALIGNMENT_MAX ||
    !Number.isInteger(Math.log2(alignment))
  )
    throw new GgufError(
      `general.alignment is ${typeof alignment === 'number' ? alignment : 'no number'}; expected a power of two up to ${ALIGNMENT_MAX}`,
    );
  return alignment;
}

function padded(position: number, alignment: number): number {
  return Math.ceil(position / alignment) * alignment;
}

function compact(value: bigint): number | bigint {
  return value >= -MAX_SAFE && value <= MAX_SAFE ? Number(value) : value;
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

function safe(value: bigint, what: string): number {
  if (value > MAX_SAFE) throw new GgufError(`${what} says ${value}, more than any file has`);
  return Number(value);
}

function bounded(count: bigint, max: number, what: string): number {
  if (count > BigInt(max)) throw new GgufError(`it says ${count} ${what}; at most ${max} are read`);
  return Number(count);
}

/** A name from the file as a message may hold it. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/** A window that moves forward over the header. `need` first, then the synchronous reads. */
class Cursor {
  readonly #source: ByteSource;
  readonly #end: number;
  readonly #limits: GgufLimits;
  readonly #signal: AbortSignal;
  readonly #decoder = new TextDecoder('utf-8');
  #window = Buffer.alloc(0);
  /** Of the window's first byte, in the file. */
  #from = 0;
  /** Of the next byte, in the window. */
  #at = 0;

  constructor(source: ByteSource, fileBytes: number, limits: GgufLimits, signal: AbortSignal) {
    this.#source = source;
    this.#end = fileBytes;
    this.#limits = limits;
    this.#signal = signal;
  }

  get position(): number {
    return this.#from + this.#at;
  }

  /** Makes the next `bytes` readable. */
  async need(bytes: number): Promise<void> {
    if (this.#at + bytes > this.#window.length) await this.#fill(bytes);
  }

  async skip(bytes: number): Promise<void> {
    this.#check(bytes);
    if (this.#at + bytes <= this.#window.length) this.#at += bytes;
    else {
      this.#from += this.#at + bytes;
      this.#at = 0;
      this.#window = Buffer.alloc(0);
    }
  }

  async text(what: string): Promise<string> {
    const bytes = await this.#textBytes(what);
    await this.need(bytes);
    const from = this.#at;
    this.#at += bytes;
    return this.#decoder.decode(this.#window.subarray(from, this.#at));
  }

  async skipText(what: string): Promise<void> {
    await this.skip(await this.#textBytes(what));
  }

  take(bytes: number): DataView {
    const view = new DataView(this.#window.buffer, this.#window.byteOffset + this.#at, bytes);
    this.#at += bytes;
    return view;
  }

  u32(): number {
    return this.take(4).getUint32(0, true);
  }

  u64(): bigint {
    return this.take(8).getBigUint64(0, true);
  }

  async #textBytes(what: string): Promise<number> {
    await this.need(8);
    const bytes = this.u64();
    if (bytes > BigInt(this.#limits.stringBytesMax))
      throw new GgufError(
        `${what.slice(0, 80)} has ${bytes} bytes; at most ${this.#limits.stringBytesMax} are read`,
      );
    return Number(bytes);
  }

  #check(bytes: number): void {
    const end = this.position + bytes;
    if (end > this.#end) throw new GgufError(`it is cut off: its header goes beyond its ${this.#end} bytes`);
    if (end > this.#limits.headerBytesMax)
      throw new GgufError(`its header is over ${this.#limits.headerBytesMax} bytes`);
  }

  async #fill(bytes: number): Promise<void> {
    this.#signal.throwIfAborted();
    this.#check(bytes);
    const from = this.position;
    const end = Math.min(this.#end, this.#limits.headerBytesMax);
    const window = Buffer.alloc(Math.min(Math.max(bytes, WINDOW_BYTES), end - from));
    let filled = 0;
    while (filled < window.length) {
      const { bytesRead } = await this.#source.read(window, filled, window.length - filled, from + filled);
      if (bytesRead === 0) throw new GgufError('it became shorter while it was read');
      filled += bytesRead;
    }
    this.#window = window;
    this.#from = from;
    this.#at = 0;
  }
}
