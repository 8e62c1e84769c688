/**
 * The canonical form of an adapter: which bytes adapter_config.json and adapter_model.safetensors have. They depend on the
 * weights and on the base's shape alone, so they are the same from whichever container the weights came, and their digest
 * is the adapter's identity. The shape stands in the safetensors metadata, where every engine ignores it.
 */
import { createHash } from 'node:crypto';
import { ARTEFACT_FILES, invalid } from './artefact.ts';
import type { BaseDescription } from './base.ts';
import { checkCompatible, type Fitted } from './compatible.ts';
import type { Matrix } from './matrix.ts';
import { peftName } from './modules.ts';
import { canonicalPeftConfig } from './peft-config.ts';
import { safetensorsHeader } from './safetensors.ts';
import type { LoraWeights } from './weights.ts';

export interface CanonicalForm {
  readonly config: Uint8Array;
  readonly header: Uint8Array;
  /** Their bytes follow the header in this order. */
  readonly tensors: readonly { readonly name: string; readonly matrix: Matrix }[];
  readonly fitted: Fitted;
}

/** Keys of the safetensors metadata. `format` is what libraries look for; the others are ours. */
export const SHAPE_KEYS = {
  architecture: 'greenroom.architecture',
  heads: 'greenroom.heads',
  keyValueHeads: 'greenroom.key_value_heads',
  layers: 'greenroom.layers',
} as const;

/** Throws `adapter_incompatible` when the weights do not fit the base, `adapter_invalid` when layers are missing. */
export function canonicalForm(weights: LoraWeights, base: BaseDescription): CanonicalForm {
  const { architecture, adaptedLayers, modules, pairs, rank, alpha, targetModules } = weights;
  const { heads, keyValueHeads } = base;
  const layers = layersOf(weights, base);
  const fitted = { architecture, layers, adaptedLayers, modules, heads, keyValueHeads };
  checkCompatible(fitted, base);
  const isOfAll = adaptedLayers.length === base.layers || adaptedLayers.length === 0;
  const tensors = pairs.flatMap(({ kind, layer, a, b }) => [
    { name: peftName({ kind, layer, half: 'a' }), matrix: a },
    { name: peftName({ kind, layer, half: 'b' }), matrix: b },
  ]);
  const metadata = {
    format: 'pt',
    [SHAPE_KEYS.architecture]: architecture,
    [SHAPE_KEYS.heads]: String(heads),
    [SHAPE_KEYS.keyValueHeads]: String(keyValueHeads),
    [SHAPE_KEYS.layers]: String(layers),
  };
  const described = tensors.map(({ name, matrix: { type, rows, columns } }) => ({
    name,
    type,
    shape: [rows, columns],
  }));
  return {
    config: canonicalPeftConfig({
      rank,
      alpha,
      targetModules,
      layersToTransform: isOfAll ? null : adaptedLayers,
    }),
    header: safetensorsHeader(metadata, described),
    tensors,
    fitted,
  };
}

/**
 * For how many layers the adapter was made. Weights for the first 24 of 30 layers are those of a smaller base, unless it was
 * said that only these were to be adapted.
 */
function layersOf({ adaptedLayers, said }: LoraWeights, base: BaseDescription): number {
  const meant = said.layersToTransform;
  if (meant !== null) {
    const missing = meant.find((layer) => !adaptedLayers.includes(layer));
    const extra = adaptedLayers.find((layer) => !meant.includes(layer));
    if (missing !== undefined)
      throw invalid(`layers_to_transform names layer ${missing}, for which there are no weights`);
    if (extra !== undefined)
      throw invalid(`there are weights for layer ${extra}, which layers_to_transform does not name`);
  }
  if (said.layers !== null) return said.layers;
  const top = adaptedLayers.at(-1);
  if (meant !== null || top === undefined || adaptedLayers.length === base.layers) return base.layers;
  // Of all layers up to some other number: an adapter of another base. With gaps: part of this one's.
  return adaptedLayers.length === top + 1 ? top + 1 : base.layers;
}

/** The digest of an artefact, from those of its two canonical files: what `sha256sum` of both, piped into itself, prints. */
export function artefactDigest(configDigest: string, weightsDigest: string): string {
  return createHash('sha256')
    .update(`${configDigest}  ${ARTEFACT_FILES.config}\n${weightsDigest}  ${ARTEFACT_FILES.weights}\n`)
    .digest('hex');
}
