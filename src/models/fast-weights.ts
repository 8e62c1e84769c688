/**
 * The weights of a small model in a form that the CPU reads fast. llama.cpp multiplies Q8_0 and Q4_0 by kernels of their
 * own on x86 and Arm, and Q4_1 by none: the shipped model reads a prompt at 5.8 ms a token as it is and at 2.9 with its
 * Q4_1 tensors as Q8_0, and writes eight lines in 56 ms a pass instead of 75 (two AVX2 cores, November 2026). So they are
 * rewritten once, into a copy in the cache, at half as many bytes again. The copy is ours alone: name, digest and path of
 * the model stay those of the file it was made of. It never keeps a start from succeeding: what fails is said, and the
 * file is loaded as it is.
 *
 * Left alone are models over 512 MB, which write a line at the speed of memory, where more bytes cost more than the kernels
 * save; models in several files; and every type but Q4_1 (Q5_1 has no kernel either, but no model of ours has it).
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { Clock } from '../core/runtime.ts';
import { GGUF_LIMITS, type GgufHeader, type GgufTensor, parseGgufHeader } from '../lib/gguf.ts';
import { type GgufPlan, planRetyped } from '../lib/gguf-write.ts';
import { type ModelPaths, makeModelDirectory, storageError, unfinishedCopies } from './cache.ts';
import type { ReadyModel } from './ensure.ts';
import { takeFetchLock } from './fetch-lock.ts';
import { requireRoom, syncDirectory } from './partial.ts';
import { type OnModelProgress, ProgressMeter } from './progress.ts';
import { Q4_1_BLOCK_BYTES, Q8_0_BLOCK_BYTES, requantize } from './requantize.ts';

export const FAST_WEIGHTS_BYTES_MAX = 512 * 1_048_576;

/** Part of the record: a copy that an older Greenroom made in another way is made again. */
const REWRITE_VERSION = 1;
/** Read, rewritten and written at a time: some milliseconds of the event loop. */
const PIECE_BLOCKS = 16_384;
const PIECE_BYTES = PIECE_BLOCKS * Q4_1_BLOCK_BYTES;

export interface FastWeightsOptions {
  /** Of the model; the copy lies there wherever the model's own file does. */
  readonly paths: ModelPaths;
  readonly clock: Clock;
  readonly onProgress?: OnModelProgress;
  /** Hears in one sentence why the file is loaded as it is. */
  readonly onNotice?: (message: string) => void;
  /** Opens the copy for writing. Default: a new file. */
  readonly create?: (path: string) => Promise<CopyFile>;
}

/** What the copy is written to; a FileHandle is one. */
export type CopyFile = Pick<FileHandle, 'write' | 'sync' | 'close'>;

/**
 * The file to load for `model`: its own, or the copy, which is made when it is not there. Never fails but by `signal`,
 * whose reason it then rejects with; no part of a copy stays behind.
 */
export async function fastWeights(
  model: ReadyModel,
  options: FastWeightsOptions,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  if (model.bytes > FAST_WEIGHTS_BYTES_MAX) return model.path;
  const { paths } = options;
  try {
    if (await isMade(paths, model)) return paths.fast;
    return await makeCopy(model, options, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    options.onNotice?.(
      `the weights of ${model.path} could not be rewritten for this CPU, which reads prompts about half as fast with them as they are: ${(error as Error).message}`,
    );
    return model.path;
  }
}

async function makeCopy(
  model: ReadyModel,
  options: FastWeightsOptions,
  signal: AbortSignal,
): Promise<string> {
  const { paths, clock } = options;
  await using source = await openSource(model.path);
  const { size } = await source.handle.stat();
  const header = await parseGgufHeader(source.handle, size, GGUF_LIMITS, signal);
  const parts = header.metadata.get('split.count');
  if (!header.tensors.some(isSlow) || (typeof parts === 'number' && parts > 1)) return model.path;

  const meter = new ProgressMeter(clock, size, options.onProgress ?? (() => {}));
  await makeModelDirectory(paths);
  let tries = 0;
  await using lock = await takeFetchLock(
    paths.fastLock,
    clock,
    async () => {
      if (await isMade(paths, model)) return false;
      if (++tries > 1) meter.begin('waiting', 'cache');
      return true;
    },
    signal,
  );
  if (lock === null) return paths.fast;
  meter.begin('rewriting', 'cache');
  for (const path of await unfinishedCopies(paths)) await rm(path, { force: true });
  await writeCopy(new SourceReader(source.handle), header, model, meter, options, signal);
  return paths.fast;
}

/** Writes the copy beside its place, and moves it there when it is whole and on the disk. */
async function writeCopy(
  source: SourceReader,
  header: GgufHeader,
  model: ReadyModel,
  meter: ProgressMeter,
  { paths, create = createFile }: FastWeightsOptions,
  signal: AbortSignal,
): Promise<void> {
  const before = await source.take(header.dataOffset);
  const plan = planRetyped(header, before, (tensor) => (isSlow(tensor) ? 'Q8_0' : tensor.type));
  await requireRoom(
    paths.directory,
    plan.tensors.reduce((sum, { bytes, padding }) => sum + bytes + padding, plan.header.byteLength),
  );
  const partial = `${paths.fast}.${process.pid}.partial`;
  try {
    const file = await create(partial);
    try {
      await writeTensors(source, header, plan, file, meter, signal);
      const sha256 = await source.finish(header.fileBytes);
      meter.advance(source.position);
      if (sha256 !== model.sha256)
        throw new Error(`what was read of it has SHA-256 ${sha256}, expected ${model.sha256}`);
      await file.sync();
    } finally {
      await file.close();
    }
    signal.throwIfAborted();
    await rename(partial, paths.fast);
    await syncDirectory(paths.directory);
    await writeFile(paths.fastRecord, record(await stat(paths.fast), model));
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw storageError(error, paths.fast);
  }
}

async function writeTensors(
  source: SourceReader,
  header: GgufHeader,
  plan: GgufPlan,
  file: CopyFile,
  meter: ProgressMeter,
  signal: AbortSignal,
): Promise<void> {
  const rewritten = Buffer.alloc(PIECE_BLOCKS * Q8_0_BLOCK_BYTES);
  await writeAll(file, plan.header);
  for (const [index, tensor] of header.tensors.entries()) {
    await source.skipTo(header.dataOffset + tensor.offset);
    for (let done = 0; done < tensor.bytes; done += PIECE_BYTES) {
      signal.throwIfAborted();
      const piece = await source.take(Math.min(PIECE_BYTES, tensor.bytes - done));
      if (isSlow(tensor)) {
        const blocks = piece.byteLength / Q4_1_BLOCK_BYTES;
        requantize(piece, rewritten);
        await writeAll(file, rewritten.subarray(0, blocks * Q8_0_BLOCK_BYTES));
      } else await writeAll(file, piece);
      meter.advance(source.position);
    }
    await writeAll(file, new Uint8Array(plan.tensors[index]?.padding ?? 0));
  }
}

function isSlow(tensor: GgufTensor): boolean {
  return tensor.type === 'Q4_1';
}

/** Reads a file from its beginning, and hashes all of it on the way: the copy is of these bytes or of none. */
class SourceReader {
  readonly #handle: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  /** Taken pieces lie in it until the next is taken. */
  #piece = Buffer.alloc(PIECE_BYTES);
  position = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async take(bytes: number): Promise<Buffer> {
    if (bytes > this.#piece.byteLength) this.#piece = Buffer.alloc(bytes);
    let filled = 0;
    while (filled < bytes) {
      const { bytesRead } = await this.#handle.read(this.#piece, filled, bytes - filled, this.position);
      if (bytesRead === 0) throw new Error('it became shorter while it was read');
      filled += bytesRead;
      this.position += bytesRead;
    }
    const piece = this.#piece.subarray(0, bytes);
    this.#hash.update(piece);
    return piece;
  }

  async skipTo(position: number): Promise<void> {
    while (this.position < position) await this.take(Math.min(PIECE_BYTES, position - this.position));
  }

  /** The digest of all `bytes`. */
  async finish(bytes: number): Promise<string> {
    await this.skipTo(bytes);
    return this.#hash.digest('hex');
  }
}

async function openSource(path: string): Promise<AsyncDisposable & { readonly handle: FileHandle }> {
  const handle = await open(path, 'r');
  return { handle, [Symbol.asyncDispose]: () => handle.close() };
}

function createFile(path: string): Promise<CopyFile> {
  return open(path, 'wx');
}

async function writeAll(file: CopyFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done);
    done += bytesWritten;
  }
}

/** Whether the copy lies there as it was made, and of this file. Reads no weights. */
async function isMade(paths: ModelPaths, model: ReadyModel): Promise<boolean> {
  const [found, recorded] = await Promise.all([
    stat(paths.fast).catch(() => null),
    readFile(paths.fastRecord, 'utf8').catch(() => null),
  ]);
  return found !== null && recorded === record(found, model);
}

function record(
  { size, mtimeMs, ino }: { readonly size: number; readonly mtimeMs: number; readonly ino: number },
  { sha256 }: ReadyModel,
): string {
  return `${JSON.stringify({ rewrite: REWRITE_VERSION, sourceSha256: sha256, bytes: size, mtimeMs, inode: String(ino) })}\n`;
}
