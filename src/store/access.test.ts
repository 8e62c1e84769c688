import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ServiceError } from '../core/errors.ts';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { rejectsWith } from '../testing/store-conformance.ts';
import { Access } from './access.ts';
import { openPostgres } from './postgres.ts';
import { MEMORY_FILE, openSqlite } from './sqlite.ts';

const never = new AbortController().signal;

describe('access to the store', () => {
  it('refuses more than 500 queries at once, and serves again when they are done', async () => {
    const access = new Access({
      backend: await openSqlite(MEMORY_FILE, realRuntime.clock, never),
      clock: new ManualClock(),
      log: silentLogger,
    });
    const held = Promise.withResolvers<void>();
    const running = Array.from({ length: 500 }, () => access.run('hold', () => held.promise));
    const error = await rejectsWith(
      'store_unavailable',
      access.run('one_more', () => Promise.resolve()),
    );
    assert.match(error.message, /500 queries wait/);
    held.resolve();
    await Promise.all(running);
    assert.equal(await access.run('one_more', () => Promise.resolve('served')), 'served');
    await access.close();
  });

  it('lets a database rest for a second after it could not be reached, then one query tries', async () => {
    const clock = new ManualClock();
    // Port 1 is refused at once.
    const backend = openPostgres('postgresql://nobody@127.0.0.1:1/none', silentLogger);
    const access = new Access({ backend, clock, log: silentLogger });
    let asked = 0;
    const ask = () =>
      access.run('ask', (db) => {
        asked += 1;
        return db.selectFrom('turns').select('turn').execute();
      });
    const first = await rejectsWith('store_unavailable', ask());
    const second = await rejectsWith('store_unavailable', ask());
    assert.equal(asked, 1);
    assert.equal(second.message, first.message);
    clock.advance(1_000);
    await rejectsWith('store_unavailable', ask());
    assert.equal(asked, 2);
    await access.close();
  });

  it('asks again while another process holds the lock, for five seconds, and gives up when it closes', async () => {
    const clock = new ManualClock();
    const access = new Access({
      backend: await openSqlite(MEMORY_FILE, realRuntime.clock, never),
      clock,
      log: silentLogger,
    });
    const busy = Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
    let asked = 0;
    const ask = () =>
      access.run('ask', () => {
        asked += 1;
        return Promise.reject(busy);
      });
    let isOver = false;
    const asking = rejectsWith('store_unavailable', ask()).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      clock.advance(100);
      await turnOfLoop();
    }
    assert.match((await asking).message, /held by another process \(SQLITE_BUSY\)/);
    assert.ok(asked > 10, `${asked}`);
    const last = rejectsWith('store_unavailable', ask());
    await turnOfLoop();
    await access.close();
    assert.match((await last).message, /is closed/);
    await assert.rejects(ask(), ServiceError);
  });
});
