/** Whether the programs that an installation needs are on this machine, before it starts what takes minutes. */
import { spawnSync } from 'node:child_process';

/** Null when the program answers to `--version` (or what else makes it say one), else what went wrong. */
export function toolMissing(program: string, ...parameters: readonly string[]): string | null {
  const wanted = parameters.length === 0 ? ['--version'] : parameters;
  const answer = spawnSync(program, wanted, { encoding: 'utf8', timeout: 20_000 });
  if (answer.status === 0) return null;
  return answer.error?.message ?? `${program} ended with ${answer.status}`;
}
