/**
 * The file while it arrives: appended to `<file>.partial`, flushed to the disk, hashed as it lies there, and only then
 * renamed. A reader therefore sees the whole right file or none, whatever is killed when.
 */
import { type FileHandle, open, rename, rm, statfs } from 'node:fs/promises';
import { ServiceError } from '../core/errors.ts';
import { fileBytes, hashFile, type ModelPaths, recordVerified, StorageError, storageError } from './cache.ts';
import type { ModelArtefact } from './catalogue.ts';
import type { ModelSource, ProgressMeter } from './progress.ts';

export class PartialFile implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #paths: ModelPaths;
  readonly #model: ModelArtefact;
  #bytes: number;

  private constructor(handle: FileHandle, paths: ModelPaths, model: ModelArtefact, bytes: number) {
    this.#handle = handle;
    this.#paths = paths;
    this.#model = model;
    this.#bytes = bytes;
  }

  /** Opens what is there, or an empty file. Throws when the disk has no room for the rest. */
  static async open(paths: ModelPaths, model: ModelArtefact): Promise<PartialFile> {
    const there = (await fileBytes(paths.partial)) ?? 0;
    await requireRoom(paths.directory, model.bytes - there);
    try {
      const handle = await open(paths.partial, there === 0 ? 'w+' : 'r+');
      const partial = new PartialFile(handle, paths, model, there);
      if (there > model.bytes) await partial.restart();
      return partial;
    } catch (error) {
      throw storageError(error, paths.partial);
    }
  }

  /** How many bytes are there: where a resumed fetch goes on. */
  get bytes(): number {
    return this.#bytes;
  }

  get isWhole(): boolean {
    return this.#bytes === this.#model.bytes;
  }

  /** Throws away what is there. */
  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#bytes = 0;
  }

  /** Appends. A source that sends more than the file has is refused before it fills the disk. */
  async append(chunk: Uint8Array): Promise<void> {
    if (this.#bytes + chunk.byteLength > this.#model.bytes) {
      throw new ServiceError(
        'digest_mismatch',
        `the source sent more than the ${this.#model.bytes} bytes that ${this.#model.fileName} has`,
      );
    }
    try {
      let done = 0;
      while (done < chunk.byteLength) {
        const { bytesWritten } = await this.#handle.write(
          chunk,
          done,
          chunk.byteLength - done,
          this.#bytes + done,
        );
        done += bytesWritten;
      }
      this.#bytes += done;
    } catch (error) {
      throw storageError(error, this.#paths.partial);
    }
  }

  /** Verifies and puts the file in its place. Wrong bytes are removed and become `digest_mismatch`. */
  async finish(source: ModelSource, meter: ProgressMeter, signal: AbortSignal): Promise<void> {
    try {
      await this.#handle.sync();
    } catch (error) {
      throw storageError(error, this.#paths.partial);
    }
    meter.begin('verifying', source);
    const sha256 = await hashFile(this.#paths.partial, (bytes) => meter.advance(bytes), signal);
    if (sha256 !== this.#model.sha256) {
      await this.restart();
      throw new ServiceError(
        'digest_mismatch',
        `what came has SHA-256 ${sha256}, expected ${this.#model.sha256}; it was thrown away`,
        { details: { sha256, expected: this.#model.sha256 } },
      );
    }
    try {
      await rename(this.#paths.partial, this.#paths.file);
      await syncDirectory(this.#paths.directory);
    } catch (error) {
      throw storageError(error, this.#paths.file);
    }
    await recordVerified(this.#paths, this.#model);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close().catch(() => {});
    if (this.#bytes === 0) await rm(this.#paths.partial, { force: true }).catch(() => {});
  }
}

/** Throws a StorageError unless `bytes` more fit on the disk of `directory`. */
export async function requireRoom(directory: string, bytes: number): Promise<void> {
  const room = await statfs(directory).catch(() => null);
  // Some network file systems report nothing; there the write itself tells.
  if (room === null || room.blocks === 0) return;
  const freeBytes = room.bavail * room.bsize;
  if (freeBytes >= bytes) return;
  throw new StorageError(
    'model_unavailable',
    `the disk of ${directory} has ${megabytes(freeBytes)} MB free, the model needs ${megabytes(bytes)} MB: free some space or set GREENROOM_CACHE to a folder elsewhere`,
    { details: { reason: 'disk_full', freeBytes, neededBytes: bytes } },
  );
}

/** The rename itself survives a power cut only when its folder is flushed; Windows cannot open one, and need not. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function megabytes(bytes: number): string {
  return (Math.max(0, bytes) / 1e6).toFixed(1);
}
