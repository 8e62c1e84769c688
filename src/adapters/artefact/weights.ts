/**
 * An adapter's weights while it is read: pairs of matrices in PEFT's form, whatever file they lie in. Checked as a whole
 * before any weight is read: both halves of each pair, one rank, one type, the same modules in every layer.
 */
import { type AdapterModule, type ArtefactLimits, invalid, shown, type WeightType } from './artefact.ts';
import { type Matrix, matrixBytes } from './matrix.ts';
import { type ModuleKind, modulesOf, peftModulePath, type TensorName } from './modules.ts';

/** The weights that are added to one matrix of the base: B · A · alpha / rank. */
export interface LoraPair {
  readonly kind: ModuleKind;
  readonly layer: number | null;
  /** rank × in. */
  readonly a: Matrix;
  /** out × rank. */
  readonly b: Matrix;
}

/** What was said beside the weights. */
export interface SaidOfWeights {
  /** Null where the file has none: GGUF without alpha means alpha = rank. */
  readonly alpha: number | null;
  /** Null where the file has none. */
  readonly rank: number | null;
  readonly targetModules: readonly string[] | null;
  /** The layers that were meant to be adapted: null for all of the base's, or where nothing is said. */
  readonly layersToTransform: readonly number[] | null;
  /** Of the base, where the file says. */
  readonly layers: number | null;
  readonly baseModelNameOrPath: string | null;
}

export interface LoraWeights {
  readonly architecture: string;
  readonly rank: number;
  readonly alpha: number;
  readonly type: WeightType;
  readonly said: SaidOfWeights;
  /** Sorted. */
  readonly targetModules: readonly string[];
  readonly modules: readonly AdapterModule[];
  /** Rising. */
  readonly adaptedLayers: readonly number[];
  /** In canonical order: layer by layer, the embedding before and the head after them. */
  readonly pairs: readonly LoraPair[];
}

/** A tensor of the file, by what it is. */
export interface NamedMatrix extends TensorName {
  /** Its name in the file, for messages. */
  readonly fileName: string;
  readonly matrix: Matrix;
}

/** Throws `adapter_invalid` with the first thing that does not agree. */
export function assembleWeights(
  architecture: string,
  tensors: readonly NamedMatrix[],
  said: SaidOfWeights,
  limits: ArtefactLimits,
): LoraWeights {
  const first = tensors[0];
  if (first === undefined) throw invalid('the file holds no weights');
  const bytes = tensors.reduce((sum, { matrix }) => sum + matrixBytes(matrix), 0);
  if (bytes > limits.bytesMax)
    throw invalid(`the weights have ${bytes} bytes; at most ${limits.bytesMax} are taken (artefactBytesMax)`);
  for (const { matrix, fileName } of tensors)
    if (matrix.type !== first.matrix.type)
      throw invalid(
        `tensor ${shown(fileName)} is ${matrix.type} and ${shown(first.fileName)} is ${first.matrix.type}; save all weights in one type`,
      );
  const pairs = paired(architecture, tensors);
  const rank = commonRank(pairs, said.rank, limits);
  const alpha = said.alpha ?? rank;
  const adaptedLayers = [...new Set(pairs.flatMap(({ layer }) => layer ?? []))].sort(
    (one, other) => one - other,
  );
  const modules = uniformModules(pairs, adaptedLayers);
  const targetModules = modules.map(({ name }) => name).sort();
  checkTargets(pairs, said.targetModules);
  return {
    architecture,
    rank,
    alpha,
    type: first.matrix.type,
    said,
    targetModules,
    modules,
    adaptedLayers,
    pairs,
  };
}

function paired(architecture: string, tensors: readonly NamedMatrix[]): LoraPair[] {
  const halves = new Map<string, { a?: NamedMatrix; b?: NamedMatrix }>();
  for (const tensor of tensors) {
    const path = peftModulePath(tensor);
    const both = halves.get(path) ?? {};
    const twin = both[tensor.half];
    if (twin !== undefined)
      throw invalid(`${shown(tensor.fileName)} and ${shown(twin.fileName)} are the same half of one module`);
    both[tensor.half] = tensor;
    halves.set(path, both);
  }
  const pairs: LoraPair[] = [];
  for (const { a, b } of halves.values()) {
    const { kind, layer, fileName } = a ?? b ?? unreachable();
    if (a === undefined || b === undefined)
      throw invalid(
        `${shown(fileName)} has no partner: half ${a === undefined ? 'A' : 'B'} of ${peftModulePath({ kind, layer })} is missing`,
      );
    if (a.matrix.rows !== b.matrix.columns)
      throw invalid(
        `${shown(a.fileName)} has rank ${a.matrix.rows} and ${shown(b.fileName)} rank ${b.matrix.columns}; expected the same`,
      );
    pairs.push({ kind, layer, a: a.matrix, b: b.matrix });
  }
  const order = modulesOf(architecture);
  const head = order.length;
  // The head stands after the last layer, the embedding before the first.
  const place = ({ kind, layer }: LoraPair) =>
    layer ?? (order.indexOf(kind) === head - 1 ? Number.MAX_SAFE_INTEGER : -1);
  return pairs.sort(
    (one, other) => place(one) - place(other) || order.indexOf(one.kind) - order.indexOf(other.kind),
  );
}

function unreachable(): never {
  throw new Error('a pair without halves');
}

function commonRank(pairs: readonly LoraPair[], saidRank: number | null, limits: ArtefactLimits): number {
  const rank = saidRank ?? pairs[0]?.a.rows ?? 0;
  for (const { kind, layer, a, b } of pairs) {
    if (a.rows < 1 || a.columns < 1 || b.rows < 1)
      throw invalid(
        `${peftModulePath({ kind, layer })} has matrices of ${a.rows} × ${a.columns} and ${b.rows} × ${b.columns}; expected a rank from 1`,
      );
    if (a.rows !== rank)
      throw invalid(
        `${peftModulePath({ kind, layer })} has rank ${a.rows}, ${saidRank === null ? 'another module' : 'adapter_config.json'} ${rank}; engines read one rank for all modules: train with one`,
      );
  }
  if (rank > limits.rankMax)
    throw invalid(`the adapter has rank ${rank}; at most ${limits.rankMax} is taken (rankMax)`);
  return rank;
}

/** The same modules of the same sizes in each adapted layer. */
function uniformModules(pairs: readonly LoraPair[], layers: readonly number[]): readonly AdapterModule[] {
  const modules = new Map<string, AdapterModule>();
  const present = new Set<string>();
  for (const { kind, layer, a, b } of pairs) {
    const module = { name: kind.name, in: a.columns, out: b.rows, isPerLayer: kind.isPerLayer };
    const known = modules.get(kind.name) ?? module;
    if (known.in !== module.in || known.out !== module.out)
      throw invalid(
        `${peftModulePath({ kind, layer })} is ${module.out} × ${module.in} and in another layer ${known.out} × ${known.in}; expected the same`,
      );
    modules.set(kind.name, known);
    present.add(`${layer} ${kind.name}`);
  }
  for (const layer of layers)
    for (const { name, isPerLayer } of modules.values())
      if (isPerLayer && !present.has(`${layer} ${name}`))
        throw invalid(
          `layer ${layer} has no weights for the target module ${name}, which other layers have; train it in all of them`,
        );
  return [...modules.values()];
}

/** Each target has weights, and all weights belong to a target: PEFT's rule, a suffix that begins at a dot. */
function checkTargets(pairs: readonly LoraPair[], targets: readonly string[] | null): void {
  if (targets === null) return;
  const isOf = (target: string, pair: LoraPair) => `.${peftModulePath(pair)}`.endsWith(`.${target}`);
  for (const target of targets)
    if (!pairs.some((pair) => isOf(target, pair)))
      throw invalid(`the target module ${shown(target)} of adapter_config.json has no weights in the file`);
  for (const pair of pairs)
    if (!targets.some((target) => isOf(target, pair)))
      throw invalid(
        `there are weights for ${peftModulePath(pair)}, which is none of the target_modules of adapter_config.json`,
      );
}
