/**
 * Which replica a prefix belongs to: highest random weight (Thaler & Ravishankar 1998), with the load bound of
 * "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup, Zadimoghaddam 2016): no replica takes more than
 * ceil(c · total · its share of the capacity). When a replica leaves, only the keys that lived there move.
 */

/**
 * The bound c. 1.25: at most a quarter over the mean, and a prefix finds its home full in about one case of six at most
 * (the paper's expected displacement is O(1/ε²) with c = 1 + ε).
 */
export const LOAD_BOUND = 1.25;

/** Most requests that one replica may hold once a further one is placed among `totalLoad` present ones. */
export function loadCap(totalLoad: number, capacity: number, totalCapacity: number): number {
  return Math.ceil((LOAD_BOUND * (totalLoad + 1) * capacity) / totalCapacity);
}

/** 32-bit FNV-1a of the UTF-16 units; stable over processes and versions. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}

/** The weight of a key at a replica, 0..2³²−1: a finaliser (MurmurHash3) over both hashes, so that every bit counts. */
export function weightOf(keyHash: number, replicaHash: number): number {
  let mixed = keyHash ^ Math.imul(replicaHash, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
