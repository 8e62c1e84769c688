/**
 * What each day cost, in one row a day. A hold is one conditional update: whoever runs at the same time, in this process
 * or another, the caps hold, and what a killed process held stays held.
 */
import { type Expression, type SqlBool, sql } from 'kysely';
import { TIERS, type Tier } from '../core/dialogue.ts';
import type { Amounts, DaySpending, HeldAmount, SpendingStore } from '../core/store.ts';
import type { Access } from './access.ts';

const OFF_SWITCH = 'spending_off';
const ALL = sql<number>`(spent_1 + held_1 + spent_2 + held_2 + spent_3 + held_3 + spent_4 + held_4)`;

export class StoredSpending implements SpendingStore {
  readonly #access: Access;
  /** The day whose row is known to be there. */
  #openDay = '';

  constructor(access: Access) {
    this.#access = access;
  }

  async hold(
    { day, tier, microUsd }: HeldAmount,
    caps: { readonly total: number | null; readonly tier: number | null },
  ): Promise<boolean> {
    await this.#open(day);
    const held = sql.ref<number>(`held_${tier}`);
    const spent = sql.ref<number>(`spent_${tier}`);
    const within: Expression<SqlBool>[] = [];
    if (caps.total !== null) within.push(sql<SqlBool>`${ALL} + ${microUsd} <= ${caps.total}`);
    if (caps.tier !== null) within.push(sql<SqlBool>`${spent} + ${held} + ${microUsd} <= ${caps.tier}`);
    const { numUpdatedRows } = await this.#access.run('hold_spending', (db) =>
      db
        .updateTable('spending_days')
        .set(`held_${tier}`, sql<number>`${held} + ${microUsd}`)
        .where('day', '=', day)
        .where((where) => where.and(within))
        // Whichever gateway it was thrown at: the switch is part of the same statement.
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('switches').select('name').where('name', '=', OFF_SWITCH).where('is_on', '=', 1),
            ),
          ),
        )
        .executeTakeFirstOrThrow(),
    );
    return numUpdatedRows === 1n;
  }

  async settle({ day, tier, microUsd }: HeldAmount, spentMicroUsd: number): Promise<void> {
    const held = sql.ref<number>(`held_${tier}`);
    const spent = sql.ref<number>(`spent_${tier}`);
    await this.#access.run('settle_spending', (db) =>
      db
        .updateTable('spending_days')
        .set(`held_${tier}`, sql<number>`${held} - ${microUsd}`)
        .set(`spent_${tier}`, sql<number>`${spent} + ${spentMicroUsd}`)
        .where('day', '=', day)
        .execute(),
    );
  }

  async day(day: string): Promise<DaySpending> {
    const row = await this.#access.run('read_spending', (db) =>
      db.selectFrom('spending_days').selectAll().where('day', '=', day).executeTakeFirst(),
    );
    const of = (tier: Tier): Amounts => ({
      spentMicroUsd: Number(row?.[`spent_${tier}`] ?? 0),
      heldMicroUsd: Number(row?.[`held_${tier}`] ?? 0),
    });
    const tiers = { 1: of(1), 2: of(2), 3: of(3), 4: of(4) };
    return {
      day,
      tiers,
      spentMicroUsd: TIERS.reduce((sum, tier) => sum + tiers[tier].spentMicroUsd, 0),
      heldMicroUsd: TIERS.reduce((sum, tier) => sum + tiers[tier].heldMicroUsd, 0),
    };
  }

  async isOff(): Promise<boolean> {
    const row = await this.#access.run('read_switch', (db) =>
      db.selectFrom('switches').select('is_on').where('name', '=', OFF_SWITCH).executeTakeFirst(),
    );
    return row?.is_on === 1;
  }

  async switchOff(isOff: boolean): Promise<void> {
    const values = { is_on: isOff ? 1 : 0, at_ms: this.#access.clock.nowMs() };
    await this.#access.run('write_switch', (db) =>
      db
        .insertInto('switches')
        .values({ name: OFF_SWITCH, ...values })
        .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
        .execute(),
    );
  }

  async #open(day: string): Promise<void> {
    if (day === this.#openDay) return;
    await this.#access.run('open_spending_day', (db) =>
      db
        .insertInto('spending_days')
        .values({
          day,
          spent_1: 0,
          held_1: 0,
          spent_2: 0,
          held_2: 0,
          spent_3: 0,
          held_3: 0,
          spent_4: 0,
          held_4: 0,
        })
        .onConflict((conflict) => conflict.column('day').doNothing())
        .execute(),
    );
    this.#openDay = day;
  }
}
