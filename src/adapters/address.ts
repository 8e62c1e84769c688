/** How an adapter is addressed at one engine: by a name that no other weights ever had, a number, and the artefact's folder. */
import path from 'node:path';
import { type AdapterAddress, type AdapterRecord, engineNameOf } from '../core/adapter.ts';

/** The first 31 bits of the digest; 0 means "no adapter" on the wires that number them, so it becomes 1. */
export function adapterNumber(digest: string): number {
  return Number.parseInt(digest.slice(0, 8), 16) >>> 1 || 1;
}

/** `artefactRoot`: where the engine sees the folder of the artefacts; null: where we see it. */
export function addressOf(
  record: Pick<AdapterRecord, 'name' | 'version' | 'digest' | 'rank'>,
  directory: string,
  artefactRoot: string | null,
): AdapterAddress {
  const localPath = path.join(directory, record.digest);
  return {
    engineName: engineNameOf(record),
    number: adapterNumber(record.digest),
    // The engine may stand on another machine, whose paths are not ours to normalise.
    path: artefactRoot === null ? localPath : `${artefactRoot.replace(/\/+$/, '')}/${record.digest}`,
    localPath,
    rank: record.rank,
  };
}
