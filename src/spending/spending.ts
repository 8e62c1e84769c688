/**
 * Money, before and after each paid call: the most it can cost is held in the store first, what it did cost is settled
 * afterwards. What a killed process held stays held, so a cap is never passed; the switch stops calls in flight at once.
 */
import type { Tier } from '../core/dialogue.ts';
import type { EngineUsage } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import type { DaySpending, SpendingStore } from '../core/store.ts';
import type { SpendingOptions } from './options.ts';
import { PriceTable, utcDay } from './price.ts';

/** The right to make one paid call. Settle it once, however the call ended. */
export interface Hold {
  /** Aborts with `spending_off` when the operator switches paid engines off. */
  readonly signal: AbortSignal;
  /** What the call used; null: it never reached the engine. Resolves to its cost in micro-dollars. Never throws. */
  settle(usage: EngineUsage | null): Promise<number>;
}

export interface SpendingStatus {
  readonly isOff: boolean;
  /** Holds of this gateway that are not settled. */
  readonly held: number;
  readonly day: DaySpending | null;
}

const MICRO = 1_000_000;

export class Spending {
  readonly prices: PriceTable;
  readonly #options: SpendingOptions;
  readonly #store: SpendingStore;
  readonly #clock: Clock;
  readonly #log: Logger;
  #isOff: boolean;
  #calls = new AbortController();
  #held = 0;

  private constructor(
    options: SpendingOptions,
    parts: { store: SpendingStore; clock: Clock; log: Logger },
    isOff: boolean,
  ) {
    this.#options = options;
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.prices = new PriceTable(options.prices);
    this.#isOff = isOff;
  }

  /** Paid engines stay off after a restart when they were switched off. A store that cannot say leaves them on. */
  static async open(
    options: SpendingOptions,
    parts: { readonly store: SpendingStore; readonly clock: Clock; readonly log: Logger },
  ): Promise<Spending> {
    const isOff = await parts.store.isOff().catch((error: unknown) => {
      parts.log.warn('spending.switch-unread', { reason: ServiceError.from(error).message });
      return false;
    });
    return new Spending(options, parts, isOff);
  }

  get isOff(): boolean {
    return this.#isOff;
  }

  /** Switches paid engines off, and ends their calls in flight within this turn of the loop, or on again. Throws `store_unavailable` when it would not survive a restart; it holds all the same. */
  async switchOff(isOff: boolean): Promise<void> {
    this.#isOff = isOff;
    if (isOff) {
      const calls = this.#calls;
      this.#calls = new AbortController();
      calls.abort(new ServiceError('spending_off', 'paid engines were switched off by the operator'));
    }
    this.#log.warn(isOff ? 'spending.off' : 'spending.on');
    await this.#store.switchOff(isOff);
  }

  /**
   * Holds the most that a call can cost. Throws `spending_off`, and `budget_exceeded` when a cap does not allow it, or
   * when there is a cap and the store cannot be asked.
   */
  async hold(call: {
    readonly tier: Tier;
    readonly model: string;
    readonly promptTokens: number;
    readonly maxTokens: number;
  }): Promise<Hold> {
    if (this.#isOff)
      throw new ServiceError('spending_off', `paid engines are off; ${call.model} was not asked`);
    const nowMs = this.#clock.nowMs();
    const microUsd = this.prices.worstMicroUsd(call.model, call.promptTokens, call.maxTokens, nowMs);
    const held = { day: utcDay(nowMs), tier: call.tier, microUsd };
    const caps = this.#caps(call.tier);
    const signal = this.#calls.signal;
    const isKept = await this.#keep(held, caps);
    this.#held += 1;
    let isSettled = false;
    return {
      signal,
      settle: async (usage) => {
        if (isSettled) return 0;
        isSettled = true;
        this.#held -= 1;
        const cost = usage === null ? 0 : this.prices.costMicroUsd(call.model, usage, nowMs);
        if (isKept)
          await this.#store.settle(held, cost).catch((error: unknown) => {
            // It stays held: a cap is reached too early rather than passed.
            this.#log.error('spending.unsettled', { microUsd, reason: ServiceError.from(error).message });
          });
        return cost;
      },
    };
  }

  async status(): Promise<SpendingStatus> {
    const day = await this.#store.day(utcDay(this.#clock.nowMs())).catch(() => null);
    return { isOff: this.#isOff, held: this.#held, day };
  }

  #caps(tier: Tier): { total: number | null; tier: number | null } {
    const ofTier = this.#options.tiers[`${tier}`]?.dailyUsd;
    const { dailyUsd } = this.#options;
    return {
      total: dailyUsd === undefined ? null : Math.round(dailyUsd * MICRO),
      tier: ofTier === undefined ? null : Math.round(ofTier * MICRO),
    };
  }

  /** Whether the store has it; false only where no cap is set and the store cannot be asked. */
  async #keep(
    held: { day: string; tier: Tier; microUsd: number },
    caps: { total: number | null; tier: number | null },
  ): Promise<boolean> {
    let isWithin: boolean;
    try {
      isWithin = await this.#store.hold(held, caps);
    } catch (error) {
      if (caps.total === null && caps.tier === null) return false;
      throw new ServiceError(
        'budget_exceeded',
        'the store cannot be asked whether a spending cap allows this call; the store comes back by itself, or take the caps out of spending',
        { cause: error },
      );
    }
    if (isWithin) return true;
    const usd = (microUsd: number | null) =>
      microUsd === null ? 'none' : `$${(microUsd / MICRO).toFixed(4)}`;
    throw new ServiceError(
      'budget_exceeded',
      `a call that may cost ${usd(held.microUsd)} does not fit under the caps of ${held.day}: all tiers ${usd(caps.total)} (spending.dailyUsd), tier ${held.tier} ${usd(caps.tier)} (spending.tiers.${held.tier}.dailyUsd)`,
    );
  }
}
