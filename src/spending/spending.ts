/**
 * Money, before and after each paid call: the most it can cost is held in the store first, what it did cost is settled
 * afterwards. What a killed process held stays held, so a cap is never passed; the switch stops calls in flight at once.
 */
import type { Tier } from '../core/dialogue.ts';
import type { EngineUsage } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import type { DaySpending, HeldAmount, SpendingStore } from '../core/store.ts';
import { abortable } from '../lib/abort.ts';
import type { SpendingOptions } from './options.ts';
import { PriceTable, utcDay } from './price.ts';

/** The right to make one paid call. Settle it once, however the call ended. */
export interface Hold {
  /** Aborts with `spending_off` when the operator switches paid engines off. */
  readonly signal: AbortSignal;
  /**
   * What the call used; null: it never reached the engine. Gives its cost in micro-dollars, and writes it in the
   * background: no player waits for the ledger. Until it is written the worst case stays held. Never throws.
   */
  settle(usage: EngineUsage | null): number;
}

export interface SpendingStatus {
  readonly isOff: boolean;
  /** Holds of this gateway that are not settled. */
  readonly held: number;
  readonly day: DaySpending | null;
}

const MICRO = 1_000_000;

export class Spending implements AsyncDisposable {
  readonly prices: PriceTable;
  readonly #options: SpendingOptions;
  readonly #store: SpendingStore;
  readonly #clock: Clock;
  readonly #log: Logger;
  #isOff: boolean;
  #calls = new AbortController();
  #held = 0;
  /** What is being given back or booked; at most as many as calls were under way. */
  readonly #writing = new Set<Promise<void>>();

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
   * when there is a cap and the store cannot be asked. Aborting ends the wait at once with the signal's reason; what the
   * store grants after that is given back.
   */
  async hold(
    call: {
      readonly tier: Tier;
      readonly model: string;
      readonly promptTokens: number;
      readonly maxTokens: number;
    },
    signal: AbortSignal,
  ): Promise<Hold> {
    if (this.#isOff)
      throw new ServiceError('spending_off', `paid engines are off; ${call.model} was not asked`);
    const nowMs = this.#clock.nowMs();
    const microUsd = this.prices.worstMicroUsd(call.model, call.promptTokens, call.maxTokens, nowMs);
    const held = { day: utcDay(nowMs), tier: call.tier, microUsd };
    const caps = this.#caps(call.tier);
    const calls = this.#calls.signal;
    const keeping = this.#keep(held, caps);
    let isKept: boolean;
    try {
      isKept = await abortable(keeping, signal);
    } catch (error) {
      if (signal.aborted) this.#inBackground(keeping.then((isLate) => this.#book(held, isLate ? 0 : null)));
      throw error;
    }
    this.#held += 1;
    let isSettled = false;
    return {
      signal: calls,
      settle: (usage) => {
        if (isSettled) return 0;
        isSettled = true;
        this.#held -= 1;
        const cost = usage === null ? 0 : this.prices.costMicroUsd(call.model, usage, nowMs);
        this.#inBackground(this.#book(held, isKept ? cost : null));
        return cost;
      },
    };
  }

  /** Resolves when everything that was settled is in the store, or has failed to get there. */
  async written(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.written();
  }

  /** Null: the store holds nothing of it. */
  async #book(held: HeldAmount, costMicroUsd: number | null): Promise<void> {
    if (costMicroUsd === null) return;
    try {
      await this.#store.settle(held, costMicroUsd);
    } catch (error) {
      // It stays held: a cap is reached too early rather than passed.
      const reason = ServiceError.from(error).message;
      this.#log.error('spending.unsettled', { microUsd: held.microUsd, reason });
    }
  }

  #inBackground(work: Promise<void>): void {
    const done = work
      .catch(() => {
        // Refused, and nobody waits for it any more: there is nothing to give back.
      })
      .finally(() => this.#writing.delete(done));
    this.#writing.add(done);
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
    if (await this.#store.isOff().catch(() => false))
      throw new ServiceError('spending_off', 'paid engines were switched off at another gateway');
    const usd = (microUsd: number | null) =>
      microUsd === null ? 'none' : `$${(microUsd / MICRO).toFixed(4)}`;
    throw new ServiceError(
      'budget_exceeded',
      `a call that may cost ${usd(held.microUsd)} does not fit under the caps of ${held.day}: all tiers ${usd(caps.total)} (spending.dailyUsd), tier ${held.tier} ${usd(caps.tier)} (spending.tiers.${held.tier}.dailyUsd)`,
    );
  }
}
