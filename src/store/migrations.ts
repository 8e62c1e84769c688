/**
 * The history of the tables, oldest first, the same for SQLite and PostgreSQL. Forward only: a row that was released is
 * never edited, a change is a new row at the end. `bigint` is an integer of 64 bits in both.
 */
import { type Kysely, sql } from 'kysely';
import type { Tables } from './tables.ts';

export interface Migration {
  /** Sorts as it is applied; kept in the store. */
  readonly name: string;
  /** Runs inside one transaction with every other that is due. */
  apply(db: Kysely<Tables>, kind: 'sqlite' | 'postgres'): Promise<void>;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    name: '0001-conversations',
    async apply(db) {
      await db.schema
        .createTable('turns')
        .addColumn('conversation_id', 'text', (column) => column.notNull())
        .addColumn('timeline_id', 'text', (column) => column.notNull())
        .addColumn('turn', 'bigint', (column) => column.notNull())
        .addColumn('sequence', 'bigint', (column) => column.notNull())
        .addColumn('player_text', 'text', (column) => column.notNull())
        .addColumn('npc_text', 'text', (column) => column.notNull())
        .addColumn('interrupted', 'integer', (column) => column.notNull())
        .addColumn('game_time', 'text')
        .addColumn('at_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('turns_key', ['conversation_id', 'timeline_id', 'turn'])
        .execute();
      await db.schema
        .createIndex('turns_by_sequence')
        .on('turns')
        .columns(['conversation_id', 'sequence'])
        .execute();
      await db.schema.createIndex('turns_by_age').on('turns').column('at_ms').execute();
      await db.schema
        .createTable('timelines')
        .addColumn('conversation_id', 'text', (column) => column.notNull())
        .addColumn('timeline_id', 'text', (column) => column.notNull())
        .addColumn('parent_timeline_id', 'text', (column) => column.notNull())
        .addColumn('fork_turn', 'bigint', (column) => column.notNull())
        .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('timelines_key', ['conversation_id', 'timeline_id'])
        .execute();
      await db.schema.createIndex('timelines_by_age').on('timelines').column('created_at_ms').execute();
    },
  },
  {
    name: '0002-api-keys',
    async apply(db) {
      await db.schema
        .createTable('api_keys')
        .addColumn('id', 'text', (column) => column.primaryKey().notNull())
        .addColumn('secret_hash', 'text', (column) => column.notNull())
        .addColumn('scopes_json', 'text', (column) => column.notNull())
        .addColumn('label', 'text', (column) => column.notNull())
        .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
        .addColumn('last_used_at_ms', 'bigint')
        .addColumn('revoked_at_ms', 'bigint')
        .execute();
    },
  },
  {
    name: '0003-idempotency',
    async apply(db) {
      await db.schema
        .createTable('idempotency')
        .addColumn('api_key_id', 'text', (column) => column.notNull())
        .addColumn('client_key', 'text', (column) => column.notNull())
        .addColumn('body_digest', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('owner', 'text', (column) => column.notNull())
        .addColumn('lease_until_ms', 'bigint', (column) => column.notNull())
        .addColumn('reply_json', 'text')
        .addColumn('expires_at_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('idempotency_key', ['api_key_id', 'client_key'])
        .execute();
      await db.schema
        .createIndex('idempotency_by_expiry')
        .on('idempotency')
        .column('expires_at_ms')
        .execute();
    },
  },
  {
    name: '0004-summaries',
    async apply(db) {
      await db.schema
        .createTable('summaries')
        .addColumn('conversation_id', 'text', (column) => column.notNull())
        .addColumn('timeline_id', 'text', (column) => column.notNull())
        .addColumn('turns', 'bigint', (column) => column.notNull())
        .addColumn('text', 'text', (column) => column.notNull())
        .addColumn('at_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('summaries_key', ['conversation_id', 'timeline_id'])
        .execute();
      await db.schema.createIndex('summaries_by_age').on('summaries').column('at_ms').execute();
    },
  },
  {
    name: '0005-spending',
    async apply(db) {
      let days = db.schema
        .createTable('spending_days')
        .addColumn('day', 'text', (column) => column.primaryKey().notNull());
      for (const tier of [1, 2, 3, 4])
        for (const kind of ['spent', 'held'])
          days = days.addColumn(`${kind}_${tier}`, 'bigint', (column) => column.notNull().defaultTo(0));
      await days.execute();
      await db.schema
        .createTable('switches')
        .addColumn('name', 'text', (column) => column.primaryKey().notNull())
        .addColumn('is_on', 'integer', (column) => column.notNull())
        .addColumn('at_ms', 'bigint', (column) => column.notNull())
        .execute();
    },
  },
  {
    name: '0006-jobs',
    async apply(db) {
      await db.schema
        .createTable('jobs')
        .addColumn('id', 'text', (column) => column.primaryKey().notNull())
        .addColumn('api_key_id', 'text', (column) => column.notNull())
        .addColumn('status', 'text', (column) => column.notNull())
        .addColumn('request_json', 'text', (column) => column.notNull())
        .addColumn('webhook_url', 'text')
        .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
        .addColumn('not_before_ms', 'bigint', (column) => column.notNull())
        .addColumn('owner', 'text')
        .addColumn('lease_until_ms', 'bigint')
        .addColumn('is_sent', 'integer', (column) => column.notNull())
        .addColumn('started_at_ms', 'bigint')
        .addColumn('ended_at_ms', 'bigint')
        .addColumn('expires_at_ms', 'bigint')
        .addColumn('result_json', 'text')
        .addColumn('failure_json', 'text')
        .addColumn('delivery_at_ms', 'bigint')
        .addColumn('delivery_attempts', 'integer', (column) => column.notNull())
        .addColumn('delivered', 'integer')
        .execute();
      await db.schema.createIndex('jobs_by_status').on('jobs').columns(['status', 'not_before_ms']).execute();
      await db.schema.createIndex('jobs_by_delivery').on('jobs').column('delivery_at_ms').execute();
      await db.schema.createIndex('jobs_by_expiry').on('jobs').column('expires_at_ms').execute();
    },
  },
  {
    name: '0007-adapters',
    async apply(db, kind) {
      // Pages go by name: the same order in both databases, whatever the locale of the server.
      const text = kind === 'postgres' ? sql`text collate "C"` : 'text';
      await db.schema
        .createTable('adapters')
        .addColumn('name', text, (column) => column.notNull())
        .addColumn('version', text, (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('added_at_ms', 'bigint', (column) => column.notNull())
        .addColumn('record_json', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('adapters_key', ['name', 'version'])
        .execute();
      await db.schema
        .createIndex('adapters_by_age')
        .on('adapters')
        .columns(['name', 'added_at_ms', 'version'])
        .execute();
      await db.schema.createIndex('adapters_by_digest').on('adapters').column('digest').execute();
      await db.schema
        .createTable('desired_adapters')
        .addColumn('id', 'text', (column) => column.primaryKey().notNull())
        .addColumn('revision', 'bigint', (column) => column.notNull())
        .addColumn('desired_json', 'text', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('adapter_fingerprints')
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('scope', 'text', (column) => column.notNull())
        .addColumn('answers_json', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('adapter_fingerprints_key', ['digest', 'scope'])
        .execute();
    },
  },
  {
    name: '0008-learned-lines',
    async apply(db) {
      await db.schema
        .createTable('line_evidence')
        .addColumn('id', 'text', (column) => column.primaryKey().notNull())
        .addColumn('revision', 'bigint', (column) => column.notNull())
        .addColumn('heard', 'bigint', (column) => column.notNull())
        .addColumn('last_at_ms', 'bigint', (column) => column.notNull())
        .addColumn('evidence_json', 'text', (column) => column.notNull())
        .execute();
      await db.schema.createIndex('line_evidence_by_heard').on('line_evidence').column('heard').execute();
      await db.schema.createIndex('line_evidence_by_age').on('line_evidence').column('last_at_ms').execute();
      await db.schema
        .createTable('line_decisions')
        .addColumn('evidence_id', 'text', (column) => column.primaryKey().notNull())
        .addColumn('revision', 'bigint', (column) => column.notNull())
        .addColumn('verdict', 'text', (column) => column.notNull())
        .addColumn('decided_by', 'text', (column) => column.notNull())
        .addColumn('at_ms', 'bigint', (column) => column.notNull())
        .addColumn('heard_json', 'text', (column) => column.notNull())
        .addColumn('line_prefix', 'text')
        .addColumn('line_number', 'bigint')
        .addColumn('wish_json', 'text')
        .addColumn('retired_by', 'text')
        .addColumn('retired_at_ms', 'bigint')
        .execute();
      await db.schema
        .createIndex('line_decisions_by_id')
        .on('line_decisions')
        .columns(['line_prefix', 'line_number'])
        .unique()
        .execute();
    },
  },
];
