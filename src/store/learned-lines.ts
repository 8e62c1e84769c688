/**
 * Evidence of lines and what was decided about them. A batch of evidence is one statement that compares revisions, so
 * gateways never lose one another's counts; a decision is one insert, so of two designers one is first; the number in an
 * id comes from the same insert, over rows that are never deleted, so no id is given twice.
 */
import { type Selectable, sql } from 'kysely';
import { ServiceError } from '../core/errors.ts';
import {
  type LearnedLine,
  type LearnedLineStore,
  type LineDecision,
  type LineEvidence,
  type LineVerdict,
  mergeEvidence,
} from '../core/learned-line.ts';
import type { Access } from './access.ts';
import { storable } from './storable.ts';
import type { LineDecisionsTable } from './tables.ts';

/** Rows of one statement: SQLite takes well under a millisecond for them. */
const BATCH_ROWS = 100;
/** Gateways that note the same lines at one instant; each round at least one of them gets through. */
const ROUNDS_MAX = 20;
const DECISIONS_MAX = 20_000;
const FORGET_ROWS = 500;

export class StoredLearnedLines implements LearnedLineStore {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async note(evidence: readonly LineEvidence[]): Promise<void> {
    const byId = new Map<string, LineEvidence>();
    for (const one of evidence) {
      const same = byId.get(one.id);
      byId.set(one.id, same === undefined ? one : mergeEvidence(same, one));
    }
    const all = [...byId.values()];
    for (let at = 0; at < all.length; at += BATCH_ROWS) await this.#noteBatch(all.slice(at, at + BATCH_ROWS));
  }

  async #noteBatch(batch: readonly LineEvidence[]): Promise<void> {
    let left = batch;
    for (let round = 0; left.length > 0; round += 1) {
      if (round === ROUNDS_MAX)
        throw new ServiceError('store_unavailable', 'other gateways keep changing the same lines; try again');
      const ids = left.map((one) => storable(one.id));
      const rows = await this.#access.run('read_lines', (db) =>
        db
          .selectFrom('line_evidence')
          .select(['id', 'revision', 'evidence_json'])
          .where('id', 'in', ids)
          .execute(),
      );
      const kept = new Map(rows.map((row) => [row.id, row]));
      const values = left.map((one) => {
        const row = kept.get(storable(one.id));
        const merged =
          row === undefined ? one : mergeEvidence(JSON.parse(row.evidence_json) as LineEvidence, one);
        return {
          id: storable(one.id),
          revision: Number(row?.revision ?? 0) + 1,
          heard: merged.heard,
          last_at_ms: merged.lastAtMs,
          evidence_json: JSON.stringify(merged),
        };
      });
      const written = await this.#access.run('note_lines', (db) =>
        db
          .insertInto('line_evidence')
          .values(values)
          .onConflict((conflict) =>
            conflict
              .column('id')
              .doUpdateSet((row) => ({
                revision: row.ref('excluded.revision'),
                heard: row.ref('excluded.heard'),
                last_at_ms: row.ref('excluded.last_at_ms'),
                evidence_json: row.ref('excluded.evidence_json'),
              }))
              // Another gateway was here between our look and now: its counts must not be lost.
              .where(sql<boolean>`line_evidence.revision = excluded.revision - 1`),
          )
          .returning('id')
          .execute(),
      );
      const done = new Set(written.map((row) => row.id));
      left = left.filter((one) => !done.has(storable(one.id)));
    }
  }

  async undecided(ask: {
    readonly heardMin: number;
    readonly limit: number;
  }): Promise<readonly LineEvidence[]> {
    const rows = await this.#access.run('list_lines', (db) =>
      db
        .selectFrom('line_evidence')
        .select('evidence_json')
        .where('heard', '>=', ask.heardMin)
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('line_decisions')
                .select('evidence_id')
                .whereRef('line_decisions.evidence_id', '=', 'line_evidence.id'),
            ),
          ),
        )
        .orderBy('heard', 'desc')
        .orderBy('id')
        .limit(ask.limit)
        .execute(),
    );
    return rows.map((row) => JSON.parse(row.evidence_json) as LineEvidence);
  }

  async evidence(id: string): Promise<LineEvidence | null> {
    const row = await this.#access.run('read_line', (db) =>
      db
        .selectFrom('line_evidence')
        .select('evidence_json')
        .where('id', '=', storable(id))
        .executeTakeFirst(),
    );
    return row === undefined ? null : (JSON.parse(row.evidence_json) as LineEvidence);
  }

  async count(): Promise<number> {
    const { count } = await this.#access.run('count_lines', (db) =>
      db
        .selectFrom('line_evidence')
        .select((row) => row.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow(),
    );
    return Number(count);
  }

  async decide(
    evidence: LineEvidence,
    verdict: LineVerdict,
    by: string,
    atMs: number,
  ): Promise<{ readonly isFirst: boolean; readonly decision: LineDecision }> {
    const id = storable(evidence.id);
    const { kind, occasion, text, heard } = evidence;
    const wish =
      verdict.verdict === 'rejected'
        ? null
        : { ...verdict.wish, original: text, heard, players: verdict.players };
    const prefix = verdict.verdict === 'rejected' ? null : storable(verdict.idPrefix);
    const taken = verdict.verdict === 'rejected' ? 0 : verdict.numbersTaken;
    const number =
      prefix === null
        ? sql`null`
        : sql`(select case when coalesce(max(line_number), 0) > ${taken} then max(line_number) else cast(${taken} as bigint) end + 1
            from line_decisions where line_prefix = ${prefix})`;
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const { numAffectedRows } = await this.#access.run('decide_line', (db) =>
        sql`insert into line_decisions
            (evidence_id, revision, verdict, decided_by, at_ms, heard_json, line_prefix, line_number, wish_json, retired_by, retired_at_ms)
          values (${id}, 1, ${verdict.verdict}, ${storable(by)}, ${atMs}, ${JSON.stringify({ kind, occasion, text })},
            ${prefix}, ${number}, ${wish === null ? null : JSON.stringify(wish)}, null, null)
          on conflict do nothing`.execute(db),
      );
      const decision = await this.decision(id);
      // Nothing was written and nothing is there: two approvals took one number, and the other one has it.
      if (decision !== null) return { isFirst: numAffectedRows === 1n, decision };
    }
    throw new ServiceError(
      'store_unavailable',
      `${ROUNDS_MAX} lines of ${prefix ?? 'this kind'} were approved at one instant; try again`,
    );
  }

  async decision(evidenceId: string): Promise<LineDecision | null> {
    const row = await this.#access.run('read_decision', (db) =>
      db
        .selectFrom('line_decisions')
        .selectAll()
        .where('evidence_id', '=', storable(evidenceId))
        .executeTakeFirst(),
    );
    return row === undefined ? null : decisionOf(row);
  }

  async decisions(): Promise<readonly LineDecision[]> {
    const rows = await this.#access.run('list_decisions', (db) =>
      db
        .selectFrom('line_decisions')
        .selectAll()
        .orderBy('at_ms', 'desc')
        .orderBy('evidence_id')
        .limit(DECISIONS_MAX)
        .execute(),
    );
    return rows.map(decisionOf);
  }

  async retire(lineId: string, by: string, atMs: number): Promise<LearnedLine | null> {
    const parts = /^(.+-)(\d{3,9})$/.exec(lineId);
    if (parts === null) return null;
    const [prefix, number] = [storable(parts[1] ?? ''), Number(parts[2])];
    await this.#access.run('retire_line', (db) =>
      db
        .updateTable('line_decisions')
        .set({ retired_by: storable(by), retired_at_ms: atMs, revision: 2 })
        .where('line_prefix', '=', prefix)
        .where('line_number', '=', number)
        .where('retired_at_ms', 'is', null)
        .execute(),
    );
    const row = await this.#access.run('read_decision', (db) =>
      db
        .selectFrom('line_decisions')
        .selectAll()
        .where('line_prefix', '=', prefix)
        .where('line_number', '=', number)
        .executeTakeFirst(),
    );
    return row === undefined ? null : decisionOf(row).line;
  }

  async stamp(): Promise<string> {
    const { rows, revisions } = await this.#access.run('stamp_decisions', (db) =>
      db
        .selectFrom('line_decisions')
        .select((row) => [
          row.fn.countAll<number>().as('rows'),
          row.fn.coalesce(row.fn.sum<number>('revision'), sql<number>`0`).as('revisions'),
        ])
        .executeTakeFirstOrThrow(),
    );
    return `${rows}/${revisions}`;
  }

  async forget(ask: { readonly lastBeforeMs: number; readonly countMax: number }): Promise<number> {
    const { numAffectedRows } = await this.#access.run('forget_lines', (db) =>
      // A part at a time, each short: whoever asks comes again.
      sql`delete from line_evidence where id in (
          select id from (select id from line_evidence where last_at_ms < ${ask.lastBeforeMs}
            order by last_at_ms limit ${FORGET_ROWS}) old
          union
          select id from (select id from line_evidence order by last_at_ms desc, id
            limit ${FORGET_ROWS} offset ${ask.countMax}) surplus
        )`.execute(db),
    );
    return Number(numAffectedRows ?? 0n);
  }
}

function decisionOf(row: Selectable<LineDecisionsTable>): LineDecision {
  const heard = JSON.parse(row.heard_json) as Pick<LineDecision, 'kind' | 'occasion' | 'text'>;
  const base = {
    evidenceId: row.evidence_id,
    verdict: row.verdict,
    by: row.decided_by,
    atMs: Number(row.at_ms),
    ...heard,
  };
  if (row.wish_json === null || row.line_prefix === null) return { ...base, line: null };
  const wish = JSON.parse(row.wish_json) as Omit<
    LearnedLine,
    'id' | 'evidenceId' | 'status' | 'approvedBy' | 'approvedAtMs' | 'retiredBy' | 'retiredAtMs'
  >;
  return {
    ...base,
    line: {
      ...wish,
      id: `${row.line_prefix}${String(row.line_number).padStart(3, '0')}`,
      evidenceId: row.evidence_id,
      status: row.retired_at_ms === null ? 'approved' : 'retired',
      approvedBy: row.decided_by,
      approvedAtMs: Number(row.at_ms),
      retiredBy: row.retired_by,
      retiredAtMs: row.retired_at_ms === null ? null : Number(row.retired_at_ms),
    },
  };
}
