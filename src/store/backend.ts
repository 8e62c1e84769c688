/** What a database must bring to be the store: Kysely over it, and a reading of its errors. */
import type { Kysely } from 'kysely';
import type { Tables } from './tables.ts';

/**
 * `busy`: another process holds the write lock, nothing was done, asking again soon helps. `unreachable`: nothing gets
 * through, asking again at once would only wait. `failed`: this operation failed, others may not.
 */
export type FailureKind = 'busy' | 'unreachable' | 'failed';

export interface Failure {
  readonly kind: FailureKind;
  /** What was wrong and what to do, for an operator. */
  readonly message: string;
}

export interface Backend {
  readonly kind: 'sqlite' | 'postgres';
  /** The file, or the address without its password. */
  readonly location: string;
  readonly db: Kysely<Tables>;
  /** Reads an error that a query threw. */
  explain(error: unknown): Failure;
}
