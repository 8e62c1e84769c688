/**
 * The store as a PostgreSQL database, for more than one gateway: a bounded pool that replaces broken connections by
 * itself. Every wait has an end, so that a database that does not answer costs a dialogue its memory and not its line.
 */
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { ServiceError } from '../core/errors.ts';
import type { Logger } from '../core/runtime.ts';
import type { Backend, Failure } from './backend.ts';
import type { Tables } from './tables.ts';

/** Our statements take well under a millisecond, so few connections carry many gateways' worth of turns. */
const CONNECTIONS_MAX = 8;
/** For a new connection, and for a free one of the pool. */
const CONNECT_WAIT_MS = 2_000;
const STATEMENT_WAIT_MS = 3_000;
const IDLE_MS = 60_000;

const { builtins } = pg.types;

/** Throws `config_invalid` for an address that cannot be read. Connects at the first query, not here. */
export function openPostgres(url: string, log: Logger): Backend {
  const location = withoutPassword(url);
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'greenroom',
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_WAIT_MS,
    idleTimeoutMillis: IDLE_MS,
    statement_timeout: STATEMENT_WAIT_MS,
    // The server's own limit does not help when the server is gone.
    query_timeout: STATEMENT_WAIT_MS + 500,
    keepAlive: true,
    types: { getTypeParser: typeParser as typeof pg.types.getTypeParser },
  });
  // Without a listener a connection that breaks while idle would end the process.
  pool.on('error', (error) => log.warn('store.connection_lost', { location, reason: error.message }));
  return {
    kind: 'postgres',
    location,
    db: new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }),
    explain: (error) => explainPostgres(error, location),
  };
}

/** pg gives 64-bit integers as text; ours are times and counts, far under 2^53. */
function typeParser(type: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (type === builtins.INT8) return Number;
  return pg.types.getTypeParser(type, format ?? 'text') as (value: string) => unknown;
}

function withoutPassword(url: string): string {
  try {
    const parsed = new URL(url);
    if (parsed.password !== '') parsed.password = '***';
    // libpq takes a password among the parameters as well.
    if (parsed.searchParams.has('password')) parsed.searchParams.set('password', '***');
    return parsed.href;
  } catch (error) {
    throw new ServiceError(
      'config_invalid',
      'the address of the database cannot be read; expected postgresql://user:password@host:5432/database in DATABASE_URL or --database-url',
      { cause: error },
    );
  }
}

/** The codes are PostgreSQL's (https://www.postgresql.org/docs/current/errcodes-appendix.html) and Node's. */
function explainPostgres(error: unknown, location: string): Failure {
  const reason = reasonOf(error);
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'none';
  if (code.startsWith('28'))
    return {
      kind: 'unreachable',
      message: `PostgreSQL at ${location} refused the user (${code}: ${reason}); correct the user and password in DATABASE_URL`,
    };
  if (code === '3D000')
    return {
      kind: 'unreachable',
      message: `PostgreSQL at ${location} has no such database (${reason}); create it with createdb, or correct DATABASE_URL`,
    };
  if (code === '42501')
    return {
      kind: 'failed',
      message: `the database user may not do this at ${location} (${reason}); grant it create and usage on its schema`,
    };
  if (code === '53100')
    return { kind: 'failed', message: `the disk of PostgreSQL at ${location} is full (${reason})` };
  // 40xxx: a conflict or deadlock, rolled back whole. 55P03: a lock was not to be had.
  if (code.startsWith('40') || code === '55P03')
    return { kind: 'busy', message: `PostgreSQL at ${location} was busy (${code}: ${reason})` };
  const isServerReply = /^[0-9A-Z]{5}$/.test(code) && !/^(08|53|57|58)/.test(code) && !code.startsWith('E');
  return isServerReply
    ? { kind: 'failed', message: `PostgreSQL at ${location} failed: ${reason} (${code})` }
    : {
        kind: 'unreachable',
        message: `PostgreSQL at ${location} cannot be reached (${reason}); start it, or correct DATABASE_URL`,
      };
}

/** An attempt over several addresses fails with an AggregateError whose own message is empty. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
