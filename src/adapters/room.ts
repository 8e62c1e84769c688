/**
 * What fits where: slots, bytes and rank of one replica as figures. Pure. A refusal names the figure that refused, so that
 * an operator knows what to unpin or to raise.
 */
import type { AdapterStage } from './views.ts';

/** One adapter at one replica, as the plan sees it. */
export interface PlanEntry {
  readonly engineName: string;
  readonly stage: AdapterStage;
  /** Lines that speak with it now. */
  readonly leases: number;
  readonly bytes: number;
  readonly residentSinceMonoMs: number;
  readonly lastUsedMonoMs: number;
  /** Uses a second, lately. */
  readonly rate: number;
  /** The highest that used or wanted it lately: 1..4. */
  readonly tier: number;
  /** What its last load and verification took. */
  readonly loadMs: number;
  /** Not tried again before this moment: it failed. */
  readonly notBeforeMonoMs: number;
  /** For whom it is being pushed out: its place is spoken for. */
  readonly claimedBy: string | null;
}

/** One replica that is connected. */
export interface PlanReplica {
  readonly name: string;
  readonly base: string;
  readonly slots: number;
  /** Slots that somebody else took. */
  readonly foreign: number;
  readonly bytesMax: number | null;
  readonly rankMax: number | null;
  /** Whether adapters come by a call at all; else only what it started with is there. */
  readonly loadsByCall: boolean;
  readonly stallsWhileLoading: boolean;
  /** Before traffic: what it loads stalls nobody. */
  readonly isStarting: boolean;
  /** What should be back before traffic. */
  readonly restores: ReadonlySet<string>;
  /** Loads that nobody waits for are not begun before this moment. */
  readonly restsUntilMonoMs: number;
  readonly entries: readonly PlanEntry[];
}

export interface Load {
  readonly engineName: string;
  readonly base: string;
  readonly rank: number;
  readonly bytes: number;
}

/** Whether the engine's memory holds it, or may. */
export function isHeld(entry: Pick<PlanEntry, 'stage'>): boolean {
  return (
    entry.stage === 'loading' ||
    entry.stage === 'verifying' ||
    entry.stage === 'resident' ||
    entry.stage === 'draining'
  );
}

/** Being brought in. */
export function isComing(entry: Pick<PlanEntry, 'stage'>): boolean {
  return entry.stage === 'staged' || entry.stage === 'loading' || entry.stage === 'verifying';
}

/** Places that are free for a newcomer: neither held nor spoken for. Below zero when the engine was made smaller. */
export function freeSlots(replica: PlanReplica): number {
  const taken = replica.entries.filter(takesPlace).length;
  return replica.slots - replica.foreign - taken;
}

/** As `freeSlots`, in bytes; infinite where nothing limits them. */
export function freeBytes(replica: PlanReplica): number {
  if (replica.bytesMax === null) return Number.POSITIVE_INFINITY;
  return replica.bytesMax - sum(replica.entries.filter(takesPlace));
}

/** Whether the engine has the place now, whatever is spoken for. */
export function fitsNow(replica: PlanReplica, bytes: number): boolean {
  const held = replica.entries.filter(isHeld);
  if (held.length + replica.foreign >= replica.slots) return false;
  return replica.bytesMax === null || sum(held) + bytes <= replica.bytesMax;
}

/**
 * Why this adapter can never be at this replica as things stand, with figures; null when it can. `isFixed` tells of an
 * engine name whether it may not be pushed out: pinned, or held by somebody who publishes.
 */
export function whyNoRoom(
  load: Load,
  replica: PlanReplica,
  isFixed: (engineName: string) => boolean,
): string | null {
  if (replica.rankMax !== null && load.rank > replica.rankMax)
    return `rank ${load.rank} is over the ${replica.rankMax} that ${replica.name} takes`;
  const fixed = replica.entries.filter(
    (entry) => entry.engineName !== load.engineName && isHeld(entry) && isFixed(entry.engineName),
  );
  const left = replica.slots - replica.foreign - fixed.length;
  if (left < 1)
    return `${replica.name} has ${replica.slots} slots, of which ${fixed.length} are pinned or being published and ${replica.foreign} taken by others`;
  if (replica.bytesMax === null) return null;
  const bytesLeft = replica.bytesMax - sum(fixed);
  if (load.bytes > bytesLeft)
    return `it needs ${load.bytes} bytes; ${replica.name} has ${bytesLeft} of ${replica.bytesMax} that are not pinned`;
  return null;
}

function takesPlace(entry: PlanEntry): boolean {
  return entry.stage === 'staged' || (isHeld(entry) && entry.claimedBy === null);
}

function sum(entries: readonly { readonly bytes: number }[]): number {
  return entries.reduce((bytes, entry) => bytes + entry.bytes, 0);
}
