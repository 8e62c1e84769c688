/**
 * When a second replica is asked because the first is unusually late ("The Tail at Scale", Dean & Barroso 2013). The
 * allowance keeps the extra requests under their share, so a slow hour cannot double the load that made it slow.
 */
import type { HedgingOptions } from './options.ts';
import type { Pace } from './pace.ts';

export interface HedgeAsk {
  readonly pace: Pick<Pace, 'firstTokenPercentileMs'>;
  /** The first-token limit of the first attempt: a hedge after it comes too late. */
  readonly firstTokenMs: number;
  readonly settings: HedgingOptions;
}

/** Milliseconds after which the second is asked; null: not at all. */
export function hedgeAfterMs({ pace, firstTokenMs, settings }: HedgeAsk): number | null {
  if (!settings.enabled) return null;
  const afterMs = pace.firstTokenPercentileMs(settings.percentile);
  return afterMs === null || afterMs >= firstTokenMs ? null : afterMs;
}

/** Extra requests are paid from what the others left: `maxShare` of one for each, saved up to ten. */
export class HedgeAllowance {
  readonly #settings: HedgingOptions;
  #saved = 0;

  constructor(settings: HedgingOptions) {
    this.#settings = settings;
  }

  /** One request that was not a hedge. */
  requested(): void {
    this.#saved = Math.min(SAVED_MAX, this.#saved + this.#settings.maxShare);
  }

  /** Whether a hedge may go out now to a replica; if so it is paid for. */
  tryHedge(replica: { readonly isPaid: boolean }): boolean {
    if (!this.#settings.enabled || (replica.isPaid && !this.#settings.paid)) return false;
    // Shares such as 0.05 do not add up to whole numbers exactly.
    if (this.#saved < 1 - 1e-9) return false;
    this.#saved -= 1;
    return true;
  }
}

const SAVED_MAX = 10;
