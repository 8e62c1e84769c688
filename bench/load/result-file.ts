/** What every benchmark writes: `{commit, machine, versions, seed, rows, bars}` (design.md §6), on one machine in one run. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import path from 'node:path';

export interface Bar {
  readonly name: string;
  /** Null when it could not be measured, because a rival is absent. */
  readonly value: number | null;
  readonly bound: string;
  readonly holds: boolean | null;
  readonly note: string;
}

export interface BenchResult {
  readonly versions: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly quick: boolean;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly bars: readonly Bar[];
}

/** How many processes wanted a core in the minute before the bench: above 0 somebody else was at work. */
const LOAD_BEFORE = Math.round((loadavg()[0] ?? 0) * 10) / 10;

/** Writes the file, with the commit (`+changes` when shipped code differs from it) and the machine before the rest. */
export function writeResult(file: string, result: BenchResult): void {
  const git = (...parts: string[]) => execFileSync('git', parts, { encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--', 'src', 'bench/*.ts', 'bench/load') !== '';
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    system: `${process.platform} ${release()}`,
    loadBefore: LOAD_BEFORE,
  };
  const commit = `${git('rev-parse', '--short', 'HEAD')}${isChanged ? '+changes' : ''}`;
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ commit, machine, ...result }, null, 2)}\n`);
}
