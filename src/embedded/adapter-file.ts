/**
 * Is this file an adapter that llama.cpp can take for this model? Asked before native code sees it: native code asserts on
 * what it should refuse (a metadata type, a third dimension, an embedding's shape), and an assert ends the process with
 * everybody's lines. Weights are read once for NaN and infinity, which would poison every answer.
 */
import { constants, type FileHandle, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { ServiceError } from '../core/errors.ts';
import type { GgufHeader, GgufLimits, GgufTensor, GgufTensorType } from '../lib/gguf.ts';
import { GGUF_LIMITS, GgufError, readGgufHeader } from '../lib/gguf.ts';

/** What adapters of a model must fit. */
export interface BaseTensors {
  readonly architecture: string;
  /** By name, as ggml writes a shape. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

export interface CheckedAdapter {
  /** The GGUF file. */
  readonly file: string;
  /** Bytes of its weights: what it takes in memory, less the plan. */
  readonly bytes: number;
  readonly rank: number;
}

/** An adapter's header holds names alone. */
const ADAPTER_LIMITS: GgufLimits = { ...GGUF_LIMITS, headerBytesMax: 16 * 1_048_576, tensorsMax: 16_384 };
const FILE_IN_FOLDER = 'adapter.gguf';
const READ_BYTES = 4 * 1_048_576;
const WORD_BYTES = 4;
const SUFFIX = /^(.+)\.lora_([ab])$/;

/** Reads what adapters must fit out of a model's file, or of all its parts. Throws `model_invalid`. */
export async function readBaseTensors(modelPath: string, signal: AbortSignal): Promise<BaseTensors> {
  const shapes = new Map<string, readonly number[]>();
  let architecture = '';
  try {
    for (const part of partsOf(modelPath)) {
      const header = await readGgufHeader(part, GGUF_LIMITS, signal);
      const named = header.metadata.get('general.architecture');
      if (typeof named === 'string') architecture = named;
      for (const tensor of header.tensors) shapes.set(tensor.name, tensor.shape);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ServiceError('model_invalid', `${modelPath} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return { architecture, shapes };
}

/** `model-00001-of-00003.gguf` has three parts (llama.cpp, llama_split_path). */
function partsOf(modelPath: string): readonly string[] {
  const split = /^(.*-)\d{5}(-of-(\d{5})\.gguf)$/.exec(modelPath);
  if (split === null) return [modelPath];
  return Array.from(
    { length: Number(split[3]) },
    (_none, index) => `${split[1]}${String(index + 1).padStart(5, '0')}${split[2]}`,
  );
}

/**
 * Checks the adapter at `place`: a GGUF file, or a folder with `adapter.gguf`. Throws `not_found` when nothing is there,
 * `adapter_invalid` and `adapter_incompatible` with the first thing that is wrong, `signal.reason` when aborted.
 */
export async function checkAdapterFile(
  place: string,
  base: BaseTensors,
  rankMax: number,
  signal: AbortSignal,
): Promise<CheckedAdapter> {
  const file = await fileAt(place);
  try {
    const header = await readGgufHeader(file, ADAPTER_LIMITS, signal);
    checkMetadata(header, base);
    const rank = checkTensors(header.tensors, base, rankMax);
    await checkWeights(file, header, signal);
    return { file, rank, bytes: header.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0) };
  } catch (error) {
    if (error instanceof ServiceError)
      throw new ServiceError(error.code, `${file}: ${error.message}`, { details: { path: place } });
    if (!(error instanceof GgufError)) throw error;
    throw new ServiceError('adapter_invalid', `${file} is no GGUF file that can be read: ${error.message}`, {
      cause: error,
      details: { path: place },
    });
  }
}

async function fileAt(place: string): Promise<string> {
  const nothing = (what: string, cause: unknown) =>
    new ServiceError('not_found', what, { cause, details: { path: place } });
  const found = await stat(place).catch((error: unknown) => {
    throw nothing(`No adapter found at ${place}`, error);
  });
  if (!found.isDirectory()) return place;
  const file = path.join(place, FILE_IN_FOLDER);
  await stat(file).catch((error: unknown) => {
    throw nothing(`No ${FILE_IN_FOLDER} found in ${place}`, error);
  });
  return file;
}

function invalid(message: string): ServiceError {
  return new ServiceError('adapter_invalid', message);
}

function checkMetadata({ metadata, metadataTypes }: GgufHeader, base: BaseTensors): void {
  for (const [key, expected] of [
    ['general.type', 'adapter'],
    ['adapter.type', 'lora'],
  ] as const) {
    const value = metadata.get(key);
    if (value !== expected) throw invalid(`${key} is ${told(value)}; expected ${JSON.stringify(expected)}`);
  }
  const architecture = metadata.get('general.architecture');
  if (architecture !== base.architecture)
    throw new ServiceError(
      'adapter_incompatible',
      `general.architecture is ${told(architecture)}; this model is ${JSON.stringify(base.architecture)}`,
    );
  const alpha = metadata.get('adapter.lora.alpha');
  if (
    metadataTypes.get('adapter.lora.alpha') !== 'f32' ||
    typeof alpha !== 'number' ||
    !Number.isFinite(alpha)
  )
    throw invalid(`adapter.lora.alpha is ${told(alpha)}; expected a finite f32`);
  if (metadata.has('adapter.alora.invocation_tokens'))
    throw invalid('it is an activated LoRA (adapter.alora.invocation_tokens), which is not supported');
}

function told(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'missing or no scalar';
}

/** Every pair against the tensor that it changes. Gives the highest rank. */
function checkTensors(tensors: readonly GgufTensor[], base: BaseTensors, rankMax: number): number {
  const pairs = new Map<string, { a?: GgufTensor; b?: GgufTensor }>();
  for (const tensor of tensors) {
    const [, target, side] = SUFFIX.exec(tensor.name) ?? [];
    if (target === undefined)
      throw invalid(
        `tensor ${JSON.stringify(tensor.name)} is no lora_a and no lora_b, so it would be left out in silence`,
      );
    if (FINITE[tensor.type] === undefined)
      throw invalid(
        `tensor ${tensor.name} is ${tensor.type}; expected one of ${Object.keys(FINITE).join(', ')}`,
      );
    const pair = pairs.get(target) ?? {};
    pair[side === 'a' ? 'a' : 'b'] = tensor;
    pairs.set(target, pair);
  }
  if (pairs.size === 0) throw invalid('it has no tensors');
  let highest = 0;
  for (const [target, { a, b }] of pairs) {
    if (a === undefined || b === undefined)
      throw invalid(`${target} has lora_${a === undefined ? 'b' : 'a'} alone`);
    highest = Math.max(highest, checkPair(target, a.shape, b.shape, base));
  }
  if (highest > rankMax)
    throw invalid(`its rank is ${highest}; at most ${rankMax} is taken (adapterRankMax)`);
  return highest;
}

/** The rank of a pair that fits (llama.cpp, build_lora_mm: B · A · x). Shapes are as ggml writes them, rows first. */
function checkPair(target: string, a: readonly number[], b: readonly number[], base: BaseTensors): number {
  const shape = base.shapes.get(target);
  const misfit = (what: string) => new ServiceError('adapter_incompatible', what);
  if (shape === undefined) throw misfit(`this model has no tensor ${JSON.stringify(target)}`);
  if (shape.length < 2) throw invalid(`${target} is no matrix, and LoRA changes matrices alone`);
  // Its A and B are the other way round, and models whose output is their embedding would meet them twice.
  if (target === 'token_embd.weight') throw invalid('LoRA on token_embd.weight is not supported');
  const rank = a[1] ?? 1;
  const [columns = 1, rows = 1] = shape;
  if (a[0] !== columns || (b[1] ?? 1) !== rows)
    throw misfit(
      `${target} is ${columns} × ${rows} in this model; lora_a takes ${a[0]} and lora_b gives ${b[1] ?? 1}`,
    );
  if (b[0] !== rank) throw invalid(`${target}: lora_a has rank ${rank} and lora_b ${b[0]}`);
  for (let dimension = 2; dimension < 4; dimension++) {
    const wanted = shape[dimension] ?? 1;
    if ((a[dimension] ?? 1) !== wanted || (b[dimension] ?? 1) !== wanted)
      throw misfit(`${target} has ${wanted} in dimension ${dimension + 1}; lora_a or lora_b has not`);
  }
  return rank;
}

/**
 * Whether a piece of whole blocks is finite, by type, with the bytes of a block. The types are those that llama.cpp's
 * converter writes (convert_lora_to_gguf.py, `--outtype`).
 */
const FINITE: Readonly<
  Partial<Record<GgufTensorType, { readonly block: number; readonly isFinite: (piece: Buffer) => boolean }>>
> = {
  F32: { block: 4, isFinite: (piece) => words(piece).every((word) => (word & 0x7f800000) !== 0x7f800000) },
  F16: { block: 2, isFinite: (piece) => halves(piece).every((half) => (half & 0x7c00) !== 0x7c00) },
  BF16: { block: 2, isFinite: (piece) => halves(piece).every((half) => (half & 0x7f80) !== 0x7f80) },
  Q8_0: {
    block: 34,
    isFinite: (piece) => {
      for (let at = 0; at < piece.length; at += 34)
        if ((piece.readUInt16LE(at) & 0x7c00) === 0x7c00) return false;
      return true;
    },
  },
};

function words(piece: Buffer): Uint32Array {
  return new Uint32Array(piece.buffer, piece.byteOffset, piece.length / 4);
}

function halves(piece: Buffer): Uint16Array {
  return new Uint16Array(piece.buffer, piece.byteOffset, piece.length / 2);
}

/**
 * Reads in large pieces, however small the tensors: the engine has one libuv thread, so each read waits for the pass that
 * runs.
 */
async function checkWeights(file: string, header: GgufHeader, signal: AbortSignal): Promise<void> {
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const weightsBytes = header.fileBytes - header.dataOffset;
    const window = Buffer.alloc(Math.min(READ_BYTES, weightsBytes));
    let from = 0;
    let filled = 0;
    for (const tensor of header.tensors) {
      const kind = FINITE[tensor.type];
      if (kind === undefined) continue;
      const end = tensor.offset + tensor.bytes;
      for (let at = tensor.offset; at < end; ) {
        // Words are read in place, so they must stand where a word can.
        if (at < from || at + kind.block > from + filled || (at - from) % WORD_BYTES !== 0) {
          signal.throwIfAborted();
          from = at;
          filled = await readWhole(handle, window.subarray(0, weightsBytes - at), header.dataOffset + at);
        }
        const bytes = Math.min(end, from + filled) - at;
        const piece = window.subarray(at - from, at - from + bytes - (bytes % kind.block));
        if (!kind.isFinite(piece))
          throw invalid(`tensor ${tensor.name} has a weight that is no finite number`);
        at += piece.length;
      }
    }
  } finally {
    await handle.close();
  }
}

async function readWhole(handle: FileHandle, piece: Buffer, position: number): Promise<number> {
  for (let filled = 0; filled < piece.length; ) {
    const { bytesRead } = await handle.read(piece, filled, piece.length - filled, position + filled);
    if (bytesRead === 0) throw invalid('it became shorter while it was read');
    filled += bytesRead;
  }
  return piece.length;
}
