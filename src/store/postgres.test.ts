/** The store on a real PostgreSQL: the suite that every store passes, and what happens when the server goes away. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { realRuntime } from '../runtime.ts';
import { silentLogger } from '../telemetry/log.ts';
import { adapterStoreConformance } from '../testing/adapter-store-conformance.ts';
import { jobConformance } from '../testing/job-conformance.ts';
import { learnedLineConformance } from '../testing/learned-line-conformance.ts';
import { POSTGRES_MISSING, startPostgres, type TestPostgres } from '../testing/postgres.ts';
import { spendingConformance } from '../testing/spending-conformance.ts';
import { type OpenStoreAt, rejectsWith, said, storeConformance } from '../testing/store-conformance.ts';
import { openStore } from './store.ts';

const never = new AbortController().signal;
const postgres: TestPostgres | null = await startPostgres();

describe('the store on PostgreSQL', { skip: postgres === null ? POSTGRES_MISSING : false }, () => {
  if (postgres === null) return;
  const urls = new Map<string, string>();
  const urlOf = async (place: string) => {
    const url = urls.get(place) ?? (await postgres.freshUrl());
    urls.set(place, url);
    return url;
  };
  after(() => postgres[Symbol.asyncDispose]());

  const openAt: OpenStoreAt = async (place, opening) =>
    openStore({ url: await urlOf(place), directory: '', log: silentLogger, ...opening }, never);
  storeConformance(openAt, 15);
  spendingConformance(openAt, 8);
  jobConformance(openAt, 8);
  adapterStoreConformance(openAt, 1_500);
  learnedLineConformance(openAt, 8);

  it('makes the tables once when many gateways start at one instant', async () => {
    const url = await postgres.freshUrl();
    const stores = await Promise.all(
      Array.from({ length: 5 }, () =>
        openStore({ url, directory: '', log: silentLogger, ...realRuntime }, never),
      ),
    );
    for (const [turn, store] of stores.entries())
      assert.equal(await store.conversations.appendTurn(said('c', '', turn)), true);
    for (const store of stores) await store[Symbol.asyncDispose]();
  });

  describe('when the server goes away', { skip: postgres.power === undefined }, () => {
    it('says so with what to do, still knows its keys, and goes on by itself when the server is back', async () => {
      const { power } = postgres;
      assert.ok(power);
      const url = await postgres.freshUrl();
      const failures: string[] = [];
      await using store = await openStore(
        { url, directory: '', log: silentLogger, ...realRuntime, onFailure: (name) => failures.push(name) },
        never,
      );
      const { token } = await store.keys.create({ label: 'x', scopes: ['game'] });
      assert.notEqual(await store.keys.authenticate(token), null);
      await store.conversations.appendTurn(said('c', '', 0));
      await power.off();
      const error = await rejectsWith('store_unavailable', store.conversations.appendTurn(said('c', '', 1)));
      assert.match(error.message, /cannot be reached.*DATABASE_URL/);
      assert.deepEqual(failures, ['append_turn']);
      assert.notEqual(await store.keys.authenticate(token), null, 'a known key is still known');
      await rejectsWith('store_unavailable', store.keys.authenticate(`gr_0000000000_${'0'.repeat(64)}`));
      assert.equal((await store.health()).isReachable, false);
      await rejectsWith(
        'store_unavailable',
        openStore({ url, directory: '', log: silentLogger, ...realRuntime }, never),
      );
      await power.on();
      while (!(await store.health()).isReachable) await realRuntime.clock.sleep(50, never);
      assert.equal(await store.conversations.appendTurn(said('c', '', 1)), true);
      assert.equal((await store.conversations.loadWindow('c', '', 9)).length, 2);
      assert.equal((await store.health()).failure, null);
    });
  });

  it('never shows the password of its address', async () => {
    const url = 'postgresql://someone:hunter2@127.0.0.1:1/none?password=hunter2';
    const error = await rejectsWith(
      'store_unavailable',
      openStore({ url, directory: '', log: silentLogger, ...realRuntime }, never),
    );
    assert.ok(!error.message.includes('hunter2'), error.message);
    assert.match(error.message, /someone:\*\*\*@127\.0\.0\.1:1/);
  });
});
