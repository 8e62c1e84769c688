/** A hint that players will soon meet somebody: what the next line needs is asked for, behind every player who waits. */
import type { Cast } from '../cast/cast.ts';
import type { AdapterAbsence, AdapterKeeper } from '../core/adapter.ts';
import type { Pool } from '../routing/pool.ts';
import type { Tiers } from '../routing/tiers.ts';
import type { PrefixState, WarmPrefixes } from './warm-prefixes.ts';

export interface Prepared {
  readonly npcId: string;
  /** Null: it names none, or nobody is called so. */
  readonly adapter: string | null;
  /** `ready`: nothing is missing. */
  readonly state: 'ready' | 'unknown_npc' | AdapterAbsence;
  /** Whether an engine has read what its prompts begin with. */
  readonly prefix: PrefixState;
}

export interface PrepareParts {
  readonly cast: Cast;
  readonly tiers: Tiers;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly adapters: AdapterKeeper;
  readonly warm: Pick<WarmPrefixes, 'hint'>;
}

/** Resolves at once with what is there now; what is missing and can be had is on its way. */
export function prepareNpcs(
  npcIds: readonly string[],
  parts: PrepareParts,
  signal: AbortSignal,
): Promise<readonly Prepared[]> {
  return Promise.all(npcIds.map((npcId) => prepareNpc(npcId, parts, signal)));
}

async function prepareNpc(
  npcId: string,
  { cast, tiers, pools, adapters, warm }: PrepareParts,
  signal: AbortSignal,
): Promise<Prepared> {
  const persona = cast.npcs.get(npcId);
  if (persona === undefined) return { npcId, adapter: null, state: 'unknown_npc', prefix: 'cold' };
  const reference = persona.model.adapter;
  if (reference === undefined) return { npcId, adapter: null, state: 'ready', prefix: warm.hint(npcId) };
  const resolved = adapters.resolve(reference);
  if (typeof resolved === 'string') return { npcId, adapter: reference, state: resolved, prefix: 'cold' };
  const replicas = tiers[persona.tier].rungs.flatMap((rung) => pools.get(rung)?.replicas ?? []);
  const absence = await adapters.want(
    resolved,
    replicas.map(({ name }) => name),
    { priority: 'hint', tier: persona.tier, waitMs: 0 },
    signal,
  );
  return { npcId, adapter: resolved.id, state: absence ?? 'ready', prefix: warm.hint(npcId) };
}
