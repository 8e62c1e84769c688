/**
 * What every store must do with money: caps hold whoever asks at the same time, here or in another gateway, and what a
 * process held when it was killed stays held.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { realRuntime } from '../runtime.ts';
import { ManualClock } from './manual-clock.ts';
import type { OpenStoreAt } from './store-conformance.ts';

const DAY = '2026-11-21';
const none = { total: null, tier: null };

/** Registers the suite. `runs` is the number of random crowds. */
export function spendingConformance(openAt: OpenStoreAt, runs: number): void {
  let places = 0;
  const freshPlace = () => `spending${places++}`;
  const open = (place: string) =>
    openAt(place, { clock: new ManualClock(), random: realRuntime.random, turnRetentionDays: 30 });

  describe('spending', () => {
    it('books what was spent, and gives back what was held for it', async () => {
      await using store = await open(freshPlace());
      const { spending } = store;
      const held = { day: DAY, tier: 4, microUsd: 900 } as const;
      assert.equal(await spending.hold(held, none), true);
      assert.equal((await spending.day(DAY)).heldMicroUsd, 900);
      await spending.settle(held, 250);
      const day = await spending.day(DAY);
      assert.deepEqual([day.spentMicroUsd, day.heldMicroUsd], [250, 0]);
      assert.deepEqual(day.tiers[4], { spentMicroUsd: 250, heldMicroUsd: 0 });
      assert.deepEqual((await spending.day('2026-11-22')).tiers[4], { spentMicroUsd: 0, heldMicroUsd: 0 });
    });

    it('refuses what would pass the cap of all tiers or of its own, and then holds nothing', async () => {
      await using store = await open(freshPlace());
      const { spending } = store;
      const ask = (tier: 3 | 4, microUsd: number) =>
        spending.hold({ day: DAY, tier, microUsd }, { total: 1_000, tier: 600 });
      assert.equal(await ask(4, 600), true);
      assert.equal(await ask(4, 1), false, 'its own cap');
      assert.equal(await ask(3, 401), false, 'the cap of all');
      assert.equal(await ask(3, 400), true);
      assert.equal((await spending.day(DAY)).heldMicroUsd, 1_000);
    });

    it('keeps what was held when the holder is gone, and the switch as it was', async () => {
      const place = freshPlace();
      {
        await using killed = await open(place);
        await killed.spending.hold({ day: DAY, tier: 2, microUsd: 70 }, none);
        assert.equal(await killed.spending.isOff(), false);
        await killed.spending.switchOff(true);
      }
      await using store = await open(place);
      assert.equal((await store.spending.day(DAY)).heldMicroUsd, 70);
      assert.equal(await store.spending.isOff(), true);
      await store.spending.switchOff(false);
      assert.equal(await store.spending.isOff(), false);
    });

    it('holds nothing while paid engines are off, at whichever gateway that was done', async () => {
      const place = freshPlace();
      await using one = await open(place);
      await using other = await open(place);
      const held = { day: DAY, tier: 4, microUsd: 10 } as const;
      assert.equal(await other.spending.hold(held, none), true);
      await one.spending.switchOff(true);
      assert.equal(await other.spending.hold(held, none), false);
      await one.spending.switchOff(false);
      assert.equal(await other.spending.hold(held, none), true);
      assert.equal((await one.spending.day(DAY)).heldMicroUsd, 20);
    });

    it('holds the caps whoever asks at the same time', async () => {
      const call = fc.record({
        tier: fc.constantFrom(3 as const, 4 as const),
        microUsd: fc.integer({ min: 1, max: 400 }),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
        dies: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 24 }), async (calls) => {
          const place = freshPlace();
          await using one = await open(place);
          await using other = await open(place);
          const caps = { total: 1_500, tier: 1_000 };
          const spent = { 3: 0, 4: 0 };
          await Promise.all(
            calls.map(async ({ tier, microUsd, share, dies }, index) => {
              const { spending } = index % 2 === 0 ? one : other;
              const held = { day: DAY, tier, microUsd };
              if (!(await spending.hold(held, caps))) return;
              const cost = Math.floor(microUsd * share);
              if (dies) spent[tier] += microUsd;
              else {
                await spending.settle(held, cost);
                spent[tier] += cost;
              }
            }),
          );
          const day = await one.spending.day(DAY);
          assert.equal(day.spentMicroUsd + day.heldMicroUsd, spent[3] + spent[4]);
          assert.ok(spent[3] + spent[4] <= caps.total && spent[3] <= caps.tier && spent[4] <= caps.tier);
        }),
        { numRuns: runs },
      );
    });
  });
}
