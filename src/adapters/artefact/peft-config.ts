/**
 * adapter_config.json: read strictly, written in one canonical form. Every field that changes what the weights mean must say
 * what a plain LoRA says; fields of training and bookkeeping are left out. What is unknown and set is refused, because an
 * engine that ignores it would speak with another voice.
 */
import { invalid, shown } from './artefact.ts';
import { isJsonObject, parseStrictJson } from './strict-json.ts';

export interface PeftConfig {
  readonly rank: number;
  /** As it is to be divided by the rank, rank-stabilised adapters included. Single precision, as GGUF keeps it. */
  readonly alpha: number;
  /** As they stand there: suffixes of module paths. Null: a pattern, which names no module by itself. */
  readonly targetModules: readonly string[] | null;
  /** Null: all layers. */
  readonly layersToTransform: readonly number[] | null;
  readonly baseModelNameOrPath: string | null;
}

const DEPTH_MAX = 16;
const TARGETS_MAX = 4_096;

/** Fields of training, bookkeeping and other engines, which change nothing in the weights' meaning. */
const WITHOUT_MEANING: ReadonlySet<string> = new Set([
  'auto_mapping',
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'exclude_modules',
  'inference_mode',
  'layers_pattern',
  'lora_dropout',
  'lora_ga_config',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
]);

/** Fields that are read below, each with its own words. */
const READ: ReadonlySet<string> = new Set([
  'alpha_pattern',
  'base_model_name_or_path',
  'init_lora_weights',
  'layers_to_transform',
  'lora_alpha',
  'peft_type',
  'r',
  'rank_pattern',
  'target_modules',
  'task_type',
  'use_rslora',
]);

/** Why a field that is set is refused, and what would be right. */
const ADVICE: Readonly<Record<string, string>> = {
  bias: 'train with bias="none"',
  fan_in_fan_out: 'its matrices are transposed; train with fan_in_fan_out=false',
  lora_bias: 'train with lora_bias=false',
  modules_to_save: 'whole matrices are no LoRA; train with modules_to_save=null',
  trainable_token_indices: 'new rows of the embedding are no LoRA; train without them',
  use_dora: 'no engine but one reads DoRA; train with use_dora=false',
  use_qalora: 'train with use_qalora=false',
  layer_replication: 'the base would need other layers; train without it',
  alora_invocation_tokens: 'an activated LoRA answers as the base until its words come; train a plain one',
  target_parameters: 'adapters of bare parameters are not converted; name modules in target_modules',
};

/** How weights were initialised, where that leaves the base as it was (as vLLM decides it, lora/peft_helper.py). */
const PLAIN_INITIALS: ReadonlySet<unknown> = new Set([
  undefined,
  null,
  true,
  false,
  'gaussian',
  'eva',
  'orthogonal',
  'mica',
  'lora_ga',
]);

/** Throws `adapter_invalid` with the first field that is wrong, and what to change. */
export function readPeftConfig(bytes: Uint8Array): PeftConfig {
  let config: unknown;
  try {
    config = parseStrictJson(bytes, DEPTH_MAX);
  } catch (error) {
    throw invalid(`adapter_config.json cannot be read: ${(error as Error).message}`, error);
  }
  if (!isJsonObject(config)) throw invalid('adapter_config.json is no JSON object');
  const type = config['peft_type'];
  if (type !== 'LORA') throw invalid(`adapter_config.json has peft_type ${said(type)}; expected "LORA"`);
  const task = config['task_type'] ?? 'CAUSAL_LM';
  if (task !== 'CAUSAL_LM')
    throw invalid(`adapter_config.json has task_type ${said(task)}; expected "CAUSAL_LM"`);
  for (const [field, value] of Object.entries(config)) {
    if (READ.has(field) || WITHOUT_MEANING.has(field) || isUnset(field, value)) continue;
    throw invalid(
      `adapter_config.json has ${field} ${said(value)}; ${ADVICE[field] ?? 'it is not known here and could change what the weights mean; train without it'}`,
    );
  }
  const initial = config['init_lora_weights'];
  if (!PLAIN_INITIALS.has(initial))
    throw invalid(
      `adapter_config.json has init_lora_weights ${said(initial)}, which changes the base's weights; save it with path_initial_model_for_weight_conversion, as a plain LoRA`,
    );
  const rank = config['r'];
  if (typeof rank !== 'number' || !Number.isInteger(rank) || rank < 1)
    throw invalid(`adapter_config.json has r ${said(rank)}; expected a whole number from 1`);
  checkUniform(config, 'rank_pattern', rank);
  const alpha = config['lora_alpha'];
  if (typeof alpha !== 'number' || !Number.isFinite(Math.fround(alpha)) || Math.fround(alpha) <= 0)
    throw invalid(`adapter_config.json has lora_alpha ${said(alpha)}; expected a number above 0`);
  checkUniform(config, 'alpha_pattern', alpha);
  const isStabilised = config['use_rslora'] ?? false;
  if (typeof isStabilised !== 'boolean')
    throw invalid(`adapter_config.json has use_rslora ${said(isStabilised)}; expected true or false`);
  const base = config['base_model_name_or_path'] ?? null;
  if (base !== null && typeof base !== 'string')
    throw invalid(`adapter_config.json has base_model_name_or_path ${said(base)}; expected a text`);
  return {
    rank,
    // alpha / √r, said as a plain LoRA's alpha / r (rank-stabilised LoRA, arXiv 2312.03732).
    alpha: Math.fround(isStabilised ? alpha * Math.sqrt(rank) : alpha),
    targetModules: targetsOf(config['target_modules']),
    layersToTransform: layersOf(config['layers_to_transform'] ?? null),
    baseModelNameOrPath: base === null ? null : base.slice(0, 1_024),
  };
}

/** Absent in all but name. */
function isUnset(field: string, value: unknown): boolean {
  if (field === 'bias') return value === 'none';
  if (value === null || value === false || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isJsonObject(value) && Object.keys(value).length === 0;
}

/** One rank and one alpha for all modules: GGUF has room for one alpha, and not every engine reads the patterns. */
function checkUniform(config: Readonly<Record<string, unknown>>, field: string, expected: number): void {
  const pattern = config[field] ?? {};
  if (!isJsonObject(pattern)) throw invalid(`adapter_config.json has ${field} ${said(pattern)}; expected {}`);
  for (const [module, value] of Object.entries(pattern))
    if (value !== expected)
      throw invalid(
        `adapter_config.json has ${field} ${said(value)} for ${shown(module)} and ${expected} for the rest; engines read one for all modules: train with one`,
      );
}

function targetsOf(value: unknown): readonly string[] | null {
  // A regular expression, or `all-linear`; patterns of strangers are not run.
  if (typeof value === 'string' && value !== '') return null;
  if (
    !Array.isArray(value) ||
    value.length === 0 ||
    value.length > TARGETS_MAX ||
    !value.every((each) => typeof each === 'string' && /^[A-Za-z0-9_.]{1,200}$/.test(each))
  )
    throw invalid(
      `adapter_config.json has target_modules ${said(value)}; expected a list of 1 to ${TARGETS_MAX} module names`,
    );
  return value as readonly string[];
}

function layersOf(value: unknown): readonly number[] | null {
  if (value === null) return null;
  const layers: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (
    layers.length === 0 ||
    layers.length > 10_000 ||
    !layers.every((each) => typeof each === 'number' && Number.isInteger(each) && each >= 0)
  )
    throw invalid(`adapter_config.json has layers_to_transform ${said(value)}; expected whole numbers`);
  return (layers as readonly number[]).toSorted((one, other) => one - other);
}

function said(value: unknown): string {
  return value === undefined ? 'nowhere' : shown(JSON.stringify(value)).slice(1, -1).replaceAll('\\"', '"');
}

/** The canonical adapter_config.json. `layersToTransform` is null when all layers of the base are adapted. */
export function canonicalPeftConfig(config: {
  readonly rank: number;
  readonly alpha: number;
  readonly targetModules: readonly string[];
  readonly layersToTransform: readonly number[] | null;
}): Uint8Array {
  const fields = {
    alpha_pattern: {},
    base_model_name_or_path: null,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: config.layersToTransform,
    lora_alpha: config.alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.rank,
    rank_pattern: {},
    target_modules: config.targetModules,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  };
  return Buffer.from(`${JSON.stringify(fields, null, 2)}\n`);
}
