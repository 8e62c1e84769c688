/**
 * Makes small LoRA adapters as GGUF files, as llama.cpp reads them: seeded random weights, no training. One of moderate
 * strength changes a greedy answer, so tests can tell which adapter spoke. Deterministic: same options, same bytes.
 */
import { writeFile } from 'node:fs/promises';
import type { GgufField, GgufPlannedTensor } from '../lib/gguf-write.ts';
import { planGguf } from '../lib/gguf-write.ts';

/** Rows and columns of a base model's layers. */
export interface BaseShape {
  readonly architecture: string;
  readonly layers: number;
  readonly hidden: number;
  readonly keyValue: number;
  readonly feedForward: number;
}

export const SMOLLM2_135M: BaseShape = {
  architecture: 'llama',
  layers: 30,
  hidden: 576,
  keyValue: 192,
  feedForward: 1_536,
};

export const LORA_TARGETS = [
  'attn_q',
  'attn_k',
  'attn_v',
  'attn_output',
  'ffn_gate',
  'ffn_up',
  'ffn_down',
] as const;
export type LoraTarget = (typeof LORA_TARGETS)[number];

export interface LoraFileOptions {
  /** Any integer; another seed is another adapter. */
  readonly seed: number;
  /** Default 4. */
  readonly rank?: number;
  /** Default the rank, so that the scale is 1. */
  readonly alpha?: number;
  /** Size of the change: at 1 it is about as large as what the layer gives without it. Default 0.5. */
  readonly strength?: number;
  /** Default q and v. */
  readonly targets?: readonly LoraTarget[];
  /** Default F16. */
  readonly type?: 'F32' | 'F16';
  /** Default SmolLM2-135M. */
  readonly base?: BaseShape;
}

export interface LoraTensor extends GgufPlannedTensor {
  /** Little endian, as the type says. */
  readonly data: Uint8Array;
}

export interface LoraContent {
  readonly metadata: Map<string, GgufField>;
  readonly tensors: LoraTensor[];
}

/** The adapter's content; a test that wants a broken one changes it before writing. */
export function loraContent(options: LoraFileOptions): LoraContent {
  const { seed, rank = 4, strength = 0.5, targets = ['attn_q', 'attn_v'], type = 'F16' } = options;
  const base = options.base ?? SMOLLM2_135M;
  const random = generator(seed);
  const metadata = new Map<string, GgufField>([
    ['general.architecture', { type: 'string', value: base.architecture }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['general.name', { type: 'string', value: `random ${seed}` }],
    ['adapter.lora.alpha', { type: 'f32', value: options.alpha ?? rank }],
  ]);
  const tensors: LoraTensor[] = [];
  for (let layer = 0; layer < base.layers; layer++)
    for (const target of targets) {
      const [columns, rows] = shapeOf(target, base);
      const name = `blk.${layer}.${target}.weight`;
      // Variances that give the product of the two `strength` times the size of its input.
      const a = weights(columns * rank, Math.sqrt(3 / columns), random, type);
      const b = weights(rank * rows, strength * Math.sqrt(3 / rank), random, type);
      tensors.push({ name: `${name}.lora_a`, shape: [columns, rank], type, data: a });
      tensors.push({ name: `${name}.lora_b`, shape: [rank, rows], type, data: b });
    }
  return { metadata, tensors };
}

/** The file's bytes. */
export function ggufBytes({ metadata, tensors }: LoraContent): Buffer {
  const plan = planGguf(metadata, tensors);
  const parts: Uint8Array[] = [plan.header];
  for (const [index, tensor] of tensors.entries())
    parts.push(tensor.data, new Uint8Array(plan.tensors[index]?.padding ?? 0));
  return Buffer.concat(parts);
}

/** Writes an adapter to `path` and gives the path back. */
export async function writeLoraFile(path: string, options: LoraFileOptions): Promise<string> {
  await writeFile(path, ggufBytes(loraContent(options)));
  return path;
}

/** Length of a row, and rows, of the layer that is adapted. */
function shapeOf(target: LoraTarget, base: BaseShape): readonly [number, number] {
  switch (target) {
    case 'attn_q':
    case 'attn_output':
      return [base.hidden, base.hidden];
    case 'attn_k':
    case 'attn_v':
      return [base.hidden, base.keyValue];
    case 'ffn_gate':
    case 'ffn_up':
      return [base.hidden, base.feedForward];
    case 'ffn_down':
      return [base.feedForward, base.hidden];
  }
}

function weights(count: number, scale: number, random: () => number, type: 'F32' | 'F16'): Uint8Array {
  const values = type === 'F32' ? new Float32Array(count) : new Uint16Array(count);
  for (let index = 0; index < count; index++) {
    const value = (random() * 2 - 1) * scale;
    values[index] = type === 'F32' ? value : halfOf(value);
  }
  return new Uint8Array(values.buffer);
}

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

/** IEEE half precision of a number below 65,504 in size; cut, not rounded, and too small ones are 0. */
function halfOf(value: number): number {
  single[0] = value;
  const [word = 0] = bits;
  const exponent = ((word >>> 23) & 0xff) - 112;
  const sign = (word >>> 16) & 0x8000;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((word >>> 13) & 0x3ff);
}

/** Mulberry32: small, seeded, the same everywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
