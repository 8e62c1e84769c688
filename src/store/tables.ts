/**
 * The tables as Kysely sees them. Times are epoch milliseconds, booleans are 0 or 1, lists are JSON: what both databases
 * keep alike. Every write that is acknowledged is one statement, so none of it needs a transaction.
 */

/** One finished turn. Key: conversation, timeline, turn. */
export interface TurnsTable {
  conversation_id: string;
  timeline_id: string;
  turn: number;
  /** Counts the appends of a conversation over all its timelines: which one was spoken on last. */
  sequence: number;
  player_text: string;
  npc_text: string;
  interrupted: number;
  game_time: string | null;
  at_ms: number;
}

/** A timeline that begins with another's turns 0..fork_turn-1. A timeline with no row here began with nothing. */
export interface TimelinesTable {
  conversation_id: string;
  timeline_id: string;
  parent_timeline_id: string;
  fork_turn: number;
  created_at_ms: number;
}

export interface SummariesTable {
  conversation_id: string;
  timeline_id: string;
  turns: number;
  text: string;
  at_ms: number;
}

export interface ApiKeysTable {
  id: string;
  /** SHA-256 of the secret, hexadecimal. */
  secret_hash: string;
  scopes_json: string;
  label: string;
  created_at_ms: number;
  last_used_at_ms: number | null;
  revoked_at_ms: number | null;
}

/** One answer that must be given once. Key: API key, client's key. */
export interface IdempotencyTable {
  api_key_id: string;
  client_key: string;
  body_digest: string;
  state: 'in_progress' | 'done';
  /** The process and claim that answers; another's claim after its lease ended is a takeover. */
  owner: string;
  lease_until_ms: number;
  reply_json: string | null;
  expires_at_ms: number;
}

/** What a day (UTC) cost: one row, so that a hold over all tiers and one tier is one statement. Micro-dollars. */
export interface SpendingDaysTable {
  day: string;
  spent_1: number;
  held_1: number;
  spent_2: number;
  held_2: number;
  spent_3: number;
  held_3: number;
  spent_4: number;
  held_4: number;
}

/** What operators switched, by name. */
export interface SwitchesTable {
  name: string;
  is_on: number;
  at_ms: number;
}

/** One job. A job whose `delivery_at_ms` is set is due to be told about from then on. */
export interface JobsTable {
  id: string;
  api_key_id: string;
  status: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  request_json: string;
  webhook_url: string | null;
  created_at_ms: number;
  /** Not taken before. */
  not_before_ms: number;
  owner: string | null;
  lease_until_ms: number | null;
  /** An engine was called, or is about to be. */
  is_sent: number;
  started_at_ms: number | null;
  ended_at_ms: number | null;
  expires_at_ms: number | null;
  result_json: string | null;
  failure_json: string | null;
  delivery_at_ms: number | null;
  delivery_attempts: number;
  delivered: number | null;
}

/** One registered adapter. Key: name, version. What is searched by has a column; the whole record is JSON and never changes. */
export interface AdaptersTable {
  name: string;
  version: string;
  digest: string;
  added_at_ms: number;
  record_json: string;
}

/** One row: what all gateways should serve, as one document, so that it changes as a whole. */
export interface DesiredAdaptersTable {
  id: string;
  revision: number;
  desired_json: string;
}

/** Key: digest, scope. The first one is kept. */
export interface AdapterFingerprintsTable {
  digest: string;
  scope: string;
  answers_json: string;
}

/** A line that engines made and players heard. Its evidence is JSON; what is searched by has a column. */
export interface LineEvidenceTable {
  id: string;
  /** Rises with every note: who merges compares it. */
  revision: number;
  heard: number;
  last_at_ms: number;
  evidence_json: string;
}

/** What a designer decided about a line, once. Never deleted: prefix and number make an id that stays taken. */
export interface LineDecisionsTable {
  evidence_id: string;
  revision: number;
  verdict: 'approved' | 'rejected';
  decided_by: string;
  at_ms: number;
  heard_json: string;
  line_prefix: string | null;
  line_number: number | null;
  wish_json: string | null;
  retired_by: string | null;
  retired_at_ms: number | null;
}

export interface MigrationsTable {
  name: string;
  applied_at_ms: number;
}

export interface Tables {
  turns: TurnsTable;
  timelines: TimelinesTable;
  summaries: SummariesTable;
  api_keys: ApiKeysTable;
  idempotency: IdempotencyTable;
  spending_days: SpendingDaysTable;
  switches: SwitchesTable;
  jobs: JobsTable;
  adapters: AdaptersTable;
  desired_adapters: DesiredAdaptersTable;
  adapter_fingerprints: AdapterFingerprintsTable;
  line_evidence: LineEvidenceTable;
  line_decisions: LineDecisionsTable;
  greenroom_migrations: MigrationsTable;
}
