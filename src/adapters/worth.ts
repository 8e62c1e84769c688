/**
 * What a place is worth to the adapter that has it and to the one that wants it, in expected lines. Pure. It is what keeps
 * two adapters from chasing one another out of one slot: a newcomer pays with lines that wait, the other defends itself
 * with the lines that it will probably speak, and a load must have had the time to pay for itself.
 */
import type { PlanEntry } from './room.ts';

/** Who pays for a load, the most pressing first. */
export const PAYERS = [
  'publish',
  'restore',
  'pin',
  'interactive',
  'ambient',
  'spread',
  'hot',
  'hint',
] as const;
export type Payer = (typeof PAYERS)[number];

/** Lines that want an adapter that they do not have. */
export interface Demand {
  /** Waiting now, or answered without it lately. */
  readonly interactive: number;
  readonly ambient: number;
  readonly hint: number;
  /** Since when the oldest of them wants it. */
  readonly sinceMonoMs: number;
  readonly tier: number;
  /** Where it would be of use; null: anywhere. */
  readonly replicas: ReadonlySet<string> | null;
}

/** A line of a boss is worth three of a passer-by. */
const TIER_WORTH = [1, 1, 1.5, 2, 3] as const;
/** A load pays for itself when it stays for as long as four loads take: then at most a fifth of the time is loading. */
const HOLD_LOADS = 4;
const HOLD_MIN_MS = 1_000;
const HOLD_MAX_MS = 30_000;
/** Where a load holds up nobody but the line that waits for it, it need only be worth that line's wait. */
const QUIET_HOLD_LOADS = 1;
const QUIET_HOLD_MIN_MS = 50;
/** Fewer expected lines than this while it must stay: its demand is gone and it need not stay. */
const GONE_LINES = 0.25;
/** A line that waited, or went without, for so long gets its place whatever the other is worth. */
export const STARVES_AFTER_MS = 5_000;
/** How long players' use protects an adapter against those who cannot wait for anything. */
const AMBIENT_RESPECTS_MS = 5_000;
const HINT_RESPECTS_MS = 60_000;
/** A copy more must be worth twice what it pushes out. */
const HOT_MARGIN = 2;
/** Lines at once at every copy of an adapter, above which it earns one more. */
export const HOT_LEASES = 4;

export function tierWorth(tier: number): number {
  return TIER_WORTH[tier] ?? 1;
}

/** How long it stays at least, once it is there (ms). `stalls`: whether lines of others stand still while it loads. */
export function holdMs(loadMs: number, stalls: boolean): number {
  const [loads, leastMs] = stalls ? [HOLD_LOADS, HOLD_MIN_MS] : [QUIET_HOLD_LOADS, QUIET_HOLD_MIN_MS];
  return Math.min(HOLD_MAX_MS, Math.max(leastMs, loads * loadMs));
}

/** For choosing whom to push out: its expected use, of which the time since the last one is the estimate when it is rare. */
export function keepWorth(entry: PlanEntry, nowMonoMs: number): number {
  const idleSeconds = Math.max(0, nowMonoMs - entry.lastUsedMonoMs) / 1_000;
  return tierWorth(entry.tier) * (entry.rate + 1 / (1 + idleSeconds));
}

export function isStarving(demand: Demand | null, nowMonoMs: number): boolean {
  return demand !== null && demand.interactive > 0 && nowMonoMs - demand.sinceMonoMs >= STARVES_AFTER_MS;
}

/** The lines that a newcomer serves if it gets a place now. */
export function pays(demand: Demand | null): number {
  if (demand === null) return 0;
  return tierWorth(demand.tier) * (demand.interactive + demand.ambient / 2);
}

/**
 * Whether one that nobody speaks with now may be pushed out for this payer. `isWanted`: lines wait for it elsewhere or went
 * without it. `copyWorth`: what a further copy of a hot adapter would serve, in lines a second.
 */
export function mayPushOut(
  entry: PlanEntry,
  by: {
    readonly payer: Payer;
    readonly demand: Demand | null;
    readonly copyWorth: number;
    readonly isWanted: boolean;
    /** Whether a load holds up the lines of others there. */
    readonly stalls: boolean;
    readonly nowMonoMs: number;
  },
): boolean {
  const { nowMonoMs, payer, demand } = by;
  const stayMs = holdMs(entry.loadMs, by.stalls);
  const lines = entry.rate * (stayMs / 1_000);
  const hasStayed = nowMonoMs - entry.residentSinceMonoMs >= stayMs;
  const idleMs = nowMonoMs - entry.lastUsedMonoMs;
  switch (payer) {
    case 'publish':
    case 'pin':
      return true;
    case 'interactive': {
      const isGone = lines < GONE_LINES && !by.isWanted && idleMs > 0;
      if (!hasStayed && !isGone) return false;
      return isStarving(demand, nowMonoMs) || pays(demand) > tierWorth(entry.tier) * lines;
    }
    case 'ambient':
      return hasStayed && idleMs >= AMBIENT_RESPECTS_MS && pays(demand) > tierWorth(entry.tier) * lines;
    case 'hot':
      return hasStayed && by.copyWorth > HOT_MARGIN * keepWorth(entry, nowMonoMs);
    case 'hint':
      return hasStayed && idleMs >= HINT_RESPECTS_MS && !by.isWanted;
    case 'restore':
    case 'spread':
      return false;
  }
}
