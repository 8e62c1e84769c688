/** Whether an adapter fits a base model, by their sizes alone: before anything is loaded, with the first mismatch by name. */
import { ServiceError } from '../../core/errors.ts';
import type { AdapterArtefact } from './artefact.ts';
import type { BaseDescription } from './base.ts';
import { modulesOf } from './modules.ts';

/** What of an artefact the check reads. */
export type Fitted = Pick<
  AdapterArtefact,
  'architecture' | 'layers' | 'adaptedLayers' | 'modules' | 'heads' | 'keyValueHeads'
>;

/** Throws `adapter_incompatible` with the first mismatch and both figures. */
export function checkCompatible(artefact: Fitted, base: BaseDescription): void {
  checkArchitecture(artefact.architecture, base);
  const top = artefact.adaptedLayers.at(-1) ?? 0;
  if (top >= base.layers)
    throw mismatch(`it adapts layer ${top}, the base has ${base.layers} layers (0 to ${base.layers - 1})`);
  if (artefact.layers !== base.layers)
    throw mismatch(`it is for ${artefact.layers} layers, the base has ${base.layers}`);
  const kinds = modulesOf(base.architecture);
  for (const module of artefact.modules) {
    const kind = kinds.find(({ name }) => name === module.name);
    if (kind === undefined) throw mismatch(`the base has no module ${module.name}`);
    if (module.name === 'lm_head' && base.tiesEmbeddings)
      throw mismatch('it adapts lm_head, and the base has none of its own (its embedding is the head)');
    const size = kind.size(base);
    if (module.name === 'embed_tokens' && module.in !== size.in)
      throw mismatch(`its embedding has a vocabulary of ${module.in}, the base ${size.in}`);
    if (module.name === 'lm_head' && module.out !== size.out)
      throw mismatch(`its output head has a vocabulary of ${module.out}, the base ${size.out}`);
    if (module.in !== size.in || module.out !== size.out)
      throw mismatch(
        `${module.name} changes a matrix of ${module.out} × ${module.in}, the base's is ${size.out} × ${size.in}`,
      );
  }
  // The same sizes cut into other heads: llama.cpp's order of rows would be another.
  if (artefact.heads !== base.heads || artefact.keyValueHeads !== base.keyValueHeads)
    throw mismatch(
      `it is for ${artefact.heads} heads (${artefact.keyValueHeads} of keys), the base has ${base.heads} (${base.keyValueHeads})`,
    );
}

/** The first of the checks, which a reader needs before it can name the tensors. */
export function checkArchitecture(architecture: string, base: BaseDescription): void {
  if (architecture !== base.architecture)
    throw mismatch(
      `it is for the architecture ${JSON.stringify(architecture.slice(0, 120))}, the base is ${JSON.stringify(base.architecture)}`,
    );
}

function mismatch(what: string): ServiceError {
  return new ServiceError('adapter_incompatible', `the adapter does not fit the base: ${what}`);
}
