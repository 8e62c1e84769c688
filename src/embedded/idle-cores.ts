/** How many cores nobody used lately, from the operating system's own counters. */
import type { CpuInfo } from 'node:os';
import { cpus } from 'node:os';

/** Cores that stood idle since the call before, 0..cores; null where the system does not say or too little time went by. */
export type IdleCores = () => number | null;

/** The counters tick every 10 ms on Linux; a shorter window would be noise. */
const WINDOW_MIN_MS = 100;

export function idleCoreMeter(read: () => readonly CpuInfo[] = cpus): IdleCores {
  let before = totals(read());
  return () => {
    const now = totals(read());
    const cores = now.cores;
    const spentMs = now.allMs - before.allMs;
    if (cores === 0 || spentMs / cores < WINDOW_MIN_MS) return null;
    const idle = ((now.idleMs - before.idleMs) / spentMs) * cores;
    before = now;
    return idle;
  };
}

function totals(infos: readonly CpuInfo[]): { cores: number; idleMs: number; allMs: number } {
  let idleMs = 0;
  let allMs = 0;
  for (const { times } of infos) {
    idleMs += times.idle;
    allMs += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { cores: infos.length, idleMs, allMs };
}
