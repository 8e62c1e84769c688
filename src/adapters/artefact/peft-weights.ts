/** The weights of a PEFT adapter: its safetensors file, by the names that PEFT gives the tensors. */
import { type ArtefactLimits, invalid, shown } from './artefact.ts';
import type { BaseDescription } from './base.ts';
import { fileMatrix } from './matrix.ts';
import { parsePeftName } from './modules.ts';
import type { OpenFile } from './open-file.ts';
import type { PeftConfig } from './peft-config.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { assembleWeights, type LoraWeights, type NamedMatrix } from './weights.ts';

/** Reads the header and checks it whole; the weights themselves are read later. Throws `adapter_invalid`. */
export async function readPeftWeights(
  file: OpenFile,
  config: PeftConfig,
  base: Pick<BaseDescription, 'architecture'>,
  limits: ArtefactLimits,
  signal: AbortSignal,
): Promise<LoraWeights> {
  if (config.rank > limits.rankMax)
    throw invalid(`the adapter has rank ${config.rank}; at most ${limits.rankMax} is taken (rankMax)`);
  const header = await readSafetensorsHeader(file.handle, file.bytes, limits, signal);
  const tensors = header.tensors.map(({ name, type, shape, position }): NamedMatrix => {
    const parsed = parsePeftName(base.architecture, name);
    if (parsed === null)
      throw invalid(
        `the tensor ${shown(name)} is no LoRA weight that is known for ${base.architecture}; expected names like "base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight"`,
      );
    const [rows = 0, columns] = shape;
    if (columns === undefined) throw invalid(`the tensor ${shown(name)} has one dimension; expected two`);
    return { ...parsed, fileName: name, matrix: fileMatrix(file.handle, position, { rows, columns, type }) };
  });
  const said = { ...config, layers: null };
  return assembleWeights(base.architecture, tensors, said, limits);
}
