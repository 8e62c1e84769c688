/** Repeatable choices: a number drawn from words, so that the same player, NPC and moment always choose the same. */

/** FNV-1a with a final avalanche (http://www.isthe.com/chongo/tech/comp/fnv/, MurmurHash3's fmix32); unsigned 32 bits. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash ^= text.charCodeAt(at);
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A number in [0, 1) drawn from the seed text. */
export function seededUnit(seed: string): number {
  return hash32(seed) / 0x1_0000_0000;
}
