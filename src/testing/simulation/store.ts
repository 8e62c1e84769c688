/**
 * The real store on SQLite in memory, with a database that can fail: the queries, the retries and the error texts are the
 * service's own. What was written can be read after the service has closed its store, as after a crash.
 */
import Database from 'better-sqlite3';
import { Kysely, type KyselyPlugin, type RootOperationNode, SqliteDialect } from 'kysely';
import { changeDesired, inOrder, moveTag, publishVersion } from '../../adapters/desired.ts';
import { type AdapterRecord, adapterId } from '../../core/adapter.ts';
import type { SeededRandom } from '../../planning/seeded-random.ts';
import type { VirtualClock } from '../../planning/virtual-clock.ts';
import { Access } from '../../store/access.ts';
import { StoredAdapters } from '../../store/adapters.ts';
import type { Backend } from '../../store/backend.ts';
import { migrate } from '../../store/migrate.ts';
import { MEMORY_FILE, openSqlite } from '../../store/sqlite.ts';
import type { SpendingDaysTable, Tables, TurnsTable } from '../../store/tables.ts';
import { silentLogger } from '../../telemetry/log.ts';
import type { StoreFault, StoreTrouble } from './faults.ts';
import type { Trace } from './trace.ts';

export interface StoreParts {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly trace: Trace;
}

/** An empty store, made once in a process and copied for each simulation. */
export interface StoreTemplate {
  readonly image: Buffer;
  readonly explain: Backend['explain'];
}

export async function createStoreTemplate(clock: VirtualClock, signal: AbortSignal): Promise<StoreTemplate> {
  const { explain } = await openSqlite(MEMORY_FILE, clock, signal);
  const database = new Database(MEMORY_FILE);
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) });
  await migrate(db, 'sqlite', 0);
  const image = database.serialize();
  await db.destroy();
  return { image, explain };
}

class Outage extends Error {}

export class SimulatedStore implements Disposable {
  readonly backend: Backend;
  readonly #database: Database.Database;
  readonly #trouble: StoreTrouble;
  readonly #parts: StoreParts;
  #isArmed = false;

  constructor(template: StoreTemplate, trouble: StoreTrouble, parts: StoreParts) {
    this.#trouble = trouble;
    this.#parts = parts;
    const database = new Database(template.image);
    this.#database = database;
    const statements = new Map<string, Database.Statement>();
    const prepare = (text: string) => {
      const known = statements.get(text) ?? database.prepare(text);
      statements.set(text, known);
      return known;
    };
    const db = new Kysely<Tables>({
      // The service closes what it was given; the checkers read on.
      dialect: new SqliteDialect({ database: { prepare, close: () => {} } }),
    });
    this.backend = {
      kind: 'sqlite',
      location: 'memory',
      db: db.withPlugin(this.#plugin()),
      explain: (error) =>
        error instanceof Outage ? { kind: 'unreachable', message: error.message } : template.explain(error),
    };
  }

  /** From now on the trouble may come. */
  arm(): void {
    this.#isArmed = true;
  }

  /** What another gateway has registered and published, each as stable. */
  async publishAdapters(records: readonly AdapterRecord[], ids: readonly string[]): Promise<void> {
    const { clock } = this.#parts;
    const access = new Access({ backend: this.backend, clock, log: silentLogger });
    const adapters = new StoredAdapters(access);
    for (const record of records) await adapters.add(record);
    const published = records.filter((record) => ids.includes(adapterId(record)));
    const changes = published.flatMap((record) => [
      publishVersion(record, { atMs: clock.nowMs() }),
      moveTag(record.name, 'stable', record.version),
    ]);
    await changeDesired(adapters, inOrder(...changes));
  }

  /** Everything that was kept, by conversation, timeline and number. */
  turns(): readonly TurnsTable[] {
    return this.#database
      .prepare('select * from turns order by conversation_id, timeline_id, turn')
      .all() as TurnsTable[];
  }

  /** What was spent, and what is still held, by day. */
  spendingDays(): readonly SpendingDaysTable[] {
    return this.#database.prepare('select * from spending_days').all() as SpendingDaysTable[];
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #plugin(): KyselyPlugin {
    const afterwards = new WeakMap<object, 'answer-lost' | 'slow'>();
    return {
      transformQuery: ({ node, queryId }) => {
        const fault = this.#fault();
        if (fault === null) return node;
        const isWrite = /^\s*(?:insert|update|delete|begin)/i.test(statementOf(node));
        switch (fault) {
          case 'busy':
            throw this.#failure('SQLITE_BUSY');
          case 'disk-full':
            if (isWrite) throw this.#failure('SQLITE_FULL');
            break;
          case 'unreachable':
            throw this.#outage('the database cannot be reached');
          case 'answer-lost':
            if (isWrite) afterwards.set(queryId, fault);
            break;
          case 'slow':
            afterwards.set(queryId, fault);
            break;
        }
        return node;
      },
      transformResult: async ({ result, queryId }) => {
        const fault = afterwards.get(queryId);
        if (fault === 'answer-lost') throw this.#outage('the connection broke before the answer came');
        if (fault === 'slow') {
          const { clock, random } = this.#parts;
          await clock.sleep(random.next() * this.#trouble.slowMaxMs, NEVER);
        }
        return result;
      },
    };
  }

  #fault(): StoreFault | null {
    const { clock, random } = this.#parts;
    const nowMonoMs = clock.monotonicMs();
    const isSpell = this.#trouble.spells.some(
      ({ fromMonoMs, forMs }) => fromMonoMs <= nowMonoMs && nowMonoMs < fromMonoMs + forMs,
    );
    if (!this.#isArmed || !isSpell) return null;
    for (const [fault, probability] of Object.entries(this.#trouble.odds) as [StoreFault, number][])
      if (random.chance(probability)) return fault;
    return null;
  }

  #failure(code: string): Error {
    this.#parts.trace.note('store', code);
    return Object.assign(new Error(code), { code });
  }

  #outage(message: string): Error {
    this.#parts.trace.note('store', message);
    return new Outage(message);
  }
}

const NEVER = new AbortController().signal;

/** Enough of the statement to know whether it writes. */
function statementOf(node: RootOperationNode): string {
  return node.kind === 'RawNode' ? node.sqlFragments.join(' ') : node.kind.replace('QueryNode', '');
}
