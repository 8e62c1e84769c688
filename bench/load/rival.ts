/**
 * What a rival of the gateway bench is, and where it lives: outside the tree, under the cache folder, each in a folder of
 * its own with pinned versions. Absent is an answer, with its reason and the command that installs; a made-up figure is none.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cacheDirectory } from '../../src/models/cache.ts';
import type { Program } from './program.ts';

export const INSTALL_RIVALS = 'npm run bench:gateway -- --install-rivals';

export interface Rival {
  readonly name: string;
  /** What would run, by name; null when it is not installed. Throws when something else than the pins is there. */
  versions(): Record<string, string> | null;
  /** Installs the pinned versions, with progress on this terminal. Throws what went wrong. */
  install(): void;
  /**
   * Starts it on loopback with the mock as its one upstream: no keys, no database, no retries. `folder` is for its
   * configuration and ends with the bench.
   */
  start(mockOrigin: string, folder: string): Promise<RunningRival>;
}

export interface RunningRival {
  readonly program: Program;
  readonly headers: Readonly<Record<string, string>>;
  /** The name by which a client asks for the mock's model. */
  readonly model: string;
}

export function rivalFolder(name: string): string {
  return path.join(cacheDirectory(process.env), 'rivals', name);
}

const failureFile = (name: string) => `${rivalFolder(name)}.failed.txt`;

/** Why the last try to install failed, in one line; null when there was none. */
export function installFailure(name: string): string | null {
  return existsSync(failureFile(name)) ? readFileSync(failureFile(name), 'utf8').trim() : null;
}

/** Installs a rival; a failure is kept for the table and does not stop the others. */
export function installRival(rival: Rival): void {
  console.log(`\n${rival.name}: installing in ${rivalFolder(rival.name)}`);
  mkdirSync(rivalFolder(rival.name), { recursive: true });
  rmSync(failureFile(rival.name), { force: true });
  try {
    rival.install();
    console.log(`${rival.name}: installed`, rival.versions());
  } catch (error) {
    // Addresses of this machine's package sources say nothing to the reader of a table.
    const words = (error as Error).message.replaceAll(/https?:\/\/\S+/g, '…').replaceAll(/\s+/g, ' ');
    const reason = words.slice(0, 300);
    writeFileSync(failureFile(rival.name), `${reason}\n`);
    console.log(`${rival.name}: not installed: ${reason}`);
  }
}
