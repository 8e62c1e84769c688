/**
 * Adapters as folders on the disk, for doubles of engines: a configuration with a rank, and nothing to compute with. Real
 * engines need real weights; see `tests/fixtures/word-adapters`.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type AdapterAddress, engineNameOf } from '../core/adapter.ts';

export interface AdapterFolders extends AsyncDisposable {
  readonly root: string;
  /** A staged folder as the gateway makes it, as far as a double looks. */
  make(name: string, version: string, rank?: number): Promise<AdapterAddress>;
  /** The address of a folder that is not there. */
  missing(name: string, version: string): AdapterAddress;
}

export async function adapterFolders(): Promise<AdapterFolders> {
  const root = await mkdtemp(path.join(tmpdir(), 'greenroom-adapters-'));
  const addressOf = (name: string, version: string, rank: number): AdapterAddress => {
    const digest = createHash('sha256').update(`${name}@${version} ${rank}`).digest('hex');
    const folder = path.join(root, digest);
    return {
      engineName: engineNameOf({ name, version, digest }),
      number: (Number.parseInt(digest.slice(0, 8), 16) % 0x7fff_fffe) + 1,
      path: folder,
      localPath: folder,
      rank,
    };
  };
  return {
    root,
    make: async (name, version, rank = 8) => {
      const address = addressOf(name, version, rank);
      await mkdir(address.path, { recursive: true });
      const config = { peft_type: 'LORA', r: rank, lora_alpha: 2 * rank, target_modules: ['q_proj'] };
      await writeFile(path.join(address.path, 'adapter_config.json'), JSON.stringify(config));
      await writeFile(path.join(address.path, 'adapter.gguf'), `GGUF of ${address.engineName}`);
      return address;
    },
    missing: (name, version) => addressOf(name, version, 8),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
