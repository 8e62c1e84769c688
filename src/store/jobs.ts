/**
 * Jobs, one row each. Every step is one conditional statement on status and owner, so of many runners in many processes
 * one gets a job, and a runner that was thought dead finds its job gone instead of calling an engine a second time.
 *
 * Leases are compared by each process's own clock: processes that share a PostgreSQL must agree within a few seconds, or
 * a live runner's job is reaped; it is then not called again either.
 */
import { type Selectable, sql, type UpdateObject } from 'kysely';
import type {
  Delivery,
  Job,
  JobEnd,
  JobFailure,
  JobRequest,
  JobResult,
  JobStore,
  NewJob,
} from '../core/job.ts';
import type { Access } from './access.ts';
import { storable } from './storable.ts';
import type { JobsTable, Tables } from './tables.ts';

const PRUNE_ROWS = 200;
const INTERRUPTED: JobFailure = {
  code: 'interrupted',
  reason: 'interrupted',
  message:
    'the process that worked on it ended before the answer was whole; an engine had been called, so it is not asked again by itself',
};

type JobRow = Selectable<JobsTable>;

export class StoredJobs implements JobStore {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async create(job: NewJob, queuedMax: number): Promise<boolean> {
    const nowMs = this.#access.clock.nowMs();
    const { numAffectedRows } = await this.#access.run('create_job', (db) =>
      sql`insert into jobs (id, api_key_id, status, request_json, webhook_url, created_at_ms, not_before_ms, is_sent, delivery_attempts)
        select ${job.id}, ${job.apiKeyId}, 'queued', ${storable(JSON.stringify(job.request))}, ${job.webhookUrl},
          cast(${nowMs} as bigint), cast(${nowMs} as bigint), 0, 0
        where (select count(*) from jobs where status = 'queued') < ${queuedMax}
        on conflict (id) do nothing`.execute(db),
    );
    return numAffectedRows === 1n;
  }

  async get(id: string): Promise<Job | null> {
    const row = await this.#access.run('read_job', (db) =>
      db.selectFrom('jobs').selectAll().where('id', '=', storable(id)).executeTakeFirst(),
    );
    return row === undefined ? null : jobOf(row);
  }

  async claim(owner: string, leaseMs: number): Promise<Job | null> {
    const nowMs = this.#access.clock.nowMs();
    const { rows } = await this.#access.run('claim_job', (db) =>
      sql<JobRow>`update jobs set status = 'running', owner = ${owner}, lease_until_ms = ${nowMs + leaseMs}, started_at_ms = ${nowMs}
        where status = 'queued' and id = (select id from jobs where status = 'queued' and not_before_ms <= ${nowMs}
          order by not_before_ms, id limit 1 ${this.#skipLocked})
        returning *`.execute(db),
    );
    return rows[0] === undefined ? null : jobOf(rows[0]);
  }

  async begin(id: string, owner: string): Promise<boolean> {
    return await this.#mine('begin_job', id, owner, { is_sent: 1 }, true);
  }

  async renew(owner: string, ids: readonly string[], leaseMs: number): Promise<ReadonlySet<string>> {
    if (ids.length === 0) return new Set();
    const rows = await this.#access.run('renew_jobs', (db) =>
      db
        .updateTable('jobs')
        .set({ lease_until_ms: this.#access.clock.nowMs() + leaseMs })
        .where('status', '=', 'running')
        .where('owner', '=', owner)
        .where('id', 'in', ids)
        .returning('id')
        .execute(),
    );
    return new Set(rows.map(({ id }) => id));
  }

  async release(id: string, owner: string, notBeforeMs: number): Promise<boolean> {
    return await this.#mine(
      'release_job',
      id,
      owner,
      {
        status: 'queued',
        owner: null,
        lease_until_ms: null,
        started_at_ms: null,
        not_before_ms: notBeforeMs,
      },
      true,
    );
  }

  async settle(id: string, owner: string, end: JobEnd, keepMs: number): Promise<boolean> {
    return await this.#mine('settle_job', id, owner, {
      ...this.#ended(end.status, keepMs),
      result_json: end.status === 'succeeded' ? storable(JSON.stringify(end.result)) : null,
      failure_json: end.status === 'failed' ? storable(JSON.stringify(end.failure)) : null,
    });
  }

  async cancel(id: string, keepMs: number): Promise<Job | null> {
    await this.#access.run('cancel_job', (db) =>
      db
        .updateTable('jobs')
        .set(this.#ended('cancelled', keepMs))
        .where('id', '=', storable(id))
        .where('status', 'in', ['queued', 'running'])
        .execute(),
    );
    return await this.get(id);
  }

  async reap(keepMs: number): Promise<{ readonly requeued: number; readonly interrupted: number }> {
    const nowMs = this.#access.clock.nowMs();
    const requeued = await this.#access.run('reap_jobs', (db) =>
      db
        .updateTable('jobs')
        .set({ status: 'queued', owner: null, lease_until_ms: null, started_at_ms: null })
        .where('status', '=', 'running')
        .where('lease_until_ms', '<=', nowMs)
        .where('is_sent', '=', 0)
        .executeTakeFirstOrThrow(),
    );
    const interrupted = await this.#access.run('reap_jobs', (db) =>
      db
        .updateTable('jobs')
        .set({ ...this.#ended('failed', keepMs), failure_json: JSON.stringify(INTERRUPTED) })
        .where('status', '=', 'running')
        .where('lease_until_ms', '<=', nowMs)
        .where('is_sent', '=', 1)
        .executeTakeFirstOrThrow(),
    );
    return { requeued: Number(requeued.numUpdatedRows), interrupted: Number(interrupted.numUpdatedRows) };
  }

  async claimDelivery(retryMs: number): Promise<Delivery | null> {
    const nowMs = this.#access.clock.nowMs();
    const { rows } = await this.#access.run('claim_delivery', (db) =>
      sql<JobRow>`update jobs set delivery_attempts = delivery_attempts + 1, delivery_at_ms = ${nowMs + retryMs}
        where delivery_at_ms <= ${nowMs} and id = (select id from jobs where delivery_at_ms <= ${nowMs}
          order by delivery_at_ms, id limit 1 ${this.#skipLocked})
        returning *`.execute(db),
    );
    const row = rows[0];
    return row === undefined ? null : { job: jobOf(row), attempt: Number(row.delivery_attempts) };
  }

  async settleDelivery(id: string, isDelivered: boolean, againAtMs: number | null): Promise<void> {
    await this.#access.run('settle_delivery', (db) =>
      db
        .updateTable('jobs')
        .set({ delivery_at_ms: againAtMs, delivered: isDelivered ? 1 : 0 })
        .where('id', '=', id)
        .execute(),
    );
  }

  async prune(): Promise<number> {
    const nowMs = this.#access.clock.nowMs();
    const { numAffectedRows } = await this.#access.run('prune_jobs', (db) =>
      sql`delete from jobs where id in
        (select id from jobs where expires_at_ms <= ${nowMs} order by expires_at_ms limit ${PRUNE_ROWS})`.execute(
        db,
      ),
    );
    return Number(numAffectedRows ?? 0n);
  }

  /** PostgreSQL's runners would wait for one another at the same row; SQLite has one writer. */
  get #skipLocked() {
    return this.#access.backend.kind === 'postgres' ? sql`for update skip locked` : sql``;
  }

  #ended(status: 'succeeded' | 'failed' | 'cancelled', keepMs: number) {
    const nowMs = this.#access.clock.nowMs();
    return {
      status,
      owner: null,
      lease_until_ms: null,
      ended_at_ms: nowMs,
      expires_at_ms: nowMs + keepMs,
      // Due at once where somebody is to be told.
      delivery_at_ms: sql<
        number | null
      >`case when webhook_url is null then null else cast(${nowMs} as bigint) end`,
    } as const;
  }

  /** Changes a running job of this owner; false when there is none. */
  async #mine(
    operation: string,
    id: string,
    owner: string,
    change: UpdateObject<Tables, 'jobs'>,
    onlyUnsent = false,
  ): Promise<boolean> {
    const { numUpdatedRows } = await this.#access.run(operation, (db) => {
      const mine = db
        .updateTable('jobs')
        .set(change)
        .where('id', '=', id)
        .where('owner', '=', owner)
        .where('status', '=', 'running');
      return (onlyUnsent ? mine.where('is_sent', '=', 0) : mine).executeTakeFirstOrThrow();
    });
    return numUpdatedRows === 1n;
  }
}

function jobOf(row: JobRow): Job {
  return {
    id: row.id,
    apiKeyId: row.api_key_id,
    request: JSON.parse(row.request_json) as JobRequest,
    webhookUrl: row.webhook_url,
    status: row.status,
    createdAtMs: Number(row.created_at_ms),
    startedAtMs: numberOrNull(row.started_at_ms),
    endedAtMs: numberOrNull(row.ended_at_ms),
    result: row.result_json === null ? null : (JSON.parse(row.result_json) as JobResult),
    failure: row.failure_json === null ? null : (JSON.parse(row.failure_json) as JobFailure),
    delivery: deliveryOf(row),
  };
}

function deliveryOf(row: JobRow): Job['delivery'] {
  if (row.webhook_url === null) return null;
  if (row.delivered === 1) return 'delivered';
  return row.ended_at_ms !== null && row.delivery_at_ms === null ? 'gave_up' : 'waiting';
}

function numberOrNull(value: number | null): number | null {
  return value === null ? null : Number(value);
}
