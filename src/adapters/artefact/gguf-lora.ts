/**
 * A LoRA adapter as GGUF, read and laid out as llama.cpp has it: other names, half A of the embedding transposed, and for
 * Llama the rows of each head of q_proj and k_proj in the order of its rotary embedding (convert_lora_to_gguf.py through
 * LlamaModel.permute). Weights keep their type: F32, F16 and BF16 exist in both formats, so nothing is lost either way.
 */

import { GGUF_LIMITS, GgufError, type GgufHeader, parseGgufHeader } from '../../lib/gguf.ts';
import { type GgufField, type GgufPlan, planGguf } from '../../lib/gguf-write.ts';
import { type ArtefactLimits, invalid, shown, WEIGHT_BYTES, type WeightType } from './artefact.ts';
import type { BaseDescription } from './base.ts';
import { checkArchitecture } from './compatible.ts';
import { fileMatrix, type Matrix, reorderedRows, transposed } from './matrix.ts';
import { ggufName, isTransposedInGguf, parseGgufName, type TensorName } from './modules.ts';
import type { OpenFile } from './open-file.ts';
import { assembleWeights, type LoraWeights, type NamedMatrix } from './weights.ts';

type Heads = Pick<BaseDescription, 'heads' | 'keyValueHeads'>;

/** Our own key: how many layers the base has, which the weights of some of them do not tell. */
const LAYERS_KEY = 'greenroom.base.block_count';
/** ggml's numbers of file types (llama.h): what the tools show. */
const FILE_TYPES = { F32: 0, F16: 1, BF16: 32 } as const;
const QUANTIZATION_VERSION = 2;

/** Reads the header and checks it whole; the weights themselves are read later. Throws `adapter_invalid`. */
export async function readLoraGguf(
  file: OpenFile,
  base: BaseDescription,
  limits: ArtefactLimits,
  signal: AbortSignal,
): Promise<LoraWeights> {
  let header: GgufHeader;
  try {
    const bounds = { ...GGUF_LIMITS, headerBytesMax: limits.headerBytesMax, tensorsMax: limits.tensorsMax };
    header = await parseGgufHeader(file.handle, file.bytes, bounds, signal);
  } catch (error) {
    if (error instanceof GgufError) throw invalid(`the GGUF file cannot be read: ${error.message}`, error);
    throw error;
  }
  const text = (key: string, expected: string) => {
    const value = header.metadata.get(key);
    if (value !== expected)
      throw invalid(
        `the GGUF file has ${key} ${typeof value === 'string' ? shown(value) : 'nowhere'}; expected ${JSON.stringify(expected)}`,
      );
  };
  text('general.type', 'adapter');
  text('adapter.type', 'lora');
  if (header.metadata.has('adapter.alora.invocation_tokens'))
    throw invalid('the GGUF file is an activated LoRA, which answers as the base until its words come');
  const architecture = header.metadata.get('general.architecture');
  if (typeof architecture !== 'string') throw invalid('the GGUF file has no general.architecture');
  checkArchitecture(architecture, base);
  const tensors = header.tensors.map((tensor): NamedMatrix => {
    const parsed = parseGgufName(architecture, tensor.name);
    if (parsed === null)
      throw invalid(
        `the tensor ${shown(tensor.name)} is no LoRA weight that is known for ${architecture}; expected names like "blk.0.attn_output.weight.lora_a"`,
      );
    if (!Object.hasOwn(WEIGHT_BYTES, tensor.type))
      throw invalid(`the tensor ${shown(tensor.name)} is ${tensor.type}; expected F32, F16 or BF16`);
    const [columns = 0, rows, ...more] = tensor.shape;
    if (rows === undefined || more.length > 0)
      throw invalid(`the tensor ${shown(tensor.name)} has ${tensor.shape.length} dimensions; expected two`);
    const shape = { rows, columns, type: tensor.type as WeightType };
    const stored = fileMatrix(file.handle, header.dataOffset + tensor.offset, shape);
    const matrix = isTransposedInGguf(parsed)
      ? transposed(stored)
      : headRows(parsed, stored, base, 'to PEFT');
    return { ...parsed, fileName: tensor.name, matrix };
  });
  const said = {
    alpha: alphaOf(header),
    rank: null,
    targetModules: null,
    layersToTransform: null,
    layers: layersOf(header),
    baseModelNameOrPath: null,
  };
  return assembleWeights(architecture, tensors, said, limits);
}

/** Zero and absent mean alpha = rank to llama.cpp (llama-adapter.h, get_scale). */
function alphaOf({ metadata }: GgufHeader): number | null {
  const alpha = metadata.get('adapter.lora.alpha') ?? 0;
  if (typeof alpha !== 'number' || !Number.isFinite(alpha) || alpha < 0)
    throw invalid('the GGUF file has an adapter.lora.alpha that is no number from 0');
  return alpha === 0 ? null : Math.fround(alpha);
}

function layersOf({ metadata }: GgufHeader): number | null {
  const layers = metadata.get(LAYERS_KEY);
  return typeof layers === 'number' && Number.isInteger(layers) && layers > 0 ? layers : null;
}

/**
 * Half B of a rotary module with each head's rows in the other format's order. PEFT has a head's first halves, then its
 * second halves; GGUF has them in turn: row 2i of GGUF is row i of PEFT, row 2i + 1 is row d/2 + i.
 */
function headRows(
  { kind, half }: TensorName,
  matrix: Matrix,
  base: Heads,
  direction: 'to PEFT' | 'to GGUF',
): Matrix {
  if (kind.rotary === null || half !== 'b') return matrix;
  const heads = base[kind.rotary];
  const headRowCount = matrix.rows / heads;
  // It fits no base with these heads, and is refused for its size before it is read.
  if (!Number.isInteger(headRowCount / 2)) return matrix;
  const middle = headRowCount / 2;
  const order =
    direction === 'to GGUF'
      ? (row: number) => (row % 2) * middle + Math.floor(row / 2)
      : (row: number) => (row % middle) * 2 + Math.floor(row / middle);
  return reorderedRows(matrix, headRowCount, order);
}

export interface GgufFile extends GgufPlan {
  /** In the order of the plan's tensors. */
  readonly matrices: readonly Matrix[];
}

/** Lays the adapter out as GGUF. The same weights give the same bytes. */
export function planLoraGguf(
  weights: Pick<LoraWeights, 'architecture' | 'alpha' | 'type' | 'pairs'>,
  base: Heads & Pick<BaseDescription, 'layers'>,
): GgufFile {
  const { architecture, alpha, type, pairs } = weights;
  const tensors = pairs.flatMap(({ kind, layer, a, b }) =>
    (['a', 'b'] as const).map((half) => {
      const named = { kind, layer, half };
      const matrix = half === 'a' ? a : b;
      const name = ggufName(named);
      return {
        name,
        matrix: isTransposedInGguf(named) ? transposed(matrix) : headRows(named, matrix, base, 'to GGUF'),
      };
    }),
  );
  const metadata = new Map<string, GgufField>([
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['general.file_type', { type: 'u32', value: FILE_TYPES[type] }],
    ['general.quantization_version', { type: 'u32', value: QUANTIZATION_VERSION }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'f32', value: alpha }],
    [LAYERS_KEY, { type: 'u32', value: base.layers }],
  ]);
  const plan = planGguf(
    metadata,
    tensors.map(({ name, matrix }) => ({ name, shape: [matrix.columns, matrix.rows], type })),
  );
  return { ...plan, matrices: tensors.map(({ matrix }) => matrix) };
}
