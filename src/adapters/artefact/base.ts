/**
 * The sizes of a base model that decide whether an adapter fits it, read from the header of its GGUF file or from the
 * config.json of its folder. Both ways give the same description of the same model: architecture by GGUF's name.
 */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ServiceError } from '../../core/errors.ts';
import { GGUF_LIMITS, GgufError, type GgufHeader, readGgufHeader } from '../../lib/gguf.ts';
import { isJsonObject, parseStrictJson } from './strict-json.ts';

export interface BaseDescription {
  /** As GGUF names it: `llama`, `qwen2`, `phi3`, `gemma3`, or another that adapters are not converted for. */
  readonly architecture: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Of one head: keys and queries. */
  readonly headSize: number;
  readonly feedForwardSize: number;
  readonly vocabularySize: number;
  /** Whether the output head is the embedding itself, which leaves no head to adapt. */
  readonly tiesEmbeddings: boolean;
}

const CONFIG_BYTES_MAX = 4 * 1_048_576;
const DEPTH_MAX = 32;

/** `architectures[0]` in config.json → GGUF's name, and the defaults that its config.json may leave out. */
const HUB_ARCHITECTURES: Readonly<
  Record<string, { name: string; defaults: Readonly<Record<string, unknown>> }>
> = {
  LlamaForCausalLM: { name: 'llama', defaults: {} },
  MistralForCausalLM: { name: 'llama', defaults: {} },
  Qwen2ForCausalLM: { name: 'qwen2', defaults: {} },
  Phi3ForCausalLM: { name: 'phi3', defaults: {} },
  Gemma3ForCausalLM: { name: 'gemma3', defaults: gemmaDefaults() },
  Gemma3ForConditionalGeneration: { name: 'gemma3', defaults: gemmaDefaults() },
};

/** Of transformers' Gemma3TextConfig; published files of Gemma 3 rely on them. */
function gemmaDefaults(): Readonly<Record<string, unknown>> {
  return {
    vocab_size: 262_208,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    tie_word_embeddings: true,
  };
}

/**
 * Describes the base model at `path`: a GGUF file, a config.json, or the folder that holds one. Throws `model_invalid` with
 * what is missing or wrong there; aborting rejects with the signal's reason.
 */
export async function describeBase(path: string, signal: AbortSignal): Promise<BaseDescription> {
  signal.throwIfAborted();
  const found = await stat(path).catch((error: unknown) => {
    throw wrong(path, `cannot be read: ${(error as Error).message}`);
  });
  if (found.isDirectory()) return await describeConfig(join(path, 'config.json'));
  if (basename(path) === 'config.json') return await describeConfig(path);
  try {
    return describeHeader(path, await readGgufHeader(path, GGUF_LIMITS, signal));
  } catch (error) {
    if (error instanceof GgufError) throw wrong(path, `is no GGUF model: ${error.message}`);
    throw error;
  }
}

function describeHeader(path: string, header: GgufHeader): BaseDescription {
  const { metadata, tensors } = header;
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string') throw wrong(path, 'has no general.architecture');
  const optional = (key: string) => sizeOf(metadata.get(`${architecture}.${key}`));
  const size = (key: string) => {
    const value = optional(key);
    if (value === null)
      throw wrong(path, `has no ${architecture}.${key} that is one positive whole number for all layers`);
    return value;
  };
  const embedding = tensors.find(({ name }) => name === 'token_embd.weight');
  const hiddenSize = size('embedding_length');
  const heads = size('attention.head_count');
  return {
    architecture,
    layers: size('block_count'),
    hiddenSize,
    heads,
    keyValueHeads: optional('attention.head_count_kv') ?? heads,
    headSize: optional('attention.key_length') ?? Math.floor(hiddenSize / heads),
    feedForwardSize: size('feed_forward_length'),
    vocabularySize: embedding?.shape[1] ?? size('vocab_size'),
    tiesEmbeddings: !tensors.some(({ name }) => name === 'output.weight'),
  };
}

/** A positive whole number; of a list with one entry a layer, the one that they all are. */
function sizeOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isInteger(value) && value > 0 ? value : null;
  if (typeof value !== 'object' || value === null || !('items' in value)) return null;
  const items = value.items as readonly unknown[] | null;
  const first = items?.[0];
  return items?.every((each) => each === first) ? sizeOf(first) : null;
}

async function describeConfig(path: string): Promise<BaseDescription> {
  let config: unknown;
  try {
    const { size } = await stat(path);
    if (size > CONFIG_BYTES_MAX) throw new Error(`${size} bytes; at most ${CONFIG_BYTES_MAX} are read`);
    config = parseStrictJson(await readFile(path), DEPTH_MAX);
  } catch (error) {
    throw wrong(path, `cannot be read: ${(error as Error).message}`);
  }
  if (!isJsonObject(config)) throw wrong(path, 'is no JSON object');
  const architectures: unknown = config['architectures'];
  const hubName: unknown = Array.isArray(architectures) ? architectures[0] : undefined;
  if (typeof hubName !== 'string') throw wrong(path, 'names no architecture in "architectures"');
  const known = Object.hasOwn(HUB_ARCHITECTURES, hubName) ? HUB_ARCHITECTURES[hubName] : undefined;
  const text = isJsonObject(config['text_config']) ? config['text_config'] : {};
  const fields: Readonly<Record<string, unknown>> = { ...known?.defaults, ...config, ...text };
  const size = (key: string, fallback: number | null = null) => {
    const value = sizeOf(fields[key]) ?? fallback;
    if (value === null) throw wrong(path, `has no ${key} that is a positive whole number`);
    return value;
  };
  const hiddenSize = size('hidden_size');
  const heads = size('num_attention_heads');
  return {
    architecture: known?.name ?? hubName,
    layers: size('num_hidden_layers'),
    hiddenSize,
    heads,
    keyValueHeads: size('num_key_value_heads', heads),
    headSize: size('head_dim', Math.floor(hiddenSize / heads)),
    feedForwardSize: size('intermediate_size'),
    vocabularySize: size('vocab_size'),
    tiesEmbeddings: fields['tie_word_embeddings'] === true,
  };
}

function wrong(path: string, what: string): ServiceError {
  return new ServiceError(
    'model_invalid',
    `the base model ${join(basename(dirname(path)), basename(path))} ${what}; expected a GGUF model or a folder with its config.json`,
  );
}
