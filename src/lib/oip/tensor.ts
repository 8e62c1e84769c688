/**
 * Typed tensors as the Open Inference Protocol moves them: little-endian, row-major. Bytes become typed arrays without a
 * copy where they lie aligned, and with one where not. Invariant: a tensor that came out of here has as many elements as
 * its shape says.
 */

/** Bytes of one element; BYTES elements carry their own length. */
export const ELEMENT_BYTES = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
} as const;

/** Views over `buffer`: one element of the array is one element of the tensor. Half floats stay their 16 bits. */
const VIEWS = {
  BOOL: (buffer: ArrayBufferLike, at: number, length: number) => new Uint8Array(buffer, at, length),
  UINT8: (buffer: ArrayBufferLike, at: number, length: number) => new Uint8Array(buffer, at, length),
  UINT16: (buffer: ArrayBufferLike, at: number, length: number) => new Uint16Array(buffer, at, length),
  UINT32: (buffer: ArrayBufferLike, at: number, length: number) => new Uint32Array(buffer, at, length),
  UINT64: (buffer: ArrayBufferLike, at: number, length: number) => new BigUint64Array(buffer, at, length),
  INT8: (buffer: ArrayBufferLike, at: number, length: number) => new Int8Array(buffer, at, length),
  INT16: (buffer: ArrayBufferLike, at: number, length: number) => new Int16Array(buffer, at, length),
  INT32: (buffer: ArrayBufferLike, at: number, length: number) => new Int32Array(buffer, at, length),
  INT64: (buffer: ArrayBufferLike, at: number, length: number) => new BigInt64Array(buffer, at, length),
  FP16: (buffer: ArrayBufferLike, at: number, length: number) => new Uint16Array(buffer, at, length),
  BF16: (buffer: ArrayBufferLike, at: number, length: number) => new Uint16Array(buffer, at, length),
  FP32: (buffer: ArrayBufferLike, at: number, length: number) => new Float32Array(buffer, at, length),
  FP64: (buffer: ArrayBufferLike, at: number, length: number) => new Float64Array(buffer, at, length),
};

export type FixedDatatype = keyof typeof VIEWS;
export type Datatype = FixedDatatype | 'BYTES';
export const DATATYPES: readonly Datatype[] = [...(Object.keys(VIEWS) as FixedDatatype[]), 'BYTES'];

interface Shaped {
  readonly name: string;
  /** Each dimension at least 0; with batching the first is the batch. Empty: one element. */
  readonly shape: readonly number[];
}

export type FixedTensor = {
  [D in FixedDatatype]: Shaped & { readonly datatype: D; readonly data: ReturnType<(typeof VIEWS)[D]> };
}[FixedDatatype];

/** Each element is a string of bytes. */
export interface BytesTensor extends Shaped {
  readonly datatype: 'BYTES';
  readonly data: readonly Uint8Array[];
}

export type Tensor = FixedTensor | BytesTensor;

/** What came is no tensor: the sender's fault, whichever side that is. */
export class TensorFormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TensorFormatError';
  }
}

/** More elements than this are refused before anything is allocated for them (256 Mi: 1 GiB of FP32). */
const ELEMENTS_MAX = 2 ** 28;
const DIMENSIONS_MAX = 32;
const LENGTH_BYTES = 4;

const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

export function isDatatype(name: unknown): name is Datatype {
  return typeof name === 'string' && (DATATYPES as readonly string[]).includes(name);
}

/** How many elements a shape has. Throws TensorFormatError for a negative, fractional or absurd one. */
export function elementCount(name: string, shape: readonly number[]): number {
  if (shape.length > DIMENSIONS_MAX)
    throw new TensorFormatError(
      `tensor ${name} has ${shape.length} dimensions; at most ${DIMENSIONS_MAX} are read`,
    );
  let count = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0)
      throw new TensorFormatError(
        `tensor ${name} has the shape [${shape.join(', ')}]; expected counts from 0`,
      );
    count *= dimension;
    if (count > ELEMENTS_MAX)
      throw new TensorFormatError(
        `tensor ${name} has the shape [${shape.join(', ')}], over ${ELEMENTS_MAX} elements`,
      );
  }
  return count;
}

/** A typed array over these bytes; copied only where they are not aligned to the element. */
export function fixedTensor(
  name: string,
  datatype: FixedDatatype,
  shape: readonly number[],
  bytes: Uint8Array,
): FixedTensor {
  const count = elementCount(name, shape);
  const size = ELEMENT_BYTES[datatype];
  if (bytes.byteLength !== count * size)
    throw new TensorFormatError(
      `tensor ${name} (${datatype} [${shape.join(', ')}]) has ${bytes.byteLength} bytes; expected ${count * size}`,
    );
  const aligned =
    bytes.byteOffset % size === 0 && (IS_LITTLE_ENDIAN || size === 1) ? bytes : copied(bytes, size);
  const data = VIEWS[datatype](aligned.buffer, aligned.byteOffset, count);
  return { name, datatype, shape, data } as FixedTensor;
}

function copied(bytes: Uint8Array, size: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  return IS_LITTLE_ENDIAN ? copy : swapped(copy, size);
}

function swapped(bytes: Uint8Array, size: number): Uint8Array {
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
  return bytes;
}

/** A tensor from its binary form: fixed elements side by side, or BYTES with a 4-byte length before each. */
export function tensorFromBytes(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array,
): Tensor {
  if (datatype !== 'BYTES') return fixedTensor(name, datatype, shape, bytes);
  const count = elementCount(name, shape);
  if (count * LENGTH_BYTES > bytes.byteLength)
    throw new TensorFormatError(
      `tensor ${name} has ${bytes.byteLength} bytes, too few for ${count} elements`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data: Uint8Array[] = [];
  let at = 0;
  while (data.length < count) {
    const end =
      at + LENGTH_BYTES > bytes.byteLength ? Infinity : at + LENGTH_BYTES + view.getUint32(at, true);
    if (end > bytes.byteLength)
      throw new TensorFormatError(`tensor ${name}: element ${data.length} of ${count} ends beyond its bytes`);
    data.push(bytes.subarray(at + LENGTH_BYTES, end));
    at = end;
  }
  if (at !== bytes.byteLength)
    throw new TensorFormatError(`tensor ${name} has ${bytes.byteLength - at} bytes after its last element`);
  return { name, datatype, shape, data };
}

/** The binary form. Fixed elements are the very memory of the tensor, not a copy. Throws when shape and data differ. */
export function tensorToBytes(tensor: Tensor): Uint8Array {
  const count = elementCount(tensor.name, tensor.shape);
  if (tensor.data.length !== count)
    throw new TensorFormatError(
      `tensor ${tensor.name} has ${tensor.data.length} elements; its shape [${tensor.shape.join(', ')}] has ${count}`,
    );
  if (tensor.datatype !== 'BYTES') {
    const { buffer, byteOffset, byteLength } = tensor.data;
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    return IS_LITTLE_ENDIAN ? bytes : swapped(Uint8Array.from(bytes), ELEMENT_BYTES[tensor.datatype]);
  }
  const total = tensor.data.reduce((sum, element) => sum + LENGTH_BYTES + element.byteLength, 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const element of tensor.data) {
    view.setUint32(at, element.byteLength, true);
    bytes.set(element, at + LENGTH_BYTES);
    at += LENGTH_BYTES + element.byteLength;
  }
  return bytes;
}

/** A BYTES tensor of texts in UTF-8. */
export function textTensor(name: string, shape: readonly number[], texts: readonly string[]): BytesTensor {
  return { name, datatype: 'BYTES', shape, data: texts.map((text) => new TextEncoder().encode(text)) };
}
