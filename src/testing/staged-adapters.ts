/**
 * Real adapters for the small model that tests serve, staged as the gateway stages them: the two that are trained to say
 * one sentence each, and seeded ones of any rank, which change every answer.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stageAdapter } from '../adapters/artefact/stage.ts';
import { type AdapterAddress, engineNameOf } from '../core/adapter.ts';
import { realRuntime } from '../runtime.ts';
import { SMOLLM2_BASE, writePeftFolder } from './peft-folder.ts';

const WORDS = path.resolve(import.meta.dirname, '../../tests/fixtures/word-adapters');

export interface StagedAdapters extends AsyncDisposable {
  readonly root: string;
  /** One of the trained: `amber` or `basalt`. */
  word(name: string): Promise<AdapterAddress>;
  /** Random weights, the same for the same seed. */
  seeded(name: string, seed: number, rank?: number): Promise<AdapterAddress>;
  /** The address of what is not there. */
  missing(name: string): AdapterAddress;
}

export async function stagedAdapters(): Promise<StagedAdapters> {
  const folder = await mkdtemp(path.join(tmpdir(), 'greenroom-staged-'));
  const root = path.join(folder, 'adapters');
  const { clock, random } = realRuntime;
  const stage = async (name: string, from: string): Promise<AdapterAddress> => {
    const { signal } = new AbortController();
    const artefact = await stageAdapter({ from, root, base: SMOLLM2_BASE, clock, random }, signal);
    return addressOf(name, artefact.digest, artefact.rank);
  };
  const addressOf = (name: string, digest: string, rank: number): AdapterAddress => {
    const place = path.join(root, digest);
    const number = (Number.parseInt(digest.slice(0, 8), 16) % 0x7fff_fffe) + 1;
    return {
      engineName: engineNameOf({ name, version: '1', digest }),
      number,
      path: place,
      localPath: place,
      rank,
    };
  };
  return {
    root,
    word: (name) => stage(name, path.join(WORDS, name)),
    seeded: async (name, seed, rank = 4) =>
      stage(
        name,
        await writePeftFolder(path.join(folder, `${name}-${seed}-${rank}`), { seed, rank, strength: 3 }),
      ),
    missing: (name) => addressOf(name, 'f'.repeat(64), 4),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
