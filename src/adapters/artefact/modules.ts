/**
 * Which matrices of each architecture an adapter may change: their names in PEFT and in GGUF, and their sizes in a base.
 * Names and fused matrices are those of llama.cpp's converter (conversion/*.py, gguf-py's tensor_mapping.py); the tests
 * compare the outcome with it bit by bit, at the commit that tests/fixtures/adapters-convert/reference.json names.
 */
import { ServiceError } from '../../core/errors.ts';
import type { BaseDescription } from './base.ts';

export interface ModuleKind {
  /** `q_proj`. */
  readonly name: string;
  /** Within a layer, or within the model. */
  readonly peftPath: string;
  readonly ggufName: string;
  readonly isPerLayer: boolean;
  /** Whose heads' rows llama.cpp keeps in another order (its rotary embedding turns neighbours); null: PEFT's order. */
  readonly rotary: 'heads' | 'keyValueHeads' | null;
  /** Of the base's weight. */
  readonly size: (base: BaseDescription) => { readonly in: number; readonly out: number };
}

type Size = ModuleKind['size'];

function inLayer(
  path: string,
  ggufName: string,
  size: Size,
  rotary: ModuleKind['rotary'] = null,
): ModuleKind {
  return {
    name: path.slice(path.indexOf('.') + 1),
    peftPath: path,
    ggufName,
    isPerLayer: true,
    rotary,
    size,
  };
}

const queries = (base: BaseDescription) => base.heads * base.headSize;
const keys = (base: BaseDescription) => base.keyValueHeads * base.headSize;

const outSize: Size = (base) => ({ in: queries(base), out: base.hiddenSize });
const downSize: Size = (base) => ({ in: base.feedForwardSize, out: base.hiddenSize });
const querySize: Size = (base) => ({ in: base.hiddenSize, out: queries(base) });
const keySize: Size = (base) => ({ in: base.hiddenSize, out: keys(base) });
const upSize: Size = (base) => ({ in: base.hiddenSize, out: base.feedForwardSize });

/** The embedding; PEFT has it the other way round: lora_embedding_A is rank × vocabulary, lora_embedding_B hidden × rank. */
const EMBEDDING: ModuleKind = {
  name: 'embed_tokens',
  peftPath: 'model.embed_tokens',
  ggufName: 'token_embd',
  isPerLayer: false,
  rotary: null,
  size: (base) => ({ in: base.vocabularySize, out: base.hiddenSize }),
};

const HEAD: ModuleKind = {
  name: 'lm_head',
  peftPath: 'lm_head',
  ggufName: 'output',
  isPerLayer: false,
  rotary: null,
  size: (base) => ({ in: base.hiddenSize, out: base.vocabularySize }),
};

const ATTENTION_OUT = inLayer('self_attn.o_proj', 'attn_output', outSize);
const GATED = [
  inLayer('mlp.gate_proj', 'ffn_gate', upSize),
  inLayer('mlp.up_proj', 'ffn_up', upSize),
  inLayer('mlp.down_proj', 'ffn_down', downSize),
];
const PLAIN = [
  inLayer('self_attn.q_proj', 'attn_q', querySize),
  inLayer('self_attn.k_proj', 'attn_k', keySize),
  inLayer('self_attn.v_proj', 'attn_v', keySize),
  ATTENTION_OUT,
  ...GATED,
];

/** In the order in which an artefact has them. Phi 3's fused matrices have one adapter for the whole of each. */
const ARCHITECTURES: Readonly<Record<string, readonly ModuleKind[]>> = {
  llama: [
    EMBEDDING,
    inLayer('self_attn.q_proj', 'attn_q', querySize, 'heads'),
    inLayer('self_attn.k_proj', 'attn_k', keySize, 'keyValueHeads'),
    inLayer('self_attn.v_proj', 'attn_v', keySize),
    ATTENTION_OUT,
    ...GATED,
    HEAD,
  ],
  qwen2: [EMBEDDING, ...PLAIN, HEAD],
  phi3: [
    EMBEDDING,
    inLayer('self_attn.qkv_proj', 'attn_qkv', (base) => ({
      in: base.hiddenSize,
      out: queries(base) + 2 * keys(base),
    })),
    ATTENTION_OUT,
    inLayer('mlp.gate_up_proj', 'ffn_up', (base) => ({ in: base.hiddenSize, out: 2 * base.feedForwardSize })),
    inLayer('mlp.down_proj', 'ffn_down', downSize),
    HEAD,
  ],
  // Its embedding is shared with the head, and its rows are cut to the tokenizer's in GGUF: not adapted here.
  gemma3: PLAIN,
};

/** Throws `adapter_incompatible` for an architecture that is not converted. */
export function modulesOf(architecture: string): readonly ModuleKind[] {
  const kinds = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture] : undefined;
  if (kinds === undefined)
    throw new ServiceError(
      'adapter_incompatible',
      `the architecture ${JSON.stringify(architecture)} is not one whose adapters are converted; expected one of ${Object.keys(ARCHITECTURES).join(', ')}`,
    );
  return kinds;
}

/** One half of an adapted matrix. The change of the base's weight is B · A. */
export interface TensorName {
  readonly kind: ModuleKind;
  /** Null outside the layers. */
  readonly layer: number | null;
  readonly half: 'a' | 'b';
}

const PEFT_PREFIX = 'base_model.model.';
/** Gemma 3 with eyes keeps its text model one name deeper, which depends on the trainer's library. */
const LAYER_PREFIXES = ['model.layers.', 'model.language_model.layers.', 'language_model.model.layers.'];

export function peftName({ kind, layer, half }: TensorName): string {
  const path = kind.isPerLayer ? `model.layers.${layer}.${kind.peftPath}` : kind.peftPath;
  const end = half.toUpperCase();
  return kind === EMBEDDING
    ? `${PEFT_PREFIX}${path}.lora_embedding_${end}`
    : `${PEFT_PREFIX}${path}.lora_${end}.weight`;
}

/** Null for a name that is no adapter's of this architecture. */
export function parsePeftName(architecture: string, name: string): TensorName | null {
  const parts =
    /^base_model\.model\.(?<path>[A-Za-z0-9_.]{1,200}?)\.lora_(?:(?<end>[AB])\.weight|embedding_(?<embedded>[AB]))$/.exec(
      name,
    )?.groups;
  const path = parts?.['path'];
  if (parts === undefined || path === undefined) return null;
  const isEmbedding = parts['embedded'] !== undefined;
  const half = (parts['end'] ?? parts['embedded']) === 'A' ? 'a' : 'b';
  for (const kind of modulesOf(architecture)) {
    if (isEmbedding !== (kind === EMBEDDING)) continue;
    if (!kind.isPerLayer) {
      if (kind.peftPath === path) return { kind, layer: null, half };
      continue;
    }
    const layer = path.endsWith(`.${kind.peftPath}`)
      ? layerOf(path.slice(0, -kind.peftPath.length - 1), architecture)
      : null;
    if (layer !== null) return { kind, layer, half };
  }
  return null;
}

function layerOf(path: string, architecture: string): number | null {
  const prefixes = architecture === 'gemma3' ? LAYER_PREFIXES : LAYER_PREFIXES.slice(0, 1);
  const prefix = prefixes.find((each) => path.startsWith(each));
  return prefix === undefined ? null : decimal(path.slice(prefix.length));
}

/** What PEFT calls the module that a tensor belongs to, as `target_modules` is compared with it. */
export function peftModulePath({ kind, layer }: Pick<TensorName, 'kind' | 'layer'>): string {
  return kind.isPerLayer ? `model.layers.${layer}.${kind.peftPath}` : kind.peftPath;
}

export function ggufName({ kind, layer, half }: TensorName): string {
  return `${kind.isPerLayer ? `blk.${layer}.` : ''}${kind.ggufName}.weight.lora_${half}`;
}

/** Null for a name that is no adapter's of this architecture. */
export function parseGgufName(architecture: string, name: string): TensorName | null {
  const parts = /^(?:blk\.(?<layer>[0-9]{1,4})\.)?(?<module>[a-z_]{1,20})\.weight\.lora_(?<half>[ab])$/.exec(
    name,
  )?.groups;
  if (parts === undefined) return null;
  const layer = parts['layer'] === undefined ? null : decimal(parts['layer']);
  if (parts['layer'] !== undefined && layer === null) return null;
  const kind = modulesOf(architecture).find(
    (each) => each.ggufName === parts['module'] && each.isPerLayer === (layer !== null),
  );
  return kind === undefined ? null : { kind, layer, half: parts['half'] === 'a' ? 'a' : 'b' };
}

/** Written the one way that there is: `7`, never `07`. */
function decimal(text: string): number | null {
  return /^(?:0|[1-9][0-9]{0,3})$/.test(text) ? Number(text) : null;
}

/** Whether GGUF keeps half A of it with rows and columns exchanged (llama.cpp looks rows of it up). */
export function isTransposedInGguf({ kind, half }: TensorName): boolean {
  return kind === EMBEDDING && half === 'a';
}
