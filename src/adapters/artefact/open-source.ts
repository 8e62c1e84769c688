/**
 * Finds the weights in what somebody hands in: a folder with PEFT files, a safetensors file beside its adapter_config.json,
 * or a GGUF adapter. Nothing is read through a link that leaves the folder, from a pipe or device, or in a format that can
 * hold code: a pickle is refused under any name.
 */
import { type FileHandle, lstat, opendir, realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { ARTEFACT_FILES, type ArtefactLimits, invalid, shown } from './artefact.ts';
import type { BaseDescription } from './base.ts';
import { readLoraGguf } from './gguf-lora.ts';
import { readExactly } from './matrix.ts';
import { openWithin } from './open-file.ts';
import { readPeftConfig } from './peft-config.ts';
import { readPeftWeights } from './peft-weights.ts';
import type { LoraWeights } from './weights.ts';

export interface OpenedSource extends AsyncDisposable {
  readonly weights: LoraWeights;
}

/** Names of files that are pickles by convention, the trainer's own state included. */
const PICKLE_NAME = /\.(?:bin|pt|pth|pkl|pickle|ckpt)$/i;
const MAGIC_BYTES = 8;

/** Opens what lies at `from`; the caller disposes of it when the weights are read. Throws `adapter_invalid` with the first fault. */
export async function openSource(
  from: string,
  base: BaseDescription,
  limits: ArtefactLimits,
  signal: AbortSignal,
): Promise<OpenedSource> {
  signal.throwIfAborted();
  const found = await lstat(from).catch((error: unknown) => {
    throw invalid(`${shown(basename(from))} cannot be read: ${(error as NodeJS.ErrnoException).code}`, error);
  });
  // The operator may name a link; what lies in a folder that came from elsewhere may not be one that leaves it.
  const path = found.isSymbolicLink() ? await realpath(from) : from;
  const isFolder = (await lstat(path)).isDirectory();
  const folder = await realpath(isFolder ? path : dirname(path));
  if (isFolder) return await openFolder(folder, base, limits, signal);
  const name = basename(path);
  if (PICKLE_NAME.test(name)) throw pickle(name);
  if (name.endsWith('.gguf')) return await openGguf(folder, name, base, limits, signal);
  if (name.endsWith('.safetensors')) return await openPeft(folder, name, base, limits, signal);
  await using file = await openWithin(folder, name, signal);
  await checkMagic(file.handle, name, signal);
  throw invalid(
    `${shown(name)} is no adapter; expected a folder with ${ARTEFACT_FILES.config} and ${ARTEFACT_FILES.weights}, a .safetensors file beside its ${ARTEFACT_FILES.config}, or a .gguf file`,
  );
}

async function openFolder(
  folder: string,
  base: BaseDescription,
  limits: ArtefactLimits,
  signal: AbortSignal,
): Promise<OpenedSource> {
  const names: string[] = [];
  for await (const entry of await opendir(folder)) {
    if (names.length === limits.filesMax)
      throw invalid(`the folder holds more than ${limits.filesMax} files; hand in the adapter's alone`);
    if (!entry.isDirectory()) names.push(entry.name);
  }
  names.sort();
  for (const name of names) {
    if (PICKLE_NAME.test(name)) throw pickle(name);
    await using file = await openWithin(folder, name, signal);
    await checkMagic(file.handle, name, signal);
  }
  if (names.includes(ARTEFACT_FILES.weights))
    return await openPeft(folder, ARTEFACT_FILES.weights, base, limits, signal);
  const [gguf, ...more] = names.filter((name) => name.endsWith('.gguf'));
  if (gguf !== undefined && more.length === 0) return await openGguf(folder, gguf, base, limits, signal);
  throw invalid(
    gguf === undefined
      ? `the folder has no ${ARTEFACT_FILES.weights}${names.includes(ARTEFACT_FILES.config) ? '' : ` and no ${ARTEFACT_FILES.config}`}; save the adapter with PEFT's save_pretrained`
      : `the folder has ${more.length + 1} GGUF files; hand in one of them`,
  );
}

async function openPeft(
  folder: string,
  weightsName: string,
  base: BaseDescription,
  limits: ArtefactLimits,
  signal: AbortSignal,
): Promise<OpenedSource> {
  const config = readPeftConfig(await readConfig(folder, limits, signal));
  const file = await openWithin(folder, weightsName, signal);
  try {
    await checkMagic(file.handle, weightsName, signal);
    return ownedBy(file, await readPeftWeights(file, config, base, limits, signal));
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

async function openGguf(
  folder: string,
  name: string,
  base: BaseDescription,
  limits: ArtefactLimits,
  signal: AbortSignal,
): Promise<OpenedSource> {
  const file = await openWithin(folder, name, signal);
  try {
    await checkMagic(file.handle, name, signal);
    return ownedBy(file, await readLoraGguf(file, base, limits, signal));
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

function ownedBy(file: AsyncDisposable, weights: LoraWeights): OpenedSource {
  return { weights, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
}

async function readConfig(folder: string, limits: ArtefactLimits, signal: AbortSignal): Promise<Uint8Array> {
  await using file = await openWithin(folder, ARTEFACT_FILES.config, signal);
  if (file.bytes > limits.configBytesMax)
    throw invalid(
      `${ARTEFACT_FILES.config} has ${file.bytes} bytes; at most ${limits.configBytesMax} are read`,
    );
  return await readExactly(file.handle, 0, file.bytes, signal);
}

/** Pickles begin with their protocol (2 to 5), PyTorch's are in a zip; neither archive is unpacked. */
async function checkMagic(handle: FileHandle, name: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const head = new Uint8Array(MAGIC_BYTES);
  const { bytesRead } = await handle.read(head, 0, MAGIC_BYTES, 0);
  const [first = 0, second = 0, third = 0] = head.subarray(0, bytesRead);
  // A safetensors file begins with its header's length, which may be 0x80 0x02 too, but then four zeros follow.
  const isLength = bytesRead === MAGIC_BYTES && head.subarray(4).every((byte) => byte === 0);
  if (first === 0x80 && second >= 2 && second <= 5 && !isLength) throw pickle(name);
  const isZip = first === 0x50 && second === 0x4b && third === 3;
  const isGzip = first === 0x1f && second === 0x8b && !isLength;
  if (isZip) throw pickle(name, 'a zip archive, as PyTorch packs its pickles');
  if (isGzip) throw invalid(`${shown(name)} is a packed archive; unpack it and hand in the folder`);
}

function pickle(name: string, what = 'a pickle'): Error {
  return invalid(
    `${shown(name)} is ${what}, which can run code when it is read; save the adapter as safetensors (save_pretrained with safe_serialization) without it`,
  );
}
