/**
 * The store as one SQLite file, the default: WAL, one connection, on the main thread. better-sqlite3 is synchronous, so
 * every call holds the event loop; all queries are therefore tiny, indexed and prepared once. Measured on 2026-11-21
 * (two shared virtual cores): an append takes 0.09 ms at the median, 0.44 ms at p99 (SQLite's own share is
 * 0.02 ms), a window of 12 turns 0.07 ms, a claim with its reply 0.14 ms. At 100 turns a second that is 2 % of the loop,
 * less than messages to a worker would cost, so there is none. What would change this: the checkpoint after each 1,000
 * pages, some 250 turns, flushes the disk and held the loop for 5 to 8 ms here; on a slow disk give it a worker.
 *
 * WAL with synchronous=NORMAL keeps every acknowledged write over `kill -9`, because a finished write is in the
 * operating system's cache. It does not cover a power cut or a kernel crash: those may lose the last writes since the
 * last checkpoint, never the file's integrity (https://sqlite.org/pragma.html#pragma_synchronous).
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { Backend, Failure } from './backend.ts';
import type { Tables } from './tables.ts';

/** SQLite waits this long for another process's write lock, holding the event loop; `access.ts` then asks again. */
const BUSY_WAIT_MS = 20;
/** Our distinct statements are about thirty; the bound is for one that would be built anew each time. */
const STATEMENTS_MAX = 100;
/** The write-ahead file is cut back to this after a checkpoint. */
const JOURNAL_BYTES_MAX = 16 * 1024 * 1024;

const OPEN_WAIT_MS = 5_000;

export const MEMORY_FILE = ':memory:';

/**
 * Opens or makes the file and its folder, readable by this user only. Waits up to 5 seconds for another process that
 * is opening it. Throws `store_unavailable` that names the path, what is wrong with it and what to do. `:memory:` keeps
 * nothing after the process. Aborting the wait rejects with the signal's reason.
 */
export async function openSqlite(file: string, clock: Clock, signal: AbortSignal): Promise<Backend> {
  const startedMonoMs = clock.monotonicMs();
  for (;;) {
    try {
      return backendOf(openDatabase(file), file);
    } catch (error) {
      const { kind, message } = explainSqlite(error, file);
      // Only the first who opens a file can switch it to WAL, and SQLite does not let the others wait for that.
      if (kind !== 'busy' || clock.monotonicMs() - startedMonoMs > OPEN_WAIT_MS)
        throw new ServiceError('store_unavailable', message, { cause: error });
    }
    await clock.sleep(10, signal);
  }
}

function openDatabase(file: string): Database.Database {
  if (file !== MEMORY_FILE) {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    createPrivately(file);
  }
  const database = new Database(file, { timeout: BUSY_WAIT_MS });
  try {
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = NORMAL');
    database.pragma(`journal_size_limit = ${JOURNAL_BYTES_MAX}`);
    // Says at open, not at the first turn, that the file can be read but not written.
    database.exec('begin immediate; rollback');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * The file holds what players said; SQLite gives its companions the mode of the file. An existing one is not opened:
 * closing it would drop the locks that another store of this process holds on it (https://sqlite.org/howtocorrupt.html).
 */
function createPrivately(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

function backendOf(database: Database.Database, file: string): Backend {
  return {
    kind: 'sqlite',
    location: file,
    db: new Kysely<Tables>({ dialect: new SqliteDialect({ database: preparedOnce(database) }) }),
    explain: (error) => explainSqlite(error, file),
  };
}

/** Kysely prepares each statement anew; ours are few and the same, so each is prepared once. */
function preparedOnce(database: Database.Database) {
  const statements = new Map<string, Database.Statement>();
  return {
    close: () => {
      statements.clear();
      database.close();
    },
    prepare: (text: string) => {
      const known = statements.get(text);
      if (known !== undefined) return known;
      const statement = database.prepare(text);
      if (statements.size >= STATEMENTS_MAX) statements.clear();
      statements.set(text, statement);
      return statement;
    },
  };
}

/** SQLite's result codes are listed at https://sqlite.org/rescode.html; mkdir's are Node's. */
function explainSqlite(error: unknown, file: string): Failure {
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
  const folder = path.dirname(file);
  const is = (...names: readonly string[]) =>
    names.some((name) => code === name || code.startsWith(`${name}_`));
  if (is('SQLITE_BUSY', 'SQLITE_LOCKED'))
    return {
      kind: 'busy',
      message: `${file} is held by another process (${code}); stop the other one, or give this one its own data folder (GREENROOM_DATA)`,
    };
  if (is('SQLITE_CORRUPT', 'SQLITE_NOTADB'))
    return {
      kind: 'failed',
      message: `${file} is damaged or is not a Greenroom store (${code}); move it and its -wal and -shm files away and restore a copy, or start without one: a new file is made`,
    };
  if (is('SQLITE_FULL', 'ENOSPC', 'EDQUOT'))
    return { kind: 'failed', message: `the disk of ${file} is full (${code}); free some space` };
  if (
    is(
      'SQLITE_READONLY',
      'SQLITE_CANTOPEN',
      'SQLITE_PERM',
      'EACCES',
      'EPERM',
      'EROFS',
      'ENOTDIR',
      'EEXIST',
      'EISDIR',
    )
  )
    return {
      kind: 'failed',
      message: `${file} cannot be opened for writing (${code}); let this user write to ${folder}, or choose another data folder (GREENROOM_DATA)`,
    };
  if (is('SQLITE_IOERR'))
    return {
      kind: 'failed',
      message: `reading or writing ${file} failed (${code}); see to the disk, then restart`,
    };
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'failed', message: `the store ${file} failed: ${message} (${code})` };
}
