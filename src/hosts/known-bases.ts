/** The base models that adapters may be for: what the engines of the configuration run. */
import { type BaseDescription, describeBase } from '../adapters/artefact/base.ts';
import type { KnownBases } from '../adapters/registry.ts';
import type { Host } from './host.ts';

/**
 * A base whose file lies on this machine is read once and checked against; of one that only a remote engine has nothing is
 * known, and that engine's own refusal is the check.
 */
export function knownBases(hosts: ReadonlyMap<string, Host>): KnownBases {
  const described = new Map<string, Promise<BaseDescription>>();
  const takers = () => [...hosts.values()].filter(({ takesAdapters }) => takesAdapters);
  return {
    names: () => [...new Set(takers().map(({ base }) => base))],
    find: async (name, signal) => {
      const file = takers().find((host) => host.base === name && host.modelFile !== null)?.modelFile;
      if (file === undefined || file === null) return null;
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
