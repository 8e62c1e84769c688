/**
 * Opens the store: one SQLite file in the data folder, or PostgreSQL by address; the same queries and tables on both
 * (`testing/store-conformance.ts` is run on each). Closing it ends all that runs in the background.
 */
import path from 'node:path';
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import type { Store, StoreHealth } from '../core/store.ts';
import { Access } from './access.ts';
import { StoredAdapters } from './adapters.ts';
import type { Backend } from './backend.ts';
import { StoredConversations } from './conversations.ts';
import { StoredIdempotency } from './idempotency.ts';
import { StoredJobs } from './jobs.ts';
import { StoredKeys } from './keys.ts';
import { StoredLearnedLines } from './learned-lines.ts';
import { migrate } from './migrate.ts';
import { openPostgres } from './postgres.ts';
import { type Pruned, prune, pruneForever } from './prune.ts';
import { StoredSpending } from './spending.ts';
import { openSqlite } from './sqlite.ts';

export const storeOptionsSchema = z.strictObject({
  url: z
    .string()
    .optional()
    .describe(
      'PostgreSQL address, postgresql://user:password@host:5432/database. Set it (or DATABASE_URL) when more than one gateway shares conversations; without it a file in the data folder is used.',
    ),
  turnRetentionDays: z
    .int()
    .min(0)
    .max(36_500)
    .default(365)
    .describe(
      'Days that what was said is kept; 0 keeps it for ever. Lower it where a privacy rule asks; a turn takes about 0.5 KB.',
    ),
});

export type StoreOptions = z.infer<typeof storeOptionsSchema>;

export interface OpenStoreOptions {
  /** PostgreSQL address; undefined or empty: the file `greenroom.db` in `directory`. */
  readonly url: string | undefined;
  /** The data folder, made when absent. */
  readonly directory: string;
  readonly turnRetentionDays?: number;
  /** A database that is open already, in place of `url` and `directory`: the simulator's, in memory and with faults. */
  readonly backend?: Backend;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called with the name of each operation that failed, for `greenroom_store_failures_total`. */
  readonly onFailure?: (operation: string) => void;
}

export interface OpenedStore extends Store {
  /** Removes what is due now, as the store does every minute by itself. */
  prune(signal: AbortSignal): Promise<Pruned>;
}

/** The name of the file in the data folder. */
export const STORE_FILE = 'greenroom.db';

/**
 * Opens the store and brings its tables up to date. Throws `store_unavailable` with what to do (folder not writable,
 * file damaged, database away, tables of a newer version) and `config_invalid` for an address of another kind.
 * Aborting while it opens rejects with the signal's reason and leaves nothing open; later the signal has no effect.
 */
export async function openStore(options: OpenStoreOptions, signal: AbortSignal): Promise<OpenedStore> {
  signal.throwIfAborted();
  const access = new Access({ ...options, backend: options.backend ?? (await openBackend(options, signal)) });
  try {
    const applied = await access.run('migrate', (db) =>
      migrate(db, access.backend.kind, options.clock.nowMs()),
    );
    signal.throwIfAborted();
    if (applied.length > 0)
      options.log.info('store.migrated', { location: access.backend.location, applied });
  } catch (error) {
    await access.close();
    throw error;
  }
  const keys = new StoredKeys(access, options.random);
  const retentionDays = options.turnRetentionDays ?? storeOptionsSchema.parse({}).turnRetentionDays;
  const pruning = pruneForever(access, retentionDays);
  return {
    conversations: new StoredConversations(access),
    keys,
    idempotency: new StoredIdempotency(access, options.random),
    spending: new StoredSpending(access),
    jobs: new StoredJobs(access),
    adapters: new StoredAdapters(access),
    learnedLines: new StoredLearnedLines(access),
    health: () => probe(access),
    prune: (pruneSignal) => prune(access, retentionDays, pruneSignal),
    [Symbol.asyncDispose]: async () => {
      if (access.closing.aborted) return;
      await keys.flush();
      await access.close();
      await keys.ended();
      await pruning;
    },
  };
}

async function openBackend(options: OpenStoreOptions, signal: AbortSignal): Promise<Backend> {
  const { url } = options;
  if (url === undefined || url === '')
    return await openSqlite(path.join(options.directory, STORE_FILE), options.clock, signal);
  if (/^postgres(ql)?:/.test(url)) return openPostgres(url, options.log);
  throw new ServiceError(
    'config_invalid',
    `the store's address begins with "${url.split(':', 1)[0]?.slice(0, 20) ?? ''}"; expected postgresql://…, or none for a file in the data folder (DATABASE_URL, --database-url)`,
  );
}

async function probe(access: Access): Promise<StoreHealth> {
  const { kind, location } = access.backend;
  const startedMonoMs = access.clock.monotonicMs();
  let isReachable = true;
  let failure: string | null = null;
  try {
    await access.run('probe', (db) =>
      db.selectFrom('greenroom_migrations').select('name').limit(1).execute(),
    );
    failure = access.failure;
  } catch (error) {
    isReachable = false;
    failure = error instanceof Error ? error.message : String(error);
  }
  return { kind, location, isReachable, probeMs: access.clock.monotonicMs() - startedMonoMs, failure };
}
