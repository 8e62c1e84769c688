/**
 * The folder in which an artefact is made before it is seen: `<root>/.staging/<host>-<process>-<random>`. It is renamed when
 * everything in it is on the disk, and removed when anything fails. What a killed process left is swept by the next one.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ServiceError } from '../../core/errors.ts';
import type { Clock, Random } from '../../core/runtime.ts';

/** A folder of another machine over a shared disk is left alone for a day: nobody here can tell whether it is in use. */
const FOREIGN_AGE_MS = 24 * 3_600_000;

/** Names of this process that are in use. One of its number that is not here was left by a process with the same number. */
const inUse = new Set<string>();

export interface StagingFolder extends AsyncDisposable {
  readonly path: string;
}

/** Makes an empty folder below `root`; disposing removes it and what is in it, unless it was renamed. */
export async function makeStagingFolder(root: string, random: Pick<Random, 'bytes'>): Promise<StagingFolder> {
  const name = `${hostTag()}-${process.pid}-${Buffer.from(random.bytes(8)).toString('hex')}`;
  const path = join(root, '.staging', name);
  inUse.add(name);
  try {
    await mkdir(join(root, '.staging'), { recursive: true });
    await mkdir(path);
  } catch (error) {
    inUse.delete(name);
    throw storageError(error, root);
  }
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await rm(path, { recursive: true, force: true });
      inUse.delete(name);
    },
  };
}

/** Removes what processes that are gone left below `root`. */
export async function sweepStaging(root: string, clock: Pick<Clock, 'nowMs'>): Promise<void> {
  const folder = join(root, '.staging');
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) {
    const path = join(folder, name);
    if (await isLeft(name, path, clock)) await rm(path, { recursive: true, force: true });
  }
}

async function isLeft(name: string, path: string, clock: Pick<Clock, 'nowMs'>): Promise<boolean> {
  if (inUse.has(name)) return false;
  const [host, id] = name.split('-');
  if (host !== hostTag()) {
    const found = await stat(path).catch(() => null);
    return found !== null && clock.nowMs() - found.mtimeMs > FOREIGN_AGE_MS;
  }
  const processId = Number(id);
  return !Number.isInteger(processId) || processId === process.pid || !isAlive(processId);
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function hostTag(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
}

export interface WrittenFile {
  readonly bytes: number;
  /** SHA-256 in hexadecimal. */
  readonly digest: string;
}

/** Opens a new file for writing. */
export type CreateFile = (path: string) => Promise<FileHandle>;

export const createFile: CreateFile = (path) => open(path, 'wx', 0o644);

/** Writes a new file piece by piece, and has it on the disk when it resolves. */
export async function writeDurably(
  path: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  create: CreateFile,
  signal: AbortSignal,
): Promise<WrittenFile> {
  const hash = createHash('sha256');
  let bytes = 0;
  const handle = await create(path);
  try {
    for await (const piece of pieces) {
      signal.throwIfAborted();
      hash.update(piece);
      bytes += piece.length;
      await handle.writeFile(piece);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { bytes, digest: hash.digest('hex') };
}

/** So that the names in it survive a loss of power. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A full disk, and one that may not be written, by their names; every other error as it is. */
export function storageError(error: unknown, root: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new ServiceError(
      'config_invalid',
      `the adapters directory ${root} may not be written by this process (${code}); change its permissions, or set adapters.directory to another`,
      { cause: error },
    );
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new ServiceError(
    'out_of_space',
    `out of space: the disk of ${root} is full${code === 'EDQUOT' ? ' (quota)' : ''}; nothing was kept: free some space there, or set adapters.directory to another disk`,
    { cause: error },
  );
}
