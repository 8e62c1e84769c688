/**
 * Keeps the store from growing without end: expired answers go after 10 minutes, what was said after the retention
 * time. Rows go in small batches with a pause between, so that no dialogue waits behind a long delete.
 */
import { type Kysely, sql } from 'kysely';
import type { Access } from './access.ts';
import type { Tables } from './tables.ts';

/** 200 rows take SQLite about a millisecond. */
const BATCH_ROWS = 200;
const PAUSE_MS = 20;
const EVERY_MS = 60_000;
/** One round removes at most this of each table; the rest waits for the next round. */
const BATCHES_MAX = 250;
const DAY_MS = 24 * 60 * 60_000;
/** A larger step of the date in a minute is no correction. */
const JUMP_MIN_MS = 60 * 60_000;

export interface Pruned {
  readonly idempotency: number;
  readonly turns: number;
}

type DeleteBatch = (db: Kysely<Tables>) => Promise<{ readonly numAffectedRows?: bigint | undefined }>;

/**
 * One round. `retentionDays` 0 keeps turns for ever. A timeline that lost its oldest turns goes on with those it has;
 * one that lost all begins anew. Throws `store_unavailable`; aborting rejects with the signal's reason between batches.
 */
export async function prune(access: Access, retentionDays: number, signal: AbortSignal): Promise<Pruned> {
  const nowMs = access.clock.nowMs();
  const oldestMs = nowMs - retentionDays * DAY_MS;
  const idempotency = await inBatches(access, signal, (db) =>
    sql`delete from idempotency where (api_key_id, client_key) in
      (select api_key_id, client_key from idempotency where expires_at_ms <= ${nowMs} order by expires_at_ms limit ${BATCH_ROWS})`.execute(
      db,
    ),
  );
  if (retentionDays === 0) return { idempotency, turns: 0 };
  const turns = await inBatches(access, signal, (db) =>
    sql`delete from turns where (conversation_id, timeline_id, turn) in
      (select conversation_id, timeline_id, turn from turns where at_ms < ${oldestMs} order by at_ms limit ${BATCH_ROWS})`.execute(
      db,
    ),
  );
  await inBatches(access, signal, (db) =>
    sql`delete from summaries where (conversation_id, timeline_id) in
      (select conversation_id, timeline_id from summaries where at_ms < ${oldestMs} order by at_ms limit ${BATCH_ROWS})`.execute(
      db,
    ),
  );
  // A fork that old with no turn of its own left leads only to turns that are older still, and those are gone.
  await inBatches(access, signal, (db) =>
    sql`delete from timelines where (conversation_id, timeline_id) in
      (select conversation_id, timeline_id from timelines where created_at_ms < ${oldestMs}
        and not exists (select 1 from turns where turns.conversation_id = timelines.conversation_id
          and turns.timeline_id = timelines.timeline_id)
        order by created_at_ms limit ${BATCH_ROWS})`.execute(db),
  );
  return { idempotency, turns };
}

/**
 * Prunes every minute until the store closes. Never rejects. A date that was set forward makes everything old at once, so
 * after a jump against the steady clock nothing that was said is removed for a day, by when somebody has noticed.
 */
export async function pruneForever(access: Access, retentionDays: number): Promise<void> {
  const { clock, log } = access;
  const offsetMs = () => clock.nowMs() - clock.monotonicMs();
  let trustedOffsetMs = offsetMs();
  let jumpedMonoMs: number | null = null;
  const mayTrust = () => {
    const byMs = offsetMs() - trustedOffsetMs;
    const isJump = Math.abs(byMs) > JUMP_MIN_MS;
    if (isJump && jumpedMonoMs === null) {
      jumpedMonoMs = clock.monotonicMs();
      log.warn('store.date_jumped', { byMs, keptForMs: DAY_MS });
    }
    if (isJump && jumpedMonoMs !== null && clock.monotonicMs() - jumpedMonoMs < DAY_MS) return false;
    jumpedMonoMs = null;
    // Follows the small corrections of a time server.
    trustedOffsetMs = offsetMs();
    return true;
  };
  try {
    for (;;) {
      await clock.sleep(EVERY_MS, access.closing);
      await prune(access, mayTrust() ? retentionDays : 0, access.closing).then(
        (pruned) => {
          if (pruned.turns + pruned.idempotency > 0) log.debug('store.pruned', { ...pruned });
        },
        (error: unknown) => log.warn('store.prune_failed', { reason: String(error) }),
      );
    }
  } catch {
    // Closing: the only way out of the loop.
  }
}

async function inBatches(access: Access, signal: AbortSignal, remove: DeleteBatch): Promise<number> {
  let total = 0;
  for (let batch = 0; batch < BATCHES_MAX; batch += 1) {
    signal.throwIfAborted();
    const result = await access.run('prune', remove);
    const removed = Number(result.numAffectedRows ?? 0n);
    total += removed;
    if (removed < BATCH_ROWS) break;
    await access.clock.sleep(PAUSE_MS, signal);
  }
  return total;
}
