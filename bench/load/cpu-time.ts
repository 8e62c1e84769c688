/** CPU time of another process, from Linux's /proc: the figure of a gateway that a busy machine disturbs least. */
import { readFileSync } from 'node:fs';

/** Clock ticks per second in /proc/<pid>/stat: USER_HZ, 100 on every Linux that Node runs on (proc(5)). */
const TICKS_PER_SECOND = 100;

/** User and system time of all its threads so far (ms, in steps of 10); NaN where there is no /proc. */
export function cpuTimeMs(pid: number | undefined): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may hold anything; fields are counted from after it. Fields 14 and 15 of the whole line.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1_000;
  } catch {
    return Number.NaN;
  }
}
