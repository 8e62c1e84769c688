/**
 * Which of a server's names are the adapters that were asked about: the reading that all wires with a list have in common.
 * A name alone proves nothing: it counts when it stands for the same artefact, told by the last folder of its path, which
 * is the digest, so that a mount of another name is no difference.
 */
import path from 'node:path';
import type { AdapterAddress, HeldAdapters } from '../core/adapter.ts';

/** `lich@7-3fa9c1d2`, as `engineNameOf` makes it. */
const OUR_NAME = /^[a-z0-9][a-z0-9._-]{0,63}@[A-Za-z0-9][A-Za-z0-9._-]{0,31}-[0-9a-f]{8}$/;
const DIGEST = /^[0-9a-f]{64}$/;

/** An adapter as a server tells of it. */
export interface ListedAdapter {
  readonly name: string;
  /** Where it was loaded from; null where the wire does not tell. */
  readonly path: string | null;
}

/** Sorts what a server lists by what was asked about. */
export function heldOf(known: readonly AdapterAddress[], listed: readonly ListedAdapter[]): HeldAdapters {
  const byName = new Map(known.map((address) => [address.engineName, address]));
  const held: string[] = [];
  const stale: string[] = [];
  let foreign = 0;
  for (const each of listed) {
    const address = byName.get(each.name);
    if (address !== undefined && isSameArtefact(each.path, address.path)) held.push(each.name);
    else if (address === undefined && OUR_NAME.test(each.name)) stale.push(each.name);
    else foreign += 1;
  }
  return { held, stale, foreign };
}

/** Whether a server's path is this artefact; one that it does not tell cannot contradict. */
export function isSameArtefact(told: string | null, ours: string): boolean {
  if (told === null || trimmed(told) === trimmed(ours)) return true;
  const [theirs, own] = [lastFolder(told), lastFolder(ours)];
  return theirs === own && DIGEST.test(own);
}

function lastFolder(folder: string): string {
  return path.posix.basename(trimmed(folder));
}

/** Paths of another system's engine may have its separators. */
function trimmed(folder: string): string {
  return folder.replaceAll('\\', '/').replace(/\/+$/, '');
}
