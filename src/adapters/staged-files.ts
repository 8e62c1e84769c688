/**
 * The adapters directory: `<digest>/` for each artefact, `.incoming/` for what is being fetched. Invariant: the files of a
 * digest go only when no record has it, also when another gateway over the same directory adds it at that moment: they are
 * set aside, the registry is asked once more, and they come back if it says so.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { AdapterStore } from '../core/adapter.ts';
import type { Clock, Random } from '../core/runtime.ts';
import { invariant } from '../lib/invariant.ts';
import { takeFetchLock } from '../models/fetch-lock.ts';
import { ARTEFACT_FILES } from './artefact/artefact.ts';
import { makeStagingFolder } from './artefact/staging-folder.ts';

/** What an interrupted fetch left is of use to the next try of the same adapter; after a week nobody tries any more. */
const INCOMING_AGE_MS = 7 * 24 * 3_600_000;
/** An artefact without a record may be one that is just being added; after a day it is left over. */
const ORPHAN_AGE_MS = 24 * 3_600_000;

export interface StagedFilesParts {
  /** Absolute. */
  readonly root: string;
  readonly store: Pick<AdapterStore, 'byDigest'>;
  readonly clock: Clock;
  readonly random: Pick<Random, 'bytes'>;
}

export interface Incoming extends AsyncDisposable {
  /** Where the fetch may write; it holds what an earlier try of the same left. */
  readonly path: string;
  /** Nothing in it is of use any more; otherwise it stays for the next try. */
  discard(): Promise<void>;
}

export class StagedFiles {
  readonly #parts: StagedFilesParts;

  constructor(parts: StagedFilesParts) {
    this.#parts = parts;
  }

  /** Where the artefact of a digest lies, or would. */
  folderOf(digest: string): string {
    return path.join(this.#parts.root, digest);
  }

  /** Names of the artefact's files that are not there. */
  async missing(digest: string): Promise<readonly string[]> {
    const names: string[] = [];
    for (const name of Object.values(ARTEFACT_FILES)) {
      const found = await stat(path.join(this.folderOf(digest), name)).catch(() => null);
      if (found?.isFile() !== true) names.push(name);
    }
    return names;
  }

  /**
   * The folder for one fetch, told apart by `key`; held against other processes until it is disposed. Waits while another
   * holds it; aborting rejects with the signal's reason.
   */
  async incoming(key: string, signal: AbortSignal): Promise<Incoming> {
    const root = path.join(this.#parts.root, '.incoming');
    await mkdir(root, { recursive: true });
    const folder = path.join(root, createHash('sha256').update(key).digest('hex').slice(0, 32));
    const lock = await takeFetchLock(
      `${folder}.lock`,
      this.#parts.clock,
      () => Promise.resolve(true),
      signal,
    );
    return {
      path: folder,
      discard: () => rm(folder, { recursive: true, force: true }),
      [Symbol.asyncDispose]: async () => await lock?.[Symbol.asyncDispose](),
    };
  }

  /** Deletes the artefact unless a record has this digest. False: it stays, or was not there. */
  async discard(digest: string): Promise<boolean> {
    const { root, store, random } = this.#parts;
    if ((await store.byDigest(digest)).length > 0) return false;
    await using aside = await makeStagingFolder(root, random);
    try {
      await rename(this.folderOf(digest), aside.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
    try {
      if ((await store.byDigest(digest)).length === 0) return true;
    } catch (error) {
      await this.#putBack(aside.path, digest);
      throw error;
    }
    await this.#putBack(aside.path, digest);
    return false;
  }

  /** Removes what was left over: old fetches, and artefacts that never came into the registry. Resolves to how many. */
  async sweep(signal: AbortSignal): Promise<number> {
    const { root } = this.#parts;
    let removed = 0;
    for (const name of await namesIn(root)) {
      signal.throwIfAborted();
      if (!/^[0-9a-f]{64}$/.test(name) || !(await this.#isOlder(path.join(root, name), ORPHAN_AGE_MS)))
        continue;
      if (await this.discard(name)) removed += 1;
    }
    const incoming = path.join(root, '.incoming');
    for (const name of await namesIn(incoming)) {
      if (name.endsWith('.lock') || !(await this.#isOlder(path.join(incoming, name), INCOMING_AGE_MS)))
        continue;
      await using _lock = await this.#hold(path.join(incoming, name), signal);
      await rm(path.join(incoming, name), { recursive: true, force: true });
      removed += 1;
    }
    return removed;
  }

  async #hold(folder: string, signal: AbortSignal): Promise<AsyncDisposable> {
    const isNeeded = () => Promise.resolve(true);
    const lock = await takeFetchLock(`${folder}.lock`, this.#parts.clock, isNeeded, signal);
    invariant(lock !== null, 'a lock that is needed was not taken');
    return lock;
  }

  async #isOlder(file: string, ageMs: number): Promise<boolean> {
    const found = await stat(file).catch(() => null);
    return found !== null && this.#parts.clock.nowMs() - found.mtimeMs > ageMs;
  }

  async #putBack(from: string, digest: string): Promise<void> {
    await rename(from, this.folderOf(digest)).catch((error: NodeJS.ErrnoException) => {
      // Whoever added it staged it anew meanwhile: the same bytes.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}
