/**
 * `stageAdapter`: whatever somebody hands in becomes `<root>/<digest>/`, whole or not at all. Reads as a stream, refuses
 * weights that are no finite numbers, writes PEFT and GGUF, and renames when everything is on the disk. Staging the same
 * adapter again finds it there.
 */
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Random } from '../../core/runtime.ts';
import {
  type AdapterArtefact,
  ARTEFACT_FILES,
  ARTEFACT_LIMITS,
  type ArtefactLimits,
  invalid,
  WEIGHT_BYTES,
} from './artefact.ts';
import type { BaseDescription } from './base.ts';
import { artefactDigest, type CanonicalForm, canonicalForm } from './canonical.ts';
import { describeArtefact, descriptionBytes } from './describe.ts';
import { type GgufFile, planLoraGguf } from './gguf-lora.ts';
import { chunksOf, fileMatrix, firstNotFinite, type Matrix, matrixBytes } from './matrix.ts';
import { type OpenFile, openWithin } from './open-file.ts';
import { openSource } from './open-source.ts';
import {
  type CreateFile,
  createFile,
  makeStagingFolder,
  storageError,
  sweepStaging,
  syncFolder,
  writeDurably,
} from './staging-folder.ts';
import type { LoraPair, LoraWeights } from './weights.ts';

export interface StageOptions {
  /** A folder with PEFT files, a .safetensors file beside its adapter_config.json, or a .gguf adapter. */
  readonly from: string;
  /** The adapters directory; made when it is not there. */
  readonly root: string;
  /** The base that the adapter is for: names and orders of tensors depend on it, and it must fit. */
  readonly base: BaseDescription;
  readonly limits?: Partial<ArtefactLimits>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly random: Pick<Random, 'bytes'>;
  /** For tests of a disk that is full. */
  readonly create?: CreateFile;
}

/**
 * Stages an adapter. Throws `adapter_invalid` with the first fault, `adapter_incompatible` when it does not fit the base,
 * `out_of_space`; aborting rejects with the signal's reason. Then nothing is left behind.
 */
export async function stageAdapter(options: StageOptions, signal: AbortSignal): Promise<AdapterArtefact> {
  const { root, base, random, clock } = options;
  const limits = { ...ARTEFACT_LIMITS, ...options.limits };
  await using source = await openSource(options.from, base, limits, signal);
  const form = canonicalForm(source.weights, base);
  try {
    await mkdir(root, { recursive: true });
    await sweepStaging(root, clock);
    await using folder = await makeStagingFolder(root, random);
    const create = options.create ?? createFile;
    const artefact = await writeArtefact(folder.path, source.weights, form, base, create, signal);
    return await publish(folder.path, root, artefact, random, signal);
  } catch (error) {
    throw storageError(error, root);
  }
}

async function writeArtefact(
  folder: string,
  weights: LoraWeights,
  form: CanonicalForm,
  base: BaseDescription,
  create: CreateFile,
  signal: AbortSignal,
): Promise<AdapterArtefact> {
  const write = (file: keyof typeof ARTEFACT_FILES, pieces: AsyncIterable<Uint8Array> | Uint8Array[]) =>
    writeDurably(join(folder, ARTEFACT_FILES[file]), pieces, create, signal);
  const config = await write('config', [form.config]);
  const safetensors = await write('weights', canonicalPieces(form, signal));
  // From our own copy: what was handed in may change while it is read.
  await using staged = await openWithin(folder, ARTEFACT_FILES.weights, signal);
  const pairs = pairsIn(staged, form.header.length, weights.pairs);
  const gguf = await write('gguf', ggufPieces(planLoraGguf({ ...weights, pairs }, base), signal));
  const artefact: AdapterArtefact = {
    digest: artefactDigest(config.digest, safetensors.digest),
    ...form.fitted,
    rank: weights.rank,
    alpha: weights.alpha,
    targetModules: weights.targetModules,
    dtype: weights.type,
    bytes: safetensors.bytes,
    ggufBytes: gguf.bytes,
    ggufDigest: gguf.digest,
    baseModelNameOrPath: weights.said.baseModelNameOrPath,
  };
  await write('description', [descriptionBytes(artefact)]);
  await syncFolder(folder);
  return artefact;
}

async function* canonicalPieces(form: CanonicalForm, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  yield form.header;
  for (const { name, matrix } of form.tensors) yield* finite(name, matrix, signal);
}

async function* finite(name: string, matrix: Matrix, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let before = 0;
  for await (const chunk of chunksOf(matrix, signal)) {
    const found = firstNotFinite(chunk, matrix.type);
    if (found !== null)
      throw invalid(
        `weight ${before + found} of ${name} is infinite or no number; the training diverged: take an earlier checkpoint`,
      );
    before += chunk.length / WEIGHT_BYTES[matrix.type];
    yield chunk;
  }
}

/** The same pairs where the canonical file has them, in the same order. */
function pairsIn(file: OpenFile, headerBytes: number, pairs: readonly LoraPair[]): LoraPair[] {
  let position = headerBytes;
  const next = (matrix: Matrix) => {
    const { rows, columns, type } = matrix;
    const copy = fileMatrix(file.handle, position, { rows, columns, type });
    position += matrixBytes(matrix);
    return copy;
  };
  return pairs.map(({ kind, layer, a, b }) => ({ kind, layer, a: next(a), b: next(b) }));
}

async function* ggufPieces(plan: GgufFile, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  yield plan.header;
  for (const [index, matrix] of plan.matrices.entries()) {
    yield* chunksOf(matrix, signal);
    yield new Uint8Array(plan.tensors[index]?.padding ?? 0);
  }
}

/** Gives the folder its name. A folder of that name that is whole stays; a damaged one is replaced. */
async function publish(
  folder: string,
  root: string,
  artefact: AdapterArtefact,
  random: Pick<Random, 'bytes'>,
  signal: AbortSignal,
): Promise<AdapterArtefact> {
  const target = join(root, artefact.digest);
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await rename(folder, target);
      await syncFolder(root);
      return artefact;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    }
    const standing = await describeArtefact(target, signal).catch(() => null);
    signal.throwIfAborted();
    if (standing !== null) return standing;
    await using aside = await makeStagingFolder(root, random);
    await rename(target, aside.path).catch((error: NodeJS.ErrnoException) => {
      // Another process was quicker to clear it away.
      if (error.code !== 'ENOENT') throw error;
    });
  }
  throw invalid(`${target} is changed by somebody else all the time; stop them and try again`);
}
