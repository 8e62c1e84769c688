/**
 * Who wants which adapter: lines that wait, lines that went without lately, and hints. A line that was answered by the base
 * goes on paying for a while, because the same player will ask the same character again; else an adapter would never be
 * loaded where nobody may wait. What is kept is a few numbers an adapter, whatever the traffic.
 */
import type { AdapterAbsence, AdapterWish } from '../core/adapter.ts';
import type { Clock } from '../core/runtime.ts';
import { UseRate } from './use-rate.ts';
import type { Demand } from './worth.ts';

/** How long a line that went without goes on paying. */
const RECALL_MS = 10_000;
/** How long a hint does: players walk about so long between two places. */
const HINT_MS = 60_000;
/** Below one line in eight minutes nobody remembers it. */
const FORGOTTEN_RATE = 0.002;

export interface Waiter {
  readonly engineName: string;
  readonly replicas: readonly string[];
  readonly wish: AdapterWish;
  readonly sinceMonoMs: number;
  readonly settle: (absence: AdapterAbsence | null) => void;
}

interface Recalled {
  interactive: number;
  ambient: number;
  hint: number;
  sinceMonoMs: number;
  /** Until when lines, and hints, are remembered. */
  linesUntilMonoMs: number;
  hintUntilMonoMs: number;
  tier: number;
  readonly replicas: Set<string>;
}

export class Demands {
  readonly #waiting = new Map<string, Set<Waiter>>();
  readonly #recalled = new Map<string, Recalled>();
  readonly #rates = new Map<string, UseRate>();

  /** A line wants it, wherever it is. */
  count(engineName: string, nowMonoMs: number): void {
    const rate = this.#rates.get(engineName) ?? new UseRate();
    rate.used(nowMonoMs);
    this.#rates.set(engineName, rate);
  }

  /** Lines a second that want it. */
  rateOf(engineName: string, nowMonoMs: number): number {
    return this.#rates.get(engineName)?.at(nowMonoMs) ?? 0;
  }

  /** Names of adapters that are wanted, or were lately. */
  get wanted(): ReadonlySet<string> {
    return new Set([...this.#waiting.keys(), ...this.#recalled.keys()]);
  }

  get waiters(): readonly Waiter[] {
    return [...this.#waiting.values()].flatMap((waiters) => [...waiters]);
  }

  /** Waits until somebody settles it, or `wish.waitMs` pass, which is `loading`. Rejects with the signal's reason. */
  untilSettled(
    waiting: Omit<Waiter, 'settle' | 'wish'> & { readonly wish: AdapterWish & { readonly waitMs: number } },
    clock: Pick<Clock, 'timer'>,
    signal: AbortSignal,
  ): Promise<AdapterAbsence | null> {
    return new Promise((resolve, reject) => {
      const settle = (outcome: AdapterAbsence | null) => end(() => resolve(outcome));
      const waiter = this.#wait({ ...waiting, settle });
      const limit = clock.timer(waiting.wish.waitMs, () => settle('loading'));
      const onAbort = () => end(() => reject(signal.reason as Error));
      const end = (how: () => void) => {
        waiter[Symbol.dispose]();
        limit[Symbol.dispose]();
        signal.removeEventListener('abort', onAbort);
        how();
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Disposed when it waits no longer. */
  #wait(waiter: Waiter): Disposable {
    const waiters = this.#waiting.get(waiter.engineName) ?? new Set();
    this.#waiting.set(waiter.engineName, waiters.add(waiter));
    return {
      [Symbol.dispose]: () => {
        waiters.delete(waiter);
        if (waiters.size === 0 && this.#waiting.get(waiter.engineName) === waiters)
          this.#waiting.delete(waiter.engineName);
      },
    };
  }

  /** A wish ended without its adapter, or is a hint, which never waits. */
  recall(
    engineName: string,
    { wish, replicas, sinceMonoMs }: Pick<Waiter, 'wish' | 'replicas' | 'sinceMonoMs'>,
    nowMonoMs: number,
  ): void {
    const before = this.#recalled.get(engineName);
    const recalled = before ?? {
      interactive: 0,
      ambient: 0,
      hint: 0,
      sinceMonoMs,
      linesUntilMonoMs: 0,
      hintUntilMonoMs: 0,
      tier: wish.tier,
      replicas: new Set<string>(),
    };
    recalled[wish.priority] += 1;
    recalled.tier = Math.max(recalled.tier, wish.tier);
    recalled.sinceMonoMs = Math.min(recalled.sinceMonoMs, sinceMonoMs);
    if (wish.priority === 'hint') recalled.hintUntilMonoMs = nowMonoMs + HINT_MS;
    else recalled.linesUntilMonoMs = nowMonoMs + RECALL_MS;
    for (const replica of replicas) recalled.replicas.add(replica);
    this.#recalled.set(engineName, recalled);
  }

  /** It is there now: what was owed is paid. */
  served(engineName: string): void {
    this.#recalled.delete(engineName);
  }

  forgetOld(nowMonoMs: number): void {
    for (const [engineName, rate] of this.#rates)
      if (rate.at(nowMonoMs) < FORGOTTEN_RATE) this.#rates.delete(engineName);
    for (const [engineName, recalled] of this.#recalled) {
      if (nowMonoMs >= recalled.linesUntilMonoMs) {
        recalled.interactive = 0;
        recalled.ambient = 0;
      }
      if (nowMonoMs >= recalled.hintUntilMonoMs) recalled.hint = 0;
      if (recalled.interactive + recalled.ambient + recalled.hint === 0) this.#recalled.delete(engineName);
    }
  }

  of(engineName: string): Demand | null {
    const waiters = this.#waiting.get(engineName);
    const recalled = this.#recalled.get(engineName);
    if (waiters === undefined && recalled === undefined) return null;
    const demand = {
      interactive: recalled?.interactive ?? 0,
      ambient: recalled?.ambient ?? 0,
      hint: recalled?.hint ?? 0,
      sinceMonoMs: recalled?.sinceMonoMs ?? Number.POSITIVE_INFINITY,
      tier: recalled?.tier ?? 1,
      replicas: new Set(recalled?.replicas),
    };
    for (const { wish, replicas, sinceMonoMs } of waiters ?? []) {
      demand[wish.priority] += 1;
      demand.tier = Math.max(demand.tier, wish.tier);
      demand.sinceMonoMs = Math.min(demand.sinceMonoMs, sinceMonoMs);
      for (const replica of replicas) demand.replicas.add(replica);
    }
    return demand;
  }
}
