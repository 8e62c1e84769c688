/**
 * Matrices that are read row by row from where they lie, so that an adapter of any size is converted in a megabyte or two.
 * Rows are as in PyTorch: a row of `columns` weights after the other, little endian. Bytes are never interpreted but to
 * find a weight that is no finite number.
 */
import type { FileHandle } from 'node:fs/promises';
import { invalid, WEIGHT_BYTES, type WeightType } from './artefact.ts';

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly type: WeightType;
  /** The bytes of `count` rows. Throws `adapter_invalid` when the file has become shorter. */
  read(first: number, count: number, signal: AbortSignal): Promise<Uint8Array>;
}

export function matrixBytes(matrix: Pick<Matrix, 'rows' | 'columns' | 'type'>): number {
  return matrix.rows * matrix.columns * WEIGHT_BYTES[matrix.type];
}

const CHUNK_BYTES = 1_048_576;

/** The matrix from its first byte to its last, in pieces of whole rows of about a megabyte. */
export async function* chunksOf(matrix: Matrix, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const rowBytes = matrix.columns * WEIGHT_BYTES[matrix.type];
  const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
  for (let row = 0; row < matrix.rows; row += step)
    yield await matrix.read(row, Math.min(step, matrix.rows - row), signal);
}

/** A matrix in a file, from byte `position` on. */
export function fileMatrix(
  handle: FileHandle,
  position: number,
  shape: Pick<Matrix, 'rows' | 'columns' | 'type'>,
): Matrix {
  const rowBytes = shape.columns * WEIGHT_BYTES[shape.type];
  return {
    ...shape,
    read: (first, count, signal) =>
      readExactly(handle, position + first * rowBytes, count * rowBytes, signal),
  };
}

/** Reads `length` bytes at `position`; the memory is its own, aligned for any weight. */
export async function readExactly(
  handle: FileHandle,
  position: number,
  length: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  signal.throwIfAborted();
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) throw invalid(`the file ends at byte ${position + filled}: it was cut off`);
    filled += bytesRead;
  }
  return bytes;
}

/**
 * The rows of each block of `blockRows` in another order: row `i` of a block is row `order(i)` of the same block. `rows` is a
 * multiple of `blockRows`.
 */
export function reorderedRows(matrix: Matrix, blockRows: number, order: (row: number) => number): Matrix {
  const rowBytes = matrix.columns * WEIGHT_BYTES[matrix.type];
  const read = async (first: number, count: number, signal: AbortSignal) => {
    const blockFirst = Math.floor(first / blockRows) * blockRows;
    const blockEnd = Math.ceil((first + count) / blockRows) * blockRows;
    const source = await matrix.read(blockFirst, blockEnd - blockFirst, signal);
    const target = new Uint8Array(count * rowBytes);
    for (let row = first; row < first + count; row++) {
      const block = Math.floor(row / blockRows) * blockRows;
      const from = (block - blockFirst + order(row - block)) * rowBytes;
      target.set(source.subarray(from, from + rowBytes), (row - first) * rowBytes);
    }
    return target;
  };
  return { rows: matrix.rows, columns: matrix.columns, type: matrix.type, read };
}

/** Columns as rows. Holds the whole matrix: for the one of an embedding, rank × vocabulary. */
export function transposed(matrix: Matrix): Matrix {
  let whole: Promise<Uint8Array> | null = null;
  const size = WEIGHT_BYTES[matrix.type];
  const turn = async (signal: AbortSignal) => {
    const bytes = await matrix.read(0, matrix.rows, signal);
    const source = wordsOf(bytes, matrix.type);
    const target = source.slice();
    for (let row = 0, from = 0; row < matrix.rows; row++)
      for (let column = 0; column < matrix.columns; column++, from++)
        target[column * matrix.rows + row] = source[from] ?? 0;
    return new Uint8Array(target.buffer);
  };
  return {
    rows: matrix.columns,
    columns: matrix.rows,
    type: matrix.type,
    read: async (first, count, signal) => {
      whole ??= turn(signal);
      const rowBytes = matrix.rows * size;
      return (await whole).slice(first * rowBytes, (first + count) * rowBytes);
    },
  };
}

/** Bits of the exponent; all of them set is infinity or no number (IEEE 754; bfloat16 has the exponent of F32). */
const EXPONENT = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 } as const;

/** Index of the first weight that is infinite or no number; null when all are finite. `bytes` as `Matrix.read` gives them. */
export function firstNotFinite(bytes: Uint8Array, type: WeightType): number | null {
  const mask = EXPONENT[type];
  const words = wordsOf(bytes, type);
  for (let index = 0; index < words.length; index++) if (((words[index] ?? 0) & mask) === mask) return index;
  return null;
}

/** The weights' bits. `bytes` begins where its memory does, or at a multiple of a weight's size. */
function wordsOf(bytes: Uint8Array, type: WeightType): Uint32Array | Uint16Array {
  return type === 'F32'
    ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    : new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
}
