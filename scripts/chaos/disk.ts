/**
 * A disk that can be full: a small file system in memory for the data folder where root may mount one, else a limit on the
 * size of files that the gateway's process may write. Both fail the store's next write for real.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface SmallDisk extends Disposable {
  /** For the data of the gateway. */
  readonly folder: string;
  /** What is done, for the table. */
  readonly how: string;
  fill(gatewayPid: number): void;
  free(gatewayPid: number): void;
}

const SIZE = '24m';
const COMMAND_TIMEOUT_MS = 10_000;

export function openDisk(): SmallDisk {
  const mountPoint = mkdtempSync(path.join(tmpdir(), 'greenroom-chaos-'));
  const remove = () => rmSync(mountPoint, { recursive: true, force: true });
  try {
    run('mount', '-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', mountPoint);
  } catch {
    return limitedFiles(mountPoint, remove);
  }
  const ballast = path.join(mountPoint, 'ballast');
  const folder = path.join(mountPoint, 'data');
  mkdirSync(folder);
  return {
    folder,
    how: `a tmpfs of ${SIZE}, filled to its last byte`,
    fill: () => fillUp(ballast),
    free: () => rmSync(ballast, { force: true }),
    [Symbol.dispose]: () => {
      try {
        run('umount', '--lazy', mountPoint);
      } finally {
        remove();
      }
    },
  };
}

/** Node ignores the signal that comes with the limit, so the write itself fails. */
function limitedFiles(folder: string, remove: () => void): SmallDisk {
  return {
    folder,
    how: 'prlimit --fsize on the gateway (no rights to mount)',
    fill: (pid) => run('prlimit', '--pid', String(pid), '--fsize=1:unlimited'),
    free: (pid) => run('prlimit', '--pid', String(pid), '--fsize=unlimited:unlimited'),
    [Symbol.dispose]: remove,
  };
}

function fillUp(file: string): void {
  const handle = openSync(file, 'w');
  try {
    for (let size = 1_000_000; size >= 1; size = Math.floor(size / 10)) {
      const bytes = Buffer.alloc(size);
      try {
        while (writeSync(handle, bytes) > 0);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(handle);
  }
}

function run(program: string, ...parts: string[]): void {
  execFileSync(program, parts, { stdio: ['ignore', 'ignore', 'pipe'], timeout: COMMAND_TIMEOUT_MS });
}
