/**
 * Reads a staged artefact back. `readArtefact` believes artefact.json, for lists and starts; `describeArtefact` believes only
 * the bytes: it hashes every file and compares what the files say with what the description says.
 */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { ServiceError } from '../../core/errors.ts';
import { type AdapterArtefact, ARTEFACT_FILES, ARTEFACT_LIMITS, invalid } from './artefact.ts';
import { artefactDigest, SHAPE_KEYS } from './canonical.ts';
import { readExactly } from './matrix.ts';
import { type OpenFile, openWithin } from './open-file.ts';
import { readPeftConfig } from './peft-config.ts';
import { readPeftWeights } from './peft-weights.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { parseStrictJson } from './strict-json.ts';

const count = z.int().min(1);
const digest = z.string().regex(/^[0-9a-f]{64}$/);

const descriptionSchema = z.strictObject({
  digest,
  architecture: z.string().min(1),
  heads: count,
  keyValueHeads: count,
  layers: count,
  adaptedLayers: z.array(z.int().min(0)),
  rank: count,
  alpha: z.number().positive(),
  targetModules: z.array(z.string()),
  modules: z.array(z.strictObject({ name: z.string(), in: count, out: count, isPerLayer: z.boolean() })),
  dtype: z.enum(['F32', 'F16', 'BF16']),
  bytes: count,
  ggufBytes: count,
  ggufDigest: digest,
  baseModelNameOrPath: z.string().nullable(),
});

const DESCRIPTION_BYTES_MAX = 1_048_576;
const DEPTH_MAX = 8;
/** Limits of what is ours already: they were kept when it was staged, and may have been lowered since. */
const STANDING_LIMITS = { ...ARTEFACT_LIMITS, rankMax: 1_024, bytesMax: Number.MAX_SAFE_INTEGER };

/** artefact.json of an artefact. */
export function descriptionBytes(artefact: AdapterArtefact): Uint8Array {
  return Buffer.from(`${JSON.stringify(descriptionSchema.parse(artefact), null, 2)}\n`);
}

/** The description as it stands in the folder. Throws `adapter_invalid` when there is none that can be read. */
export async function readArtefact(folder: string, signal: AbortSignal): Promise<AdapterArtefact> {
  await using file = await openWithin(await realFolder(folder), ARTEFACT_FILES.description, signal);
  if (file.bytes > DESCRIPTION_BYTES_MAX)
    throw invalid(
      `${ARTEFACT_FILES.description} has ${file.bytes} bytes; at most ${DESCRIPTION_BYTES_MAX} are read`,
    );
  const bytes = await readExactly(file.handle, 0, file.bytes, signal);
  try {
    return descriptionSchema.parse(parseStrictJson(bytes, DEPTH_MAX));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw invalid(`${ARTEFACT_FILES.description} is not as Greenroom writes it: ${reason}`, error);
  }
}

async function realFolder(folder: string): Promise<string> {
  return await realpath(folder).catch((error: NodeJS.ErrnoException) => {
    throw invalid(`the artefact ${basename(folder)} cannot be read: ${error.code}`, error);
  });
}

/**
 * The description of a staged folder, after every byte was read and compared. Throws `digest_mismatch` when a file is not
 * what was staged, `adapter_invalid` when one is missing or cannot be read; aborting rejects with the signal's reason.
 */
export async function describeArtefact(folder: string, signal: AbortSignal): Promise<AdapterArtefact> {
  const path = await realFolder(folder);
  const said = await readArtefact(path, signal);
  await using config = await openWithin(path, ARTEFACT_FILES.config, signal);
  await using weights = await openWithin(path, ARTEFACT_FILES.weights, signal);
  await using gguf = await openWithin(path, ARTEFACT_FILES.gguf, signal);
  const ggufDigest = await digestOf(gguf, signal);
  const found = artefactDigest(await digestOf(config, signal), await digestOf(weights, signal));
  if (found !== said.digest) throw damaged(path, 'the weights or their configuration', said.digest, found);
  if (ggufDigest !== said.ggufDigest) throw damaged(path, ARTEFACT_FILES.gguf, said.ggufDigest, ggufDigest);
  const derived = await derive(config, weights, signal);
  for (const [field, value] of Object.entries({ ...derived, ggufBytes: gguf.bytes }))
    if (!isDeepStrictEqual(value, said[field as keyof AdapterArtefact]))
      throw damaged(
        path,
        `${field} in ${ARTEFACT_FILES.description}`,
        JSON.stringify(value),
        JSON.stringify(said[field as keyof AdapterArtefact]),
      );
  return said;
}

/** The same for a folder that should hold the adapter of a known digest. */
export async function verifyArtefact(
  folder: string,
  expectedDigest: string,
  signal: AbortSignal,
): Promise<AdapterArtefact> {
  const artefact = await describeArtefact(folder, signal);
  if (artefact.digest !== expectedDigest)
    throw damaged(folder, 'the adapter', expectedDigest, artefact.digest);
  return artefact;
}

function damaged(folder: string, what: string, expected: string, found: string): ServiceError {
  return new ServiceError(
    'digest_mismatch',
    `${what} of the artefact ${basename(folder)} is not what was staged: ${found}, expected ${expected}; add the adapter again from its source`,
    { details: { expected, found } },
  );
}

async function digestOf(file: OpenFile, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const step = 1_048_576;
  for (let at = 0; at < file.bytes; at += step)
    hash.update(await readExactly(file.handle, at, Math.min(step, file.bytes - at), signal));
  return hash.digest('hex');
}

/** What the canonical files say of themselves. */
async function derive(config: OpenFile, weights: OpenFile, signal: AbortSignal) {
  const bytes = await readExactly(config.handle, 0, config.bytes, signal);
  const { metadata } = await readSafetensorsHeader(weights.handle, weights.bytes, STANDING_LIMITS, signal);
  const architecture = metadata[SHAPE_KEYS.architecture] ?? '';
  const read = await readPeftWeights(
    weights,
    readPeftConfig(bytes),
    { architecture },
    STANDING_LIMITS,
    signal,
  );
  return {
    architecture,
    heads: Number(metadata[SHAPE_KEYS.heads]),
    keyValueHeads: Number(metadata[SHAPE_KEYS.keyValueHeads]),
    layers: Number(metadata[SHAPE_KEYS.layers]),
    adaptedLayers: read.adaptedLayers,
    rank: read.rank,
    alpha: read.alpha,
    targetModules: read.targetModules,
    modules: read.modules,
    dtype: read.type,
    bytes: weights.bytes,
  };
}
