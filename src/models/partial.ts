/**
 * The file while it arrives: appended to `<file>.partial`, flushed to the disk, hashed as it lies there, and only then
 * renamed. A reader therefore sees the whole right file or none, whatever is killed when.
 */
import { type FileHandle, open, rename, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ServiceError } from '../core/errors.ts';
import { fileBytes, hashFile, StorageError, storageError } from './cache.ts';
import type { ModelSource, ProgressMeter } from './progress.ts';

export interface PartialPaths {
  /** Where the whole file goes, beside `partial`. */
  readonly file: string;
  readonly partial: string;
}

export interface Expectation {
  /** As errors call it. */
  readonly fileName: string;
  /** Null until the source says it. */
  readonly bytes: number | null;
  /** Whatever the source says, no file is larger. */
  readonly bytesMax?: number;
  /** Lower-case hexadecimal; null when nobody said. */
  readonly sha256: string | null;
}

export class PartialFile implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #paths: PartialPaths;
  readonly #expected: Expectation;
  #expectedBytes: number | null;
  #bytes: number;

  private constructor(handle: FileHandle, paths: PartialPaths, expected: Expectation, bytes: number) {
    this.#handle = handle;
    this.#paths = paths;
    this.#expected = expected;
    this.#expectedBytes = expected.bytes;
    this.#bytes = bytes;
  }

  /** Opens what is there, or an empty file. Throws when the disk has no room for the rest. */
  static async open(paths: PartialPaths, expected: Expectation): Promise<PartialFile> {
    const { bytes, bytesMax, fileName } = expected;
    if (bytes !== null && bytesMax !== undefined && bytes > bytesMax)
      throw tooLarge(fileName, bytes, bytesMax);
    const there = (await fileBytes(paths.partial)) ?? 0;
    if (expected.bytes !== null) await requireRoom(dirname(paths.partial), expected.bytes - there);
    try {
      const handle = await open(paths.partial, there === 0 ? 'w+' : 'r+');
      const partial = new PartialFile(handle, paths, expected, there);
      if (there > (expected.bytes ?? Number.POSITIVE_INFINITY)) await partial.restart();
      return partial;
    } catch (error) {
      throw storageError(error, paths.partial);
    }
  }

  /** How many bytes are there: where a resumed fetch goes on. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many the whole file has; null while nobody has said. */
  get expectedBytes(): number | null {
    return this.#expectedBytes;
  }

  /** Whether wrong bytes would be noticed at the end. */
  get isDigestKnown(): boolean {
    return this.#expected.sha256 !== null;
  }

  get isWhole(): boolean {
    return this.#bytes === this.#expectedBytes;
  }

  /** The source says how long the file is. Throws when that is another file than the one expected, or too large. */
  expect(bytes: number): void {
    const { bytes: known, bytesMax, fileName } = this.#expected;
    if (known !== null && bytes !== known)
      throw new ServiceError('digest_mismatch', `the file there has ${bytes} bytes, expected ${known}`);
    if (bytesMax !== undefined && bytes > bytesMax) throw tooLarge(fileName, bytes, bytesMax);
    this.#expectedBytes = bytes;
  }

  /** Throws a StorageError unless what is missing fits on the disk. */
  async requireRoom(): Promise<void> {
    if (this.#expectedBytes !== null)
      await requireRoom(dirname(this.#paths.partial), this.#expectedBytes - this.#bytes);
  }

  /** Throws away what is there, and what a source said of its length. */
  async restart(): Promise<void> {
    if (this.#bytes > 0) {
      await this.#handle.truncate(0);
      // What is written beside it about the new bytes must not reach the disk before the old ones are gone.
      await this.#handle.sync();
    }
    this.#bytes = 0;
    this.#expectedBytes = this.#expected.bytes;
  }

  /** Appends. A source that sends more than the file has is refused before it fills the disk. */
  async append(chunk: Uint8Array): Promise<void> {
    const { bytesMax, fileName } = this.#expected;
    const bytes = this.#bytes + chunk.byteLength;
    if (this.#expectedBytes !== null && bytes > this.#expectedBytes) {
      throw new ServiceError(
        'digest_mismatch',
        `the source sent more than the ${this.#expectedBytes} bytes that ${fileName} has`,
      );
    }
    if (bytesMax !== undefined && bytes > bytesMax) throw tooLarge(fileName, bytes, bytesMax);
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

  /**
   * Verifies and puts the file in its place; gives its SHA-256. Wrong bytes are removed and become `digest_mismatch`.
   */
  async finish(source: ModelSource, meter: ProgressMeter, signal: AbortSignal): Promise<string> {
    try {
      await this.#handle.sync();
    } catch (error) {
      throw storageError(error, this.#paths.partial);
    }
    meter.begin('verifying', source, 0, this.#bytes);
    const sha256 = await hashFile(this.#paths.partial, (bytes) => meter.advance(bytes), signal);
    if (this.#expected.sha256 !== null && sha256 !== this.#expected.sha256) {
      await this.restart();
      throw new ServiceError(
        'digest_mismatch',
        `what came has SHA-256 ${sha256}, expected ${this.#expected.sha256}; it was thrown away`,
        { details: { sha256, expected: this.#expected.sha256 } },
      );
    }
    try {
      await rename(this.#paths.partial, this.#paths.file);
      await syncDirectory(dirname(this.#paths.file));
    } catch (error) {
      throw storageError(error, this.#paths.file);
    }
    return sha256;
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
    `the disk of ${directory} has ${megabytes(freeBytes)} MB free, the file needs ${megabytes(bytes)} MB: free some space or set GREENROOM_CACHE to a folder elsewhere`,
    { details: { reason: 'disk_full', freeBytes, neededBytes: bytes } },
  );
}

/** The rename itself survives a power cut only when its folder is flushed; Windows cannot open one, and need not. */
export async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function tooLarge(fileName: string, bytes: number, bytesMax: number): ServiceError {
  return new ServiceError(
    'body_too_large',
    `${fileName} has ${bytes} bytes or more; at most ${bytesMax} are taken`,
    { details: { bytes, bytesMax } },
  );
}

function megabytes(bytes: number): string {
  return (Math.max(0, bytes) / 1e6).toFixed(1);
}
