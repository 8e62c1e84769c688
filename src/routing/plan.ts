/**
 * The ladder of one dialogue as a value: which pools to try, in order. It asks nobody and changes nothing: the same
 * policy and the same state of the replicas give the same plan.
 */
import type { Cause } from '../core/dialogue.ts';
import { mildest } from './pick.ts';
import type { Pool } from './pool.ts';
import type { Replica } from './replica.ts';
import type { TierPolicy } from './tiers.ts';

export interface PlannedRung {
  readonly pool: Pool;
  /** Its number in the tier's ladder; 0 is the first. */
  readonly rung: number;
}

export interface LadderPlan {
  readonly rungs: readonly PlannedRung[];
  /** The rung of the written lines. */
  readonly writtenRung: number;
  /** Why the first rung that was left out was; null when none was. */
  readonly cause: Cause | null;
}

export interface PlanLimits {
  /** False while the operator has paid engines switched off. */
  readonly mayPay: boolean;
  /** Names of pools that must not be asked again. */
  readonly skip?: ReadonlySet<string>;
}

/** A tier may name it as its last rung to say that nothing else stands below; it is no pool. */
export const WRITTEN_RUNG = 'written';

/**
 * The rungs of a tier that can be used now, in its order. One that cannot is left out and gives its cause; one whose
 * every usable replica stands on a rung above is left out without one, because that was the attempt.
 */
export function planLadder(
  policy: Pick<TierPolicy, 'rungs'>,
  pools: ReadonlyMap<string, Pool>,
  limits: PlanLimits,
): LadderPlan {
  const rungs: PlannedRung[] = [];
  let cause: Cause | null = null;
  const { length } = policy.rungs;
  const writtenRung = policy.rungs[length - 1] === WRITTEN_RUNG ? length - 1 : length;
  for (let rung = 0; rung < writtenRung; rung++) {
    const pool = pools.get(policy.rungs[rung] ?? '');
    const reason = pool === undefined ? 'disabled' : whyNot(pool, limits);
    if (pool === undefined || reason !== null) {
      cause ??= reason;
      continue;
    }
    const isAsked = (replica: Replica) => rungs.some((above) => above.pool.has(replica));
    if (rungs.length === 0 || !pool.replicas.every(isAsked)) rungs.push({ pool, rung });
  }
  return { rungs, writtenRung, cause };
}

function whyNot(pool: Pool, { mayPay, skip }: PlanLimits): Cause | null {
  if (skip?.has(pool.name) === true) return 'disabled';
  if (mayPay) return pool.unusable();
  let cause: Cause | null = null;
  for (const replica of pool.replicas) {
    const reason = replica.isPaid ? 'disabled' : replica.unusable();
    if (reason === null) return null;
    cause = mildest(cause, reason);
  }
  return cause;
}
