/**
 * Brings a store to the newest tables at open. One transaction under one lock: two processes that start at once apply
 * each migration once, and a kill half-way leaves the store as it was. A store from a newer Greenroom is refused.
 */
import { type Kysely, sql } from 'kysely';
import { ServiceError } from '../core/errors.ts';
import { MIGRATIONS, type Migration } from './migrations.ts';
import type { Tables } from './tables.ts';

/** Any number that no other program is likely to use: "grnroom" read as digits of a telephone. */
const POSTGRES_LOCK = 4_767_666;

/** Applies what is missing and resolves to its names. Throws `store_unavailable` for tables newer than this code. */
export async function migrate(
  db: Kysely<Tables>,
  kind: 'sqlite' | 'postgres',
  nowMs: number,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<readonly string[]> {
  return await db.connection().execute(async (connection) => {
    // Kysely's own migrator takes no lock on SQLite, and its transaction begins without the write lock.
    await sql.raw(kind === 'sqlite' ? 'begin immediate' : 'begin').execute(connection);
    try {
      if (kind === 'postgres') await sql`select pg_advisory_xact_lock(${POSTGRES_LOCK})`.execute(connection);
      const applied = await applyMissing(connection, kind, nowMs, migrations);
      await sql`commit`.execute(connection);
      return applied;
    } catch (error) {
      // A connection that broke has rolled back by itself; the first error is the one to report.
      await sql`rollback`.execute(connection).catch(() => {});
      throw error;
    }
  });
}

async function applyMissing(
  db: Kysely<Tables>,
  kind: 'sqlite' | 'postgres',
  nowMs: number,
  migrations: readonly Migration[],
): Promise<readonly string[]> {
  await db.schema
    .createTable('greenroom_migrations')
    .ifNotExists()
    .addColumn('name', 'text', (column) => column.primaryKey().notNull())
    .addColumn('applied_at_ms', 'bigint', (column) => column.notNull())
    .execute();
  const rows = await db.selectFrom('greenroom_migrations').select('name').execute();
  const present = new Set(rows.map((row) => row.name));
  const unknown = [...present].filter((name) => !migrations.some((migration) => migration.name === name));
  if (unknown.length > 0)
    throw new ServiceError(
      'store_unavailable',
      `the store was written by a newer Greenroom: it has ${unknown.join(', ')}, this version knows up to ${migrations.at(-1)?.name ?? 'nothing'}; start the newer version, or give this one another data folder or database`,
    );
  const missing = migrations.filter((migration) => !present.has(migration.name));
  for (const migration of missing) {
    await migration.apply(db, kind);
    await db
      .insertInto('greenroom_migrations')
      .values({ name: migration.name, applied_at_ms: nowMs })
      .execute();
  }
  return missing.map((migration) => migration.name);
}
