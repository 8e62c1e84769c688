/** The store in a file: the suite that every store passes, and what only a file can suffer. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { sql } from 'kysely';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { adapterStoreConformance } from '../testing/adapter-store-conformance.ts';
import { jobConformance } from '../testing/job-conformance.ts';
import { learnedLineConformance } from '../testing/learned-line-conformance.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { spendingConformance } from '../testing/spending-conformance.ts';
import { type OpenStoreAt, rejectsWith, said, storeConformance } from '../testing/store-conformance.ts';
import { Access } from './access.ts';
import { StoredConversations } from './conversations.ts';
import { migrate } from './migrate.ts';
import { MIGRATIONS } from './migrations.ts';
import { openSqlite } from './sqlite.ts';
import { openStore, STORE_FILE } from './store.ts';

const never = new AbortController().signal;
const root = mkdtempSync(path.join(tmpdir(), 'greenroom-store-'));
const writer = path.join(import.meta.dirname, '..', 'testing', 'append-turns.ts');
after(() => rmSync(root, { recursive: true, force: true }));

const open = (directory: string, clock = realRuntime.clock) =>
  openStore({ url: undefined, directory, clock, random: realRuntime.random, log: silentLogger }, never);

describe('the store in an SQLite file', () => {
  const openAt: OpenStoreAt = (place, opening) =>
    openStore({ url: undefined, directory: path.join(root, place), log: silentLogger, ...opening }, never);
  storeConformance(openAt, 60);
  spendingConformance(openAt, 25);
  jobConformance(openAt, 25);
  adapterStoreConformance(openAt, 10_000);
  learnedLineConformance(openAt, 40);

  it('has every acknowledged turn after kill -9, and takes over what the dead process was answering', async () => {
    const directory = path.join(root, 'killed');
    let acknowledged = 0;
    for (let round = 0; round < 3; round += 1) {
      const child = spawn(process.execPath, [writer, directory, `round${round}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      let printed = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
        if (printed.length > 500) child.kill('SIGKILL');
      });
      assert.deepEqual(await exited, [null, 'SIGKILL']);
      // A number that was cut off by the kill was acknowledged too, but which it was is not known.
      const turns = printed.split('\n').slice(0, -1).map(Number);
      assert.ok(turns.length > 50);
      acknowledged += turns.length;
      await using store = await open(directory);
      const kept = await store.conversations.loadWindow(`round${round}`, '', 1_000);
      assert.ok(kept.length >= turns.length);
      assert.deepEqual(
        kept.slice(0, turns.length).map((turn) => turn.turn),
        turns,
      );
    }
    assert.ok(acknowledged > 150);
    const clock = new ManualClock(realRuntime.clock.nowMs() + 10_001);
    await using store = await open(directory, clock);
    const outcome = await store.idempotency.claim({ key: 'round0', apiKeyId: '', bodyDigest: 'd' }, never);
    assert.equal(outcome.kind, 'run');
  });

  it('is written by two processes at once, each losing nothing', async () => {
    const directory = path.join(root, 'shared');
    const children = ['one', 'two', 'three'].map((name) =>
      spawn(process.execPath, [writer, directory, name, '300'], { stdio: ['ignore', 'ignore', 'inherit'] }),
    );
    for (const exit of await Promise.all(children.map((child) => once(child, 'exit'))))
      assert.deepEqual(exit, [0, null]);
    await using store = await open(directory);
    for (const name of ['one', 'two', 'three'])
      assert.equal((await store.conversations.loadWindow(name, '', 1_000)).length, 300);
  });

  it('waits for another process that holds the write lock', async () => {
    const directory = path.join(root, 'held');
    await using store = await open(directory);
    const other = await openSqlite(path.join(directory, STORE_FILE), realRuntime.clock, never);
    await other.db.connection().execute(async (connection) => {
      await sql`begin immediate`.execute(connection);
      const append = store.conversations.appendTurn(said('c', '', 0));
      await realRuntime.clock.sleep(1, never);
      await sql`commit`.execute(connection);
      assert.equal(await append, true);
    });
    await other.db.destroy();
  });

  it('opens a file of an older Greenroom and keeps what is in it', async () => {
    for (let known = 1; known < MIGRATIONS.length; known += 1) {
      const directory = path.join(root, `older${known}`);
      const older = await openSqlite(path.join(directory, STORE_FILE), realRuntime.clock, never);
      await migrate(older.db, 'sqlite', 0, MIGRATIONS.slice(0, known));
      await older.db
        .insertInto('turns')
        .values({
          conversation_id: 'c',
          timeline_id: '',
          turn: 0,
          sequence: 1,
          player_text: 'Who are you?',
          npc_text: 'Nobody you would miss.',
          interrupted: 0,
          game_time: null,
          at_ms: realRuntime.clock.nowMs(),
        })
        .execute();
      await older.db.destroy();
      await using store = await open(directory);
      const [turn] = await store.conversations.loadWindow('c', '', 9);
      assert.equal(turn?.npcText, 'Nobody you would miss.');
      await store.keys.create({ label: 'x', scopes: ['game'] });
    }
  });

  it('refuses a file of a newer Greenroom, and leaves a migration that fails undone', async () => {
    const directory = path.join(root, 'newer');
    const newer = await openSqlite(path.join(directory, STORE_FILE), realRuntime.clock, never);
    await migrate(newer.db, 'sqlite', 0, [
      ...MIGRATIONS,
      { name: '9999-later', apply: () => Promise.resolve() },
    ]);
    await newer.db.destroy();
    const error = await rejectsWith('store_unavailable', open(directory));
    assert.match(error.message, /newer Greenroom: it has 9999-later/);

    const broken = await openSqlite(path.join(root, 'broken.db'), realRuntime.clock, never);
    const half = {
      name: '0000-half',
      apply: async (db: typeof broken.db) => {
        await db.schema.createTable('half').addColumn('id', 'text').execute();
        throw new Error('no further');
      },
    };
    await assert.rejects(migrate(broken.db, 'sqlite', 0, [half]), /no further/);
    assert.deepEqual(
      await migrate(broken.db, 'sqlite', 0),
      MIGRATIONS.map((migration) => migration.name),
    );
    const tables = await broken.db.introspection.getTables();
    assert.ok(!tables.some((table) => table.name === 'half'));
    await broken.db.destroy();
  });

  it('says what to do about a file that is no store, or a damaged one', async () => {
    const garbage = path.join(root, 'garbage');
    mkdirSync(garbage);
    writeFileSync(
      path.join(garbage, STORE_FILE),
      'a shopping list, long enough to be no header of a database. '.repeat(20),
    );
    const error = await rejectsWith('store_unavailable', open(garbage));
    assert.match(error.message, /garbage.*not a Greenroom store.*move it/);

    const damaged = path.join(root, 'damaged');
    const whole = await open(damaged);
    for (let turn = 0; turn < 200; turn += 1) await whole.conversations.appendTurn(said('c', '', turn));
    await whole[Symbol.asyncDispose]();
    const file = path.join(damaged, STORE_FILE);
    const bytes = readFileSync(file);
    // The first page is left, so that it opens; what follows is not the tables any more.
    writeFileSync(file, Buffer.concat([bytes.subarray(0, 4_096), Buffer.alloc(bytes.length - 4_096, 0xa5)]));
    const later = await rejectsWith(
      'store_unavailable',
      open(damaged).then((store) =>
        store.conversations.loadWindow('c', '', 50).finally(() => store[Symbol.asyncDispose]()),
      ),
    );
    assert.match(later.message, /damaged.*restore a copy/);
  });

  it('says what to do about a folder that it may not write', async () => {
    const folder = path.join(root, 'read-only');
    const store = await open(folder);
    await store[Symbol.asyncDispose]();
    const errors = [];
    await asOrdinaryUser(async () => {
      errors.push(await rejectsWith('store_unavailable', open(path.join(folder, 'below'))));
      errors.push(await rejectsWith('store_unavailable', open(folder)));
    }, folder);
    writeFileSync(path.join(root, 'a-file'), '');
    errors.push(await rejectsWith('store_unavailable', open(path.join(root, 'a-file', 'below'))));
    for (const error of errors)
      assert.match(
        error.message,
        /greenroom\.db cannot be opened for writing \(\w+\); let this user write to .*GREENROOM_DATA/,
      );
  });

  it('fails the turn and says so when the disk is full, and goes on when there is space again', async () => {
    const failures: string[] = [];
    const backend = await openSqlite(path.join(root, 'full.db'), realRuntime.clock, never);
    const access = new Access({
      backend,
      clock: realRuntime.clock,
      log: silentLogger,
      onFailure: (operation) => failures.push(operation),
    });
    await access.run('migrate', (db) => migrate(db, 'sqlite', 0));
    const conversations = new StoredConversations(access);
    // SQLite's own limit fails as a full disk does, at the same place.
    await sql`pragma max_page_count = 1`.execute(backend.db);
    let kept = 0;
    const error = await rejectsWith(
      'store_unavailable',
      (async () => {
        for (; kept < 10_000; kept += 1) await conversations.appendTurn(said('c', '', kept));
      })(),
    );
    assert.match(error.message, /disk of .*full\.db is full \(SQLITE_FULL\); free some space/);
    assert.deepEqual(failures, ['append_turn']);
    assert.equal(access.failure, error.message);
    assert.equal((await conversations.loadWindow('c', '', 1_000)).length, Math.min(kept, 1_000));
    assert.equal(access.failure, error.message, 'a read that succeeds does not hide it');
    await sql`pragma max_page_count = 100000`.execute(backend.db);
    assert.equal(await conversations.appendTurn(said('c', '', kept)), true);
    assert.equal(access.failure, null);
    await access.close();
  });

  it('is readable by its user only', async () => {
    const directory = path.join(root, 'private');
    await using store = await open(directory);
    await store.conversations.appendTurn(said('c', '', 0));
    for (const name of ['', STORE_FILE, `${STORE_FILE}-wal`])
      assert.equal(statSync(path.join(directory, name)).mode & 0o077, 0, name);
  });

  it('does not open after its signal was aborted, nor for an address that it does not know', async () => {
    const options = { directory: root, log: silentLogger, ...realRuntime };
    await assert.rejects(
      openStore({ ...options, url: undefined }, AbortSignal.abort(new Error('enough'))),
      /enough/,
    );
    const error = await rejectsWith(
      'config_invalid',
      openStore({ ...options, url: 'mysql://root:secret@x' }, never),
    );
    assert.match(error.message, /"mysql"; expected postgresql:/);
  });
});

/** Root may write anywhere, so as root the body runs as nobody. `folder` and its files are made read-only. */
async function asOrdinaryUser(body: () => Promise<void>, folder: string): Promise<void> {
  chmodSync(root, 0o755);
  chmodSync(folder, 0o555);
  chmodSync(path.join(folder, STORE_FILE), 0o444);
  const isRoot = process.geteuid?.() === 0;
  try {
    if (isRoot) process.seteuid?.(65_534);
    await body();
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(folder, 0o755);
  }
}
