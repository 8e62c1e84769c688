/**
 * Time limits of one attempt, cut from what is left of the dialogue. Pure. Invariant: totalMs + what is kept for the
 * rungs below <= leftMs, and no other limit is over totalMs; so a rung that uses all its time leaves some for the next.
 */
import type { BudgetOptions } from './options.ts';

export interface TimeBudget {
  /** Milliseconds from the place at the engine to the first token: what is learned has no wait for a place in it. */
  readonly firstTokenMs: number;
  /** Whether that is the engine's own limit; else it is cut by what the dialogue has left, which is no fault of the engine. */
  readonly isFirstTokenOwn: boolean;
  /** Longest milliseconds from the start of the attempt to a place: after it a first token is not to be expected in time. */
  readonly admitWithinMs: number;
  /** Longest milliseconds between two tokens. */
  readonly gapMs: number;
  /** Milliseconds for the whole attempt. */
  readonly totalMs: number;
}

export interface BudgetAsk {
  /** Until the deadline, the reserve of the written line already taken off. Below 0 counts as 0. */
  readonly leftMs: number;
  /** Rungs with engines that stand below this one. */
  readonly rungsBelow: number;
  /** Whether canary lines find it when it is stuck: a free engine. */
  readonly isWatched: boolean;
  /** Learned first-token percentile of this replica (pace.ts); null while nothing is learned. */
  readonly firstTokenPercentileMs: number | null;
  readonly settings: BudgetOptions;
}

/** Most of what is left that all rungs below may claim together; all of it while no first token has come. */
const SHARE_BELOW = 0.5;
/** A first token that takes longer than its percentile by this factor is not coming soon. */
const PATIENCE = 1.5;

export function timeBudget(ask: BudgetAsk): TimeBudget {
  const { leftMs, rungsBelow, isWatched, firstTokenPercentileMs, settings } = ask;
  const left = Math.max(0, leftMs);
  const totalMs = left - Math.min(left * SHARE_BELOW, Math.max(0, rungsBelow) * settings.floorMs);
  const learnedMs = firstTokenPercentileMs === null ? settings.ceilingMs : firstTokenPercentileMs * PATIENCE;
  // With no engine below, giving up early gains nothing but a written line, and a laptop that is busy would be taken out.
  const hasAllTime = rungsBelow <= 0 && isWatched;
  const ownMs = hasAllTime ? totalMs : Math.min(settings.ceilingMs, Math.max(settings.floorMs, learnedMs));
  const shareMs = rungsBelow > 0 ? left * (1 - SHARE_BELOW) : totalMs;
  return {
    firstTokenMs: Math.min(ownMs, shareMs),
    isFirstTokenOwn: ownMs < shareMs,
    admitWithinMs: totalMs - Math.min(firstTokenPercentileMs ?? settings.floorMs, totalMs),
    gapMs: Math.min(settings.gapMs, totalMs),
    totalMs,
  };
}
