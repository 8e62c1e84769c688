/** The registry in a file: what was acknowledged outlives `kill -9`, and a long list is read by its index. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import { sql } from 'kysely';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { migrate } from './migrate.ts';
import { MEMORY_FILE, openSqlite } from './sqlite.ts';
import { openStore } from './store.ts';

const never = new AbortController().signal;
const root = await mkdtemp(path.join(tmpdir(), 'greenroom-adapters-'));
after(() => rm(root, { recursive: true, force: true }));

it('has every acknowledged adapter and publication after kill -9', async () => {
  const writer = path.join(import.meta.dirname, '..', 'testing', 'add-adapters.ts');
  const child = spawn(process.execPath, [writer, root], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
    if (printed.length > 600) child.kill('SIGKILL');
  });
  assert.deepEqual(await exited, [null, 'SIGKILL']);
  const acknowledged = printed.split('\n').slice(0, -1).map(Number);
  assert.ok(acknowledged.length > 100);
  await using store = await openStore(
    { url: undefined, directory: root, log: silentLogger, ...realRuntime },
    never,
  );
  const last = acknowledged.at(-1) ?? -1;
  for (const index of acknowledged) assert.notEqual(await store.adapters.get('lich', `${index}`), null);
  const { revision, published } = await store.adapters.desired();
  assert.ok(revision >= last + 1);
  assert.equal(published[0]?.version, `${revision - 1}`);
});

it('reads a page from its index, neither the whole table nor sorted', async () => {
  const { db } = await openSqlite(MEMORY_FILE, realRuntime.clock, never);
  await migrate(db, 'sqlite', 0);
  for (const where of ["name = 'lich' and", '']) {
    const { rows } = await sql<{ detail: string }>`explain query plan select * from adapters
      where ${sql.raw(where)} (name, added_at_ms, version) > ('lich', 5, '7')
      order by name, added_at_ms, version limit 10`.execute(db);
    assert.equal(rows.length, 1, JSON.stringify(rows));
    assert.match(rows[0]?.detail ?? '', /^SEARCH adapters USING INDEX adapters_by_age/);
  }
  await db.destroy();
});
