/** Whether an adapter may come to where it is wanted, and why not: for lines that would wait in vain, and for who publishes. */
import { type AdapterAbsence, type AdapterRecord, adapterId, engineNameOf } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import { bytesOf, type Holdings, loadsByCall } from './holdings.ts';
import type { KeptReplica } from './kept-replica.ts';
import { isHeld, whyNoRoom } from './room.ts';

/** Why it will not come to a replica of its base; null when it is there or may come. */
export function hindrance(holdings: Holdings, record: AdapterRecord, kept: KeptReplica): ServiceError | null {
  const place = kept.places.get(engineNameOf(record));
  if (place !== undefined && isHeld(place)) return null;
  if (place?.stage === 'failed')
    return new ServiceError('adapter_failed', `${place.id} at ${kept.name}: ${place.reason ?? 'unknown'}`);
  const reason = roomReason(holdings, record, kept);
  return reason === null ? null : new ServiceError('no_room', `${adapterId(record)}: ${reason}`);
}

/** Why it can never be there as things stand, with figures; null when it can. */
export function roomReason(holdings: Holdings, record: AdapterRecord, kept: KeptReplica): string | null {
  const engineName = engineNameOf(record);
  if (!loadsByCall(kept.replica) && kept.places.get(engineName) === undefined)
    return `${kept.name} takes adapters only when it starts`;
  const load = { engineName, base: record.base, rank: record.rank, bytes: bytesOf(record) };
  return whyNoRoom(load, kept.size(), (name) => holdings.isFixed(name));
}

/** Why a line would wait in vain; null when it may hope. */
export function whyUseless(
  holdings: Holdings,
  engineName: string,
  replicas: readonly string[],
): AdapterAbsence | null {
  if (!holdings.isPublished(engineName) && holdings.keptTargets(engineName) === null) return 'unpublished';
  const record = holdings.record(engineName);
  if (record === null) return 'loading';
  let worst: AdapterAbsence = 'unsupported';
  for (const name of replicas) {
    const kept = holdings.replicas.get(name);
    if (kept === undefined) {
      if (holdings.down.get(name)?.base === record.base) return null;
      continue;
    }
    if (kept.replica.base !== record.base) continue;
    const why = hindrance(holdings, record, kept);
    if (why === null) return null;
    if (worst !== 'failed') worst = why.code === 'no_room' ? 'no_room' : 'failed';
  }
  return worst;
}

/**
 * True when it is resident at every target that is connected; where none is, or `one` is asked for, at any replica of its
 * base. Throws `adapter_failed` or `no_room` when that will not come to be.
 */
export function isWhereItShould(
  holdings: Holdings,
  record: AdapterRecord,
  targets: 'one' | readonly string[],
): boolean {
  const engineName = engineNameOf(record);
  const ofBase = holdings.connected().filter(({ replica }) => replica.base === record.base);
  const asked = targets === 'one' ? [] : ofBase.filter(({ name }) => targets.includes(name));
  const where = asked.length === 0 ? ofBase : asked;
  const there = where.filter((kept) => kept.places.get(engineName)?.stage === 'resident').length;
  if (there === where.length ? there > 0 : asked.length === 0 && there > 0) return true;
  const reasons = where.map((kept) => hindrance(holdings, record, kept));
  const first = reasons.find((reason) => reason !== null) ?? null;
  const isHopeless = asked.length === 0 ? reasons.every((reason) => reason !== null) : first !== null;
  if (isHopeless && first !== null) throw first;
  return false;
}
