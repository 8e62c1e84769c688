/**
 * Makes small LoRA adapters as PEFT saves them, for any architecture that is converted: seeded random weights, no training.
 * Deterministic: the same options give the same bytes. Content comes first as plain values, so that a test that wants a
 * broken adapter changes it before it is written.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ARTEFACT_FILES, type WeightType } from '../adapters/artefact/artefact.ts';
import type { BaseDescription } from '../adapters/artefact/base.ts';
import { modulesOf, peftName } from '../adapters/artefact/modules.ts';
import { safetensorsHeader } from '../adapters/artefact/safetensors.ts';

/** Bases of a few kilobytes, one for each architecture, with the traits that make it differ from the others. */
export const TINY_BASES = {
  llama: tiny('llama', { heads: 4, keyValueHeads: 2 }),
  qwen2: tiny('qwen2', { heads: 4, keyValueHeads: 2 }),
  phi3: tiny('phi3', { heads: 4, keyValueHeads: 4 }),
  // Heads that are not hidden size / heads.
  gemma3: tiny('gemma3', { heads: 2, keyValueHeads: 1, headSize: 16, tiesEmbeddings: true }),
} as const;

/** The config.json of a base as its trainer's library writes it. `hubName`: its class, by default that of the architecture. */
export function hubConfig(
  base: BaseDescription,
  hubName = HUB_NAMES[base.architecture],
): Record<string, unknown> {
  return {
    architectures: [hubName],
    hidden_act: 'silu',
    hidden_size: base.hiddenSize,
    head_dim: base.headSize,
    intermediate_size: base.feedForwardSize,
    max_position_embeddings: 128,
    model_type:
      hubName === 'MistralForCausalLM' ? 'mistral' : base.architecture.replace('gemma3', 'gemma3_text'),
    num_attention_heads: base.heads,
    num_hidden_layers: base.layers,
    num_key_value_heads: base.keyValueHeads,
    original_max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    sliding_window: 64,
    tie_word_embeddings: base.tiesEmbeddings,
    vocab_size: base.vocabularySize,
  };
}

const HUB_NAMES: Readonly<Record<string, string>> = {
  llama: 'LlamaForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  phi3: 'Phi3ForCausalLM',
  gemma3: 'Gemma3ForCausalLM',
};

/** As its config.json and its GGUF file say. */
export const SMOLLM2_BASE: BaseDescription = {
  architecture: 'llama',
  layers: 30,
  hiddenSize: 576,
  heads: 9,
  keyValueHeads: 3,
  headSize: 64,
  feedForwardSize: 1_536,
  vocabularySize: 49_152,
  tiesEmbeddings: true,
};

function tiny(architecture: string, traits: Partial<BaseDescription>): BaseDescription {
  return {
    architecture,
    layers: 2,
    hiddenSize: 32,
    heads: 4,
    keyValueHeads: 4,
    headSize: 8,
    feedForwardSize: 48,
    vocabularySize: 64,
    tiesEmbeddings: false,
    ...traits,
  };
}

export interface PeftFolderOptions {
  /** Any integer; another seed is another adapter. */
  readonly seed: number;
  /** Default SmolLM2-135M. */
  readonly base?: BaseDescription;
  /** Default 4. */
  readonly rank?: number;
  /** Default the rank, so that the scale is 1. */
  readonly alpha?: number;
  /** Size of the change: at 1 it is about as large as what the layer gives without it. Default 0.5. */
  readonly strength?: number;
  /** As PEFT names them; default q_proj and v_proj where the base has them, else all of its layers' modules. */
  readonly targets?: readonly string[];
  /** Default all. */
  readonly layers?: readonly number[];
  /** Default F32, as PEFT trains. */
  readonly type?: WeightType;
  /** Fields of adapter_config.json that are to say something else. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface PeftTensor {
  readonly name: string;
  readonly type: WeightType;
  readonly shape: readonly number[];
  /** Little endian, as the type says. */
  readonly data: Uint8Array;
}

export interface PeftContent {
  readonly config: Record<string, unknown>;
  readonly tensors: PeftTensor[];
}

export function peftContent(options: PeftFolderOptions): PeftContent {
  const { seed, base = SMOLLM2_BASE, rank = 4, strength = 0.5, type = 'F32' } = options;
  const kinds = modulesOf(base.architecture);
  const usual = ['q_proj', 'v_proj'].filter((name) => kinds.some((kind) => kind.name === name));
  const ofLayers = kinds.filter((kind) => kind.isPerLayer).map(({ name }) => name);
  const targets = options.targets ?? (usual.length > 0 ? usual : ofLayers);
  const layers = options.layers ?? Array.from({ length: base.layers }, (_, layer) => layer);
  const random = generator(seed);
  const tensors: PeftTensor[] = [];
  for (const kind of kinds.filter(({ name }) => targets.includes(name))) {
    const size = kind.size(base);
    for (const layer of kind.isPerLayer ? layers : [null]) {
      // Variances that give the product of the two `strength` times the size of its input.
      const a = numbers(rank * size.in, Math.sqrt(3 / size.in), random);
      const b = numbers(rank * size.out, strength * Math.sqrt(3 / rank), random);
      tensors.push(
        { name: peftName({ kind, layer, half: 'a' }), type, shape: [rank, size.in], data: encode(a, type) },
        { name: peftName({ kind, layer, half: 'b' }), type, shape: [size.out, rank], data: encode(b, type) },
      );
    }
  }
  const config = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: `random/${base.architecture}`,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_to_transform: options.layers ?? null,
    lora_alpha: options.alpha ?? rank,
    lora_dropout: 0.05,
    modules_to_save: null,
    peft_type: 'LORA',
    peft_version: '0.21.2',
    r: rank,
    rank_pattern: {},
    target_modules: targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
    ...options.config,
  };
  return { config, tensors };
}

/** The safetensors file's bytes. */
export function safetensorsBytes(tensors: readonly PeftTensor[]): Buffer {
  return Buffer.concat([safetensorsHeader({ format: 'pt' }, tensors), ...tensors.map(({ data }) => data)]);
}

/** Writes the content into `folder`, which is made, and gives the folder back. */
export async function writePeftContent(folder: string, { config, tensors }: PeftContent): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, ARTEFACT_FILES.config), `${JSON.stringify(config, null, 2)}\n`);
  await writeFile(join(folder, ARTEFACT_FILES.weights), safetensorsBytes(tensors));
  return folder;
}

export async function writePeftFolder(folder: string, options: PeftFolderOptions): Promise<string> {
  return await writePeftContent(folder, peftContent(options));
}

function numbers(count: number, scale: number, random: () => number): Float32Array {
  return Float32Array.from({ length: count }, () => scale * (2 * random() - 1));
}

/** Weights in the given type; F32 are cut, not rounded, to BF16, which loses no determinism. */
function encode(values: Float32Array, type: WeightType): Uint8Array {
  if (type === 'F32') return new Uint8Array(values.buffer);
  const words =
    type === 'F16'
      ? new Uint16Array(new Float16Array(values).buffer)
      : Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
  return new Uint8Array(words.buffer);
}

/** mulberry32: 32 bits of state are enough for weights that only have to differ. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
