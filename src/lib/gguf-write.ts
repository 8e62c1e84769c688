/**
 * Writes the header of a GGUF file, version 3 (gguf specification): the counterpart of gguf.ts, for what we make ourselves.
 * Deterministic: the same metadata and tensors in the same order give the same bytes.
 */
import { type GgufHeader, type GgufTensor, type GgufTensorType, ggufBlock } from './gguf.ts';

/** Metadata as it is to be typed in the file; the reader's types say too little. */
export type GgufField =
  | { readonly type: 'u32' | 'f32' | 'u64'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] };

export interface GgufPlannedTensor {
  readonly name: string;
  /** As ggml writes it: the first is the length of a row. */
  readonly shape: readonly number[];
  readonly type: 'F32' | 'F16' | 'BF16';
}

export interface GgufPlan {
  /** From the file's first byte to the first weight, padding included. */
  readonly header: Uint8Array;
  /** Bytes of each tensor's weights, and of the zeros that follow them, in the order given. */
  readonly tensors: readonly { readonly bytes: number; readonly padding: number }[];
}

const ALIGNMENT = 32;
const VERSION = 3;
const FIELD_TYPES = { u32: 4, f32: 6, bool: 7, string: 8, strings: 9, u64: 10 } as const;
const TENSOR_TYPES = {
  F32: { number: 0, bytes: 4 },
  F16: { number: 1, bytes: 2 },
  BF16: { number: 30, bytes: 2 },
} as const;

/** Lays a file out; the caller writes the header, then each tensor's weights and its padding. */
export function planGguf(
  metadata: ReadonlyMap<string, GgufField>,
  tensors: readonly GgufPlannedTensor[],
): GgufPlan {
  const parts: Uint8Array[] = [Buffer.from('GGUF'), u32(VERSION), u64(tensors.length), u64(metadata.size)];
  for (const [key, field] of metadata) parts.push(text(key), u32(FIELD_TYPES[field.type]), value(field));
  const layout: { bytes: number; padding: number }[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const type = TENSOR_TYPES[tensor.type];
    const bytes = tensor.shape.reduce((product, length) => product * length, type.bytes);
    parts.push(
      text(tensor.name),
      u32(tensor.shape.length),
      ...tensor.shape.map(u64),
      u32(type.number),
      u64(offset),
    );
    const padding = paddingOf(bytes);
    layout.push({ bytes, padding });
    offset += bytes + padding;
  }
  const header = Buffer.concat(parts);
  return {
    header: Buffer.concat([header, new Uint8Array(paddingOf(header.length))]),
    tensors: layout,
  };
}

/**
 * The header of a file that differs from `source` in the types of its tensors alone. Types and offsets have a fixed width,
 * so that the metadata stays as it is, byte for byte, and nothing moves. `header` is what stands before the weights there.
 */
export function planRetyped(
  source: GgufHeader,
  header: Uint8Array,
  typeOf: (tensor: GgufTensor) => GgufTensorType,
): GgufPlan {
  const bytes = Buffer.from(header.subarray(0, source.dataOffset));
  const layout: { bytes: number; padding: number }[] = [];
  let at = source.tensorsOffset;
  let offset = 0;
  for (const tensor of source.tensors) {
    const from = ggufBlock(tensor.type);
    const to = ggufBlock(typeOf(tensor));
    // Name, number of dimensions, dimensions; then type and offset.
    at += 8 + Number(bytes.readBigUInt64LE(at)) + 4 + 8 * tensor.shape.length;
    bytes.writeUInt32LE(to.number, at);
    bytes.writeBigUInt64LE(BigInt(offset), at + 4);
    at += 12;
    const size = (((tensor.bytes / from.bytes) * from.elements) / to.elements) * to.bytes;
    const padding = paddingOf(size, source.alignment);
    layout.push({ bytes: size, padding });
    offset += size + padding;
  }
  return { header: bytes, tensors: layout };
}

function paddingOf(bytes: number, alignment = ALIGNMENT): number {
  return (alignment - (bytes % alignment)) % alignment;
}

function value(field: GgufField): Uint8Array {
  switch (field.type) {
    case 'u32':
      return u32(field.value);
    case 'u64':
      return u64(field.value);
    case 'f32': {
      const bytes = Buffer.alloc(4);
      bytes.writeFloatLE(field.value);
      return bytes;
    }
    case 'bool':
      return Uint8Array.of(field.value ? 1 : 0);
    case 'string':
      return text(field.value);
    case 'strings':
      return Buffer.concat([u32(FIELD_TYPES.string), u64(field.value.length), ...field.value.map(text)]);
  }
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}
