/**
 * What a LoRA adapter is once it is ours: a folder named by its digest, with the canonical PEFT files, the same weights as
 * GGUF, and this description of them. The digest covers configuration and weights in PEFT's form, so the same adapter has
 * the same digest whichever container it came in.
 */
import { ServiceError } from '../../core/errors.ts';

/** The files of a staged folder. Engines that read PEFT are given the folder, those that read GGUF the file. */
export const ARTEFACT_FILES = {
  config: 'adapter_config.json',
  weights: 'adapter_model.safetensors',
  gguf: 'adapter.gguf',
  description: 'artefact.json',
} as const;

export const WEIGHT_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
/** How a weight is stored; named alike in safetensors and GGUF. */
export type WeightType = keyof typeof WEIGHT_BYTES;

/** A kind of matrix that the adapter changes, in each of its layers alike. */
export interface AdapterModule {
  /** As PEFT's `target_modules` has it: `q_proj`. */
  readonly name: string;
  /** Of the base's weight: columns and rows. */
  readonly in: number;
  readonly out: number;
  /** False for the embedding and the output head, of which there is one. */
  readonly isPerLayer: boolean;
}

export interface AdapterArtefact {
  /** SHA-256, 64 hexadecimal digits: what `sha256sum adapter_config.json adapter_model.safetensors | sha256sum` prints. */
  readonly digest: string;
  /** As GGUF names it: `llama` stands for Mistral, too. */
  readonly architecture: string;
  /** Of the base: llama.cpp orders the rows of q_proj and k_proj by them. */
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Of the base. */
  readonly layers: number;
  /** Those that the adapter changes, rising; mostly all of them, none when it changes the embedding alone. */
  readonly adaptedLayers: readonly number[];
  readonly rank: number;
  /** The weights are added times alpha / rank. */
  readonly alpha: number;
  /** Sorted. */
  readonly targetModules: readonly string[];
  readonly modules: readonly AdapterModule[];
  readonly dtype: WeightType;
  /** Of the safetensors file. */
  readonly bytes: number;
  readonly ggufBytes: number;
  /** SHA-256 of the GGUF file, for wires that upload it. */
  readonly ggufDigest: string;
  /** What the trainer wrote, for people; no part of the digest, for it is often a path of the trainer's machine. */
  readonly baseModelNameOrPath: string | null;
}

export interface ArtefactLimits {
  /** Highest rank, 1..512. */
  readonly rankMax: number;
  /** Most bytes of weights. */
  readonly bytesMax: number;
  /** Most bytes of a safetensors or GGUF header; it is parsed in one go, and thousands of tensors need one megabyte. */
  readonly headerBytesMax: number;
  readonly tensorsMax: number;
  /** Most bytes of adapter_config.json. */
  readonly configBytesMax: number;
  /** Most files in a folder that is staged. */
  readonly filesMax: number;
}

export const ARTEFACT_LIMITS: ArtefactLimits = {
  rankMax: 64,
  bytesMax: 2_000_000_000,
  headerBytesMax: 4 * 1_048_576,
  tensorsMax: 8_192,
  configBytesMax: 1_048_576,
  filesMax: 256,
};

/**
 * Bytes of memory that the adapter's weights take in an engine that keeps them with `dtypeBytes` a weight: for each matrix
 * rank × (in + out), times the layers. What an engine reserves for a slot by its own highest rank is its own affair.
 */
export function residentBytes(
  artefact: Pick<AdapterArtefact, 'rank' | 'modules' | 'adaptedLayers'>,
  dtypeBytes: number,
): number {
  let weights = 0;
  for (const module of artefact.modules)
    weights +=
      artefact.rank * (module.in + module.out) * (module.isPerLayer ? artefact.adaptedLayers.length : 1);
  return weights * dtypeBytes;
}

/** The one way to say that an artefact is hostile or broken. */
export function invalid(message: string, cause?: unknown): ServiceError {
  return new ServiceError('adapter_invalid', message, cause === undefined ? {} : { cause });
}

/** Text from an artefact as a message may hold it. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
