/** The base models that adapters may be for: what the engines of the configuration run. */
import { type BaseDescription, describeBase } from '../adapters/artefact/base.ts';
import type { KnownBases } from '../adapters/registry.ts';
import { ServiceError } from '../core/errors.ts';
import type { Host } from './host.ts';

/**
 * Each is described from its file on this machine, read once. `find` throws `not_ready` while that file is fetched, and
 * `setup_incomplete` for a base that runs elsewhere and of which nobody named a file.
 */
export function knownBases(hosts: ReadonlyMap<string, Host>): KnownBases {
  const described = new Map<string, Promise<BaseDescription>>();
  const takers = () => [...hosts.values()].filter(({ takesAdapters }) => takesAdapters);
  return {
    names: () => [...new Set(takers().map(({ base }) => base))],
    find: async (name, signal) => {
      const running = takers().filter(({ base }) => base === name);
      if (running.length === 0) return null;
      const file = running.find(({ modelFile }) => modelFile !== null)?.modelFile ?? null;
      if (file === null) throw unread(name, running);
      let reading = described.get(file.path);
      if (reading === undefined) {
        reading = describeBase(file.path, signal);
        described.set(file.path, reading);
        reading.catch(() => described.delete(file.path));
      }
      return { description: await reading, digest: file.sha256 };
    },
  };
}

/** A file that is still on its way comes by itself; one that nobody named does not. */
function unread(name: string, running: readonly Host[]): ServiceError {
  const engines = running.map((host) => host.name).join(', ');
  return running.some(({ kind }) => kind === 'embedded')
    ? new ServiceError('not_ready', `the file of the base model ${name} is not here yet (engine ${engines})`)
    : new ServiceError(
        'setup_incomplete',
        `nothing is known of the base model ${name}, which runs elsewhere (engine ${engines}): set engines.${running[0]?.name}.baseFiles to its GGUF file or to the folder with its config.json, so that adapters can be checked against it`,
      );
}
