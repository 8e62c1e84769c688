/**
 * Which replica a prefix belongs to: highest random weight (Thaler & Ravishankar 1998), with the load bound of
 * "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup, Zadimoghaddam 2016): no replica takes more than
 * ceil(c · total · its share of the capacity). When a replica leaves, only the keys that lived there move.
 */

/**
 * The bound c. 1.25: at most a quarter over the mean, at the price that some requests leave their home (the paper: moving
 * one request displaces O(1/ε²) others, with c = 1 + ε).
 */
export const LOAD_BOUND = 1.25;
/**
 * Up to this share of its own places a replica is never called overloaded: with three requests in a pool of a hundred the
 * mean is nothing, and a batch of three lines of one persona belongs on one engine.
 */
export const IDLE_SHARE = 0.25;

/**
 * Most requests that one replica may hold when a further one is placed among `totalLoad` present ones: ceil(c · mean), by
 * its share of the capacity, or a quarter of its places when that is more. Some replica is always below it.
 */
export function loadCap(totalLoad: number, capacity: number, totalCapacity: number): number {
  const share = Math.ceil((LOAD_BOUND * (totalLoad + 1) * capacity) / totalCapacity);
  return Math.max(share, Math.ceil(IDLE_SHARE * capacity));
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
