import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { EngineUsage } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { SpendingStore } from '../core/store.ts';
import { realRuntime } from '../runtime.ts';
import { openStore } from '../store/store.ts';
import { silentLogger } from '../telemetry/log.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { spendingOptionsSchema } from './options.ts';
import { Spending } from './spending.ts';

const never = new AbortController().signal;
const prices = [{ model: 'cloud', effectiveFrom: '2026-01-01', inputUsd: 1, outputUsd: 10 }];
const call = { tier: 4, model: 'cloud', promptTokens: 100, maxTokens: 50 } as const;
const usage: EngineUsage = { promptTokens: 100, cachedTokens: 0, completionTokens: 5, source: 'reported' };
const code = (wanted: string) => (error: unknown) => error instanceof ServiceError && error.code === wanted;

async function withStore(use: (store: SpendingStore, clock: ManualClock) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), 'greenroom-spending-'));
  const clock = new ManualClock();
  try {
    await using store = await openStore(
      { url: undefined, directory, log: silentLogger, clock, random: realRuntime.random },
      never,
    );
    await use(store.spending, clock);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const open = (store: SpendingStore, clock: ManualClock, options: object = {}) =>
  Spending.open(spendingOptionsSchema.parse({ prices, ...options }), { store, clock, log: silentLogger });

test('the worst case is held before a call and its cost is settled after', () =>
  withStore(async (store, clock) => {
    const spending = await open(store, clock);
    const hold = await spending.hold(call, never);
    assert.equal((await spending.status()).day?.heldMicroUsd, 600);
    assert.equal(hold.settle(usage), 150);
    assert.equal(hold.settle(usage), 0, 'only once');
    await spending.written();
    const { day, held } = await spending.status();
    assert.deepEqual([day?.spentMicroUsd, day?.heldMicroUsd, held], [150, 0, 0]);
  }));

test('a call that never reached the engine costs nothing', () =>
  withStore(async (store, clock) => {
    const spending = await open(store, clock);
    const hold = await spending.hold(call, never);
    assert.equal(hold.settle(null), 0);
    await spending.written();
    assert.deepEqual((await spending.status()).day?.tiers[4], { spentMicroUsd: 0, heldMicroUsd: 0 });
  }));

test('a cap refuses what might pass it, names itself, and is open again on the next day', () =>
  withStore(async (store, clock) => {
    const spending = await open(store, clock, { tiers: { '4': { dailyUsd: 0.001 } } });
    await spending.hold(call, never);
    await assert.rejects(spending.hold(call, never), (error) => {
      assert.ok(code('budget_exceeded')(error));
      assert.match((error as Error).message, /\$0\.0006.*tier 4 \$0\.0010 \(spending\.tiers\.4\.dailyUsd\)/);
      return true;
    });
    clock.advance(24 * 3_600_000);
    await spending.hold(call, never);
  }));

test('a player of another tier is not stopped by the cap of tier 4', () =>
  withStore(async (store, clock) => {
    const spending = await open(store, clock, { tiers: { '4': { dailyUsd: 0 } } });
    await assert.rejects(spending.hold(call, never), code('budget_exceeded'));
    await spending.hold({ ...call, tier: 3 }, never);
  }));

test('the switch ends calls in flight, refuses new ones, and is remembered', () =>
  withStore(async (store, clock) => {
    const spending = await open(store, clock);
    const hold = await spending.hold(call, never);
    const switched = spending.switchOff(true);
    assert.equal(hold.signal.aborted, true, 'before the store was asked');
    assert.ok(code('spending_off')(hold.signal.reason));
    await switched;
    await assert.rejects(spending.hold(call, never), code('spending_off'));
    const restarted = await open(store, clock);
    assert.equal(restarted.isOff, true);
    await restarted.switchOff(false);
    assert.equal((await restarted.hold(call, never)).signal.aborted, false);
  }));

test('without the store a cap refuses, and without a cap the call goes on', async () => {
  const down = () => Promise.reject(new ServiceError('store_unavailable', 'down'));
  const store = { hold: down, settle: down, day: down, isOff: down, switchOff: down };
  const clock = new ManualClock();
  await assert.rejects(
    (await open(store, clock, { dailyUsd: 5 })).hold(call, never),
    (error) => code('budget_exceeded')(error) && /store cannot be asked/.test((error as Error).message),
  );
  const free = await open(store, clock);
  assert.equal((await free.hold(call, never)).settle(usage), 150);
  await assert.rejects(free.switchOff(true), code('store_unavailable'));
  assert.equal(free.isOff, true, 'it holds for this process all the same');
});

test('nobody waits for the ledger past his time; what it grants too late is given back', () =>
  withStore(async (store, clock) => {
    const answered = Promise.withResolvers<void>();
    const slow: SpendingStore = {
      hold: async (held, caps) => {
        await answered.promise;
        return await store.hold(held, caps);
      },
      settle: (held, spent) => store.settle(held, spent),
      day: (day) => store.day(day),
      isOff: () => store.isOff(),
      switchOff: (isOff) => store.switchOff(isOff),
    };
    const spending = await open(slow, clock);
    const deadline = new AbortController();
    const holding = spending.hold(call, deadline.signal);
    deadline.abort(new ServiceError('deadline_exceeded', 'late'));
    await assert.rejects(holding, code('deadline_exceeded'));
    answered.resolve();
    await spending[Symbol.asyncDispose]();
    const { day, held } = await spending.status();
    assert.deepEqual([day?.spentMicroUsd, day?.heldMicroUsd, held], [0, 0, 0]);
  }));

test('a switch that was thrown at another gateway refuses the next call here, and lets it go on when it is back', () =>
  withStore(async (store, clock) => {
    const here = await open(store, clock);
    const there = await open(store, clock);
    await there.switchOff(true);
    await assert.rejects(here.hold(call, never), code('spending_off'));
    await there.switchOff(false);
    await here.hold(call, never);
  }));
