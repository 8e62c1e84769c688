/**
 * With which adapter a line is spoken at one pool: the one that its persona names when it is resident there or comes in
 * time, else the base, and then the reply says why. What is chosen is held by a lease until the line has ended.
 */
import type { AdapterAbsence, AdapterLease, ResolvedAdapter } from '../core/adapter.ts';
import type { Pool } from '../routing/pool.ts';
import type { Replica } from '../routing/replica.ts';
import type { LadderParts, Walk } from './walk.ts';

/** An adapter that loads may use up so much of the time that is left; the rest is for speaking. */
const WAIT_SHARE = 0.25;

export interface WantedAdapter {
  /** As the persona names it. */
  readonly reference: string;
  /** Null when the reference means nothing now. */
  readonly resolved: ResolvedAdapter | null;
  /** Null: it is resident somewhere in the pool. */
  readonly absence: AdapterAbsence | null;
}

/** Null when the persona names none. Waits as long as the deadline and the options allow, once a dialogue. */
export async function wantAdapter(
  pool: Pool,
  walk: Walk,
  { adapters, adapterWaitMs }: Pick<LadderParts, 'adapters' | 'adapterWaitMs'>,
  signal: AbortSignal,
): Promise<WantedAdapter | null> {
  const reference = walk.scene.adapter;
  if (reference === null) return null;
  const resolved = adapters.resolve(reference);
  if (typeof resolved === 'string') return { reference, resolved: null, absence: resolved };
  const usable = pool.replicas.filter((each) => each.unusable() === null);
  const waitMs = walk.hasWaited ? 0 : Math.max(0, Math.min(adapterWaitMs, walk.leftMs() * WAIT_SHARE));
  walk.hasWaited = true;
  const absence = await adapters.want(
    resolved,
    usable.map(({ name }) => name),
    { priority: walk.request.priority, tier: walk.scene.tier, waitMs },
    signal,
  );
  return { reference, resolved, absence };
}

/** What a replica was chosen to speak with. */
export interface HeldAdapter {
  readonly lease: AdapterLease | null;
  readonly missing: { readonly adapter: string; readonly reason: AdapterAbsence } | null;
}

/** The lease at this replica. Where there is none the base speaks. */
export function holdAdapter(
  wanted: WantedAdapter | null,
  replica: Replica,
  { adapters }: Pick<LadderParts, 'adapters'>,
): HeldAdapter {
  if (wanted === null) return { lease: null, missing: null };
  const { reference, resolved, absence } = wanted;
  const lease = resolved === null ? null : adapters.lease(resolved, replica.name);
  if (lease !== null) return { lease, missing: null };
  return { lease: null, missing: { adapter: resolved?.id ?? reference, reason: absence ?? 'loading' } };
}
