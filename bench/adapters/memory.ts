/** What an adapter costs in the engine's memory, against the computed figure, and whether it comes back when it is unloaded. */
import { median, round } from '../load/statistics.ts';
import type { EngineRoom } from './engine-room.ts';

export interface MemoryFigures {
  readonly adapters: number;
  /** Null where the system does not tell a process's memory. */
  readonly measuredEach: number | null;
  readonly computedEach: number;
  readonly loadP50Ms: number;
  readonly unloadP50Ms: number;
  readonly cycles: number;
  /** Growth of the resident memory, bytes a cycle of load and unload, over the second half of the cycles. */
  readonly bytesPerCycle: number | null;
}

export async function measureMemory(
  room: EngineRoom,
  cycles: number,
  signal: AbortSignal,
): Promise<MemoryFigures> {
  await room.empty(signal);
  const loads: number[] = [];
  const unloads: number[] = [];
  const timed = async (into: number[], work: () => Promise<void>) => {
    const startedMs = performance.now();
    await work();
    into.push(performance.now() - startedMs);
  };
  const addresses = room.records.map((record) => room.address(record));
  const before = room.residentMemory();
  for (const address of addresses) await timed(loads, () => room.adapters.load(address, signal));
  const after = room.residentMemory();
  for (const address of addresses) await timed(unloads, () => room.adapters.unload(address, signal));
  const points: { readonly at: number; readonly bytes: number }[] = [];
  for (let cycle = 0; cycle < cycles; cycle++) {
    const address = addresses[cycle % addresses.length];
    if (address === undefined) break;
    await timed(loads, () => room.adapters.load(address, signal));
    await timed(unloads, () => room.adapters.unload(address, signal));
    const bytes = room.residentMemory();
    // The allocator keeps what it had at first; what grows after that is a leak.
    if (bytes !== null && cycle >= cycles / 2) points.push({ at: cycle, bytes });
  }
  return {
    adapters: addresses.length,
    measuredEach: before === null || after === null ? null : Math.round((after - before) / addresses.length),
    computedEach: room.computedBytes,
    loadP50Ms: round(median(loads), 1),
    unloadP50Ms: round(median(unloads), 1),
    cycles,
    bytesPerCycle: points.length < 2 ? null : Math.round(slope(points)),
  };
}

/** Least squares. */
function slope(points: readonly { readonly at: number; readonly bytes: number }[]): number {
  const meanAt = points.reduce((sum, { at }) => sum + at, 0) / points.length;
  const meanBytes = points.reduce((sum, { bytes }) => sum + bytes, 0) / points.length;
  let above = 0;
  let below = 0;
  for (const { at, bytes } of points) {
    above += (at - meanAt) * (bytes - meanBytes);
    below += (at - meanAt) ** 2;
  }
  return above / below;
}
