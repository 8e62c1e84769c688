/**
 * The registry of adapters, what should be served of it, and the fingerprints. A record is written once and never changed,
 * so whoever adds a name and version first has it; the desired state is one row whose revision is compared as it is set.
 */
import { type Selectable, sql } from 'kysely';
import {
  type AdapterFingerprint,
  type AdapterPage,
  type AdapterRecord,
  type AdapterStore,
  adapterId,
  type DesiredAdapters,
} from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Access } from './access.ts';
import { storable } from './storable.ts';
import type { AdaptersTable } from './tables.ts';

const PAGE_MAX = 1_000;
const DESIRED = 'desired';
/** Somebody may remove a name between our insert, which found it, and our look at it. Three times is no coincidence. */
const ADD_ATTEMPTS = 3;

const NOTHING_DESIRED: DesiredAdapters = {
  revision: 0,
  published: [],
  tags: {},
  failures: [],
  removing: [],
};

export class StoredAdapters implements AdapterStore {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async add(record: AdapterRecord): Promise<'added' | 'known'> {
    const { name, version, digest, addedAtMs } = record;
    const row: AdaptersTable = {
      name,
      version,
      digest,
      added_at_ms: addedAtMs,
      record_json: JSON.stringify(record),
    };
    for (let attempt = 0; attempt < ADD_ATTEMPTS; attempt += 1) {
      const { numInsertedOrUpdatedRows } = await this.#access.run('add_adapter', (db) =>
        db
          .insertInto('adapters')
          .values(row)
          .onConflict((conflict) => conflict.columns(['name', 'version']).doNothing())
          .executeTakeFirstOrThrow(),
      );
      if (numInsertedOrUpdatedRows === 1n) return 'added';
      const known = await this.get(name, version);
      if (known?.digest === digest) return 'known';
      if (known !== null)
        throw new ServiceError(
          'adapter_conflict',
          `${adapterId(record)} stands for digest ${known.digest.slice(0, 12)}… since ${new Date(known.addedAtMs).toISOString()}; these bytes have ${digest.slice(0, 12)}…: add them under a new version`,
          { details: { known: known.digest, given: digest } },
        );
    }
    throw new ServiceError(
      'adapter_busy',
      `${adapterId(record)} is being added and removed by another gateway at this moment; try again`,
    );
  }

  async get(name: string, version: string): Promise<AdapterRecord | null> {
    const row = await this.#access.run('read_adapter', (db) =>
      db
        .selectFrom('adapters')
        .selectAll()
        .where('name', '=', storable(name))
        .where('version', '=', storable(version))
        .executeTakeFirst(),
    );
    return row === undefined ? null : recordOf(row);
  }

  async list(ask: {
    readonly name?: string;
    readonly after?: string;
    readonly limit: number;
  }): Promise<AdapterPage> {
    const limit = Math.min(Math.max(1, Math.trunc(ask.limit)), PAGE_MAX);
    const after = ask.after === undefined ? null : placeOf(ask.after);
    const rows = await this.#access.run('list_adapters', (db) => {
      let query = db.selectFrom('adapters').selectAll();
      if (ask.name !== undefined) query = query.where('name', '=', storable(ask.name));
      if (after !== null)
        query = query.where(
          sql<boolean>`(name, added_at_ms, version) > (${after.name}, ${after.addedAtMs}, ${after.version})`,
        );
      return query
        .orderBy('name')
        .orderBy('added_at_ms')
        .orderBy('version')
        .limit(limit + 1)
        .execute();
    });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      records: page.map(recordOf),
      next:
        rows.length <= limit || last === undefined
          ? null
          : `${last.name}@${last.added_at_ms}@${last.version}`,
    };
  }

  async count(): Promise<number> {
    const { count } = await this.#access.run('count_adapters', (db) =>
      db
        .selectFrom('adapters')
        .select((row) => row.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow(),
    );
    return Number(count);
  }

  async byDigest(digest: string): Promise<readonly AdapterRecord[]> {
    const rows = await this.#access.run('find_adapters', (db) =>
      db
        .selectFrom('adapters')
        .selectAll()
        .where('digest', '=', storable(digest))
        .orderBy('added_at_ms')
        .orderBy('name')
        .limit(PAGE_MAX)
        .execute(),
    );
    return rows.map(recordOf);
  }

  async remove(name: string, version: string): Promise<boolean> {
    const { numDeletedRows } = await this.#access.run('remove_adapter', (db) =>
      db
        .deleteFrom('adapters')
        .where('name', '=', storable(name))
        .where('version', '=', storable(version))
        .executeTakeFirstOrThrow(),
    );
    return numDeletedRows === 1n;
  }

  async desired(): Promise<DesiredAdapters> {
    const row = await this.#access.run('read_desired_adapters', (db) =>
      db.selectFrom('desired_adapters').select('desired_json').where('id', '=', DESIRED).executeTakeFirst(),
    );
    return row === undefined ? NOTHING_DESIRED : (JSON.parse(row.desired_json) as DesiredAdapters);
  }

  async replaceDesired(next: DesiredAdapters): Promise<boolean> {
    const { numAffectedRows } = await this.#access.run('replace_desired_adapters', (db) =>
      // The first revision makes the row, every later one needs the one before it: in one statement, so that of two
      // gateways one is told that it was too late.
      sql`insert into desired_adapters (id, revision, desired_json)
        select ${DESIRED}, cast(${next.revision} as bigint), ${JSON.stringify(next)}
        where cast(${next.revision} as bigint) = 1 or exists (select 1 from desired_adapters where id = ${DESIRED})
        on conflict (id) do update set revision = excluded.revision, desired_json = excluded.desired_json
        where desired_adapters.revision = excluded.revision - 1`.execute(db),
    );
    return numAffectedRows === 1n;
  }

  async fingerprint(digest: string, scope: string): Promise<AdapterFingerprint | null> {
    const row = await this.#access.run('read_fingerprint', (db) =>
      db
        .selectFrom('adapter_fingerprints')
        .select('answers_json')
        .where('digest', '=', storable(digest))
        .where('scope', '=', storable(scope))
        .executeTakeFirst(),
    );
    return row === undefined ? null : { digest, scope, answers: JSON.parse(row.answers_json) as string[] };
  }

  async keepFingerprint(fingerprint: AdapterFingerprint): Promise<AdapterFingerprint> {
    const { digest, scope, answers } = fingerprint;
    await this.#access.run('keep_fingerprint', (db) =>
      db
        .insertInto('adapter_fingerprints')
        // JSON escapes what a database could not keep, so an answer comes back as the model gave it.
        .values({
          digest: storable(digest),
          scope: storable(scope),
          answers_json: JSON.stringify(answers),
        })
        .onConflict((conflict) => conflict.columns(['digest', 'scope']).doNothing())
        .execute(),
    );
    return (await this.fingerprint(digest, scope)) ?? fingerprint;
  }
}

function recordOf(row: Selectable<AdaptersTable>): AdapterRecord {
  return JSON.parse(row.record_json) as AdapterRecord;
}

/** Where a page ended; the row itself may be gone by now. */
function placeOf(after: string): { name: string; addedAtMs: number; version: string } {
  const [name, addedAt, version, ...more] = after.split('@');
  const addedAtMs = Number(addedAt);
  if (!name || !addedAt || !version || more.length > 0 || !Number.isSafeInteger(addedAtMs))
    throw new ServiceError(
      'bad_request',
      `${JSON.stringify(after.slice(0, 120))} is no place in the list of adapters; expected what \`next\` of the page before says`,
    );
  return { name: storable(name), addedAtMs, version: storable(version) };
}
