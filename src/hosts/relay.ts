/**
 * Which engine takes a request that is passed on as it came. Only free engines that speak OpenAI's wire do: what nobody
 * counts, nobody could hold against a cap.
 */
import { ServiceError } from '../core/errors.ts';
import type { Transport } from '../core/transport.ts';
import { invariant } from '../lib/invariant.ts';
import type { Admission } from '../routing/admission.ts';
import type { Pool } from '../routing/pool.ts';
import type { Host } from './host.ts';

export interface RelayTarget {
  readonly engine: string;
  /** The engine's own name for the model. */
  readonly model: string;
  readonly transport: Transport;
  readonly admission: Admission;
}

export type RelayHost = Pick<
  Host,
  'name' | 'kind' | 'model' | 'relaysOpenAi' | 'replica' | 'transport' | 'shortTransport' | 'shortAdmission'
>;

/** Throws `bad_request` when no engine of the pool may, `overloaded` or `not_ready` when none can now. */
export function relayTarget(
  pool: Pool,
  lane: 'generation' | 'short',
  hosts: ReadonlyMap<string, RelayHost>,
): RelayTarget {
  const barred = new Set<string>();
  for (const { name, isPaid } of pool.replicas)
    if (isPaid || hosts.get(name)?.relaysOpenAi !== true) barred.add(name);
  if (barred.size === pool.replicas.length) {
    const kinds = pool.replicas.map(({ name }) => hosts.get(name)?.kind);
    const reason = pool.isPaid
      ? 'costs money, and nobody counts what is passed through'
      : `speaks another wire (${kinds.join(', ')})`;
    throw new ServiceError('bad_request', `${pool.name} ${reason}; ask an NPC of it: model npc:<id>`);
  }
  // A full queue of generation must not turn an embedding away.
  const usable =
    lane === 'short'
      ? pool.replicas.find((each) => !barred.has(each.name) && each.unusable() === null)
      : undefined;
  const replica =
    usable ??
    pool.pick({
      prefixKey: '',
      adapter: null,
      promptTokens: 0,
      priority: 'interactive',
      deadlineLeftMs: Number.POSITIVE_INFINITY,
      exclude: barred,
    });
  if (typeof replica === 'string') {
    const code = replica === 'overload' ? 'overloaded' : 'not_ready';
    throw new ServiceError(code, `no engine of ${pool.name} can take this now (${replica}); see /readyz`);
  }
  const host = hosts.get(replica.name);
  invariant(host !== undefined, `${replica.name} has no host`);
  const { name: engine, model } = host;
  return lane === 'short'
    ? { engine, model, transport: host.shortTransport(), admission: host.shortAdmission }
    : { engine, model, transport: host.transport(), admission: replica.admission };
}
