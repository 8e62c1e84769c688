/** The ladder of one dialogue as a value: which engines to try, in order. Pure: same policy and snapshot, same plan. */
import type { Cause } from '../core/dialogue.ts';
import type { Engine } from '../core/engine.ts';
import type { Admission } from './admission.ts';
import type { TierPolicy } from './tiers.ts';

/** An engine as routing sees it now. */
export interface EngineEntry {
  readonly engine: Engine;
  readonly model: string;
  readonly modelVersion: string | null;
  readonly admission: Admission;
  /** Null when it may be used; otherwise why not. */
  unusable(): Cause | null;
}

export interface PlannedAttempt {
  readonly entry: EngineEntry;
  readonly rung: number;
}

export interface Plan {
  readonly attempts: readonly PlannedAttempt[];
  /** The rung of the written lines. */
  readonly writtenRung: number;
  /** Why the first rung was not planned, when it was not. */
  readonly cause: Cause | null;
}

/** Rungs that cannot be used now are left out and give the cause; the rest are tried in the tier's order. */
export function planAttempts(policy: TierPolicy, engines: ReadonlyMap<string, EngineEntry>): Plan {
  const attempts: PlannedAttempt[] = [];
  let cause: Cause | null = null;
  policy.rungs.forEach((name, rung) => {
    const entry = engines.get(name);
    const reason = entry === undefined ? 'disabled' : entry.unusable();
    if (entry !== undefined && reason === null) attempts.push({ entry, rung });
    else cause ??= reason;
  });
  return { attempts, writtenRung: policy.rungs.length, cause };
}
