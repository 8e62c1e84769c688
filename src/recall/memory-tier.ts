/**
 * The variants of this process, bounded by bytes: the key that was asked for longest ago goes first. Variants of a key
 * stand in the order they were born; one more than `variantsMax` pushes out the oldest.
 */
import { LruCache } from '../lib/lru.ts';
import { bytesOf, type Variant } from './variant.ts';

interface Kept {
  readonly variant: Variant;
  readonly expiresMonoMs: number;
}

const KEY_BYTES = 200;

export class MemoryTier {
  readonly #cache: LruCache<string, readonly Kept[]>;
  #variants = 0;
  #evictions = 0;

  constructor(bytesMax: number) {
    this.#cache = new LruCache({
      maxEntries: Number.MAX_SAFE_INTEGER,
      maxBytes: bytesMax,
      sizeOf: (kept: readonly Kept[], key) =>
        kept.reduce((sum, { variant }) => sum + bytesOf(variant), KEY_BYTES + 2 * key.length),
      onEvict: (_key, kept) => {
        this.#variants -= kept.length;
        this.#evictions += kept.length;
      },
    });
  }

  get bytes(): number {
    return this.#cache.bytes;
  }

  get keys(): number {
    return this.#cache.size;
  }

  get variants(): number {
    return this.#variants;
  }

  /** Variants that had to go for others since the start. */
  get evictions(): number {
    return this.#evictions;
  }

  get(key: string, nowMonoMs: number): readonly Variant[] {
    const kept = this.#cache.get(key);
    if (kept === undefined) return [];
    const fresh = kept.filter(({ expiresMonoMs }) => expiresMonoMs > nowMonoMs);
    if (fresh.length !== kept.length) this.#replace(key, fresh);
    return fresh.map(({ variant }) => variant);
  }

  keep(key: string, variant: Variant, expiresMonoMs: number, variantsMax: number): void {
    const others = (this.#cache.get(key) ?? []).filter((kept) => kept.variant.id !== variant.id);
    this.#replace(key, [...others, { variant, expiresMonoMs }].slice(-variantsMax));
  }

  /** Forgets one variant, as one that the guard no longer lets pass. */
  drop(key: string, variantId: string): void {
    const kept = this.#cache.get(key);
    if (kept !== undefined)
      this.#replace(
        key,
        kept.filter(({ variant }) => variant.id !== variantId),
      );
  }

  /** Forgets what an NPC said; null: everybody. Returns how many keys. */
  forget(npcId: string | null): number {
    const keys = [...this.#cache.keys()].filter((key) => npcId === null || key.startsWith(`${npcId}:`));
    for (const key of keys) this.#replace(key, []);
    return keys.length;
  }

  #replace(key: string, kept: readonly Kept[]): void {
    this.#variants -= this.#cache.get(key)?.length ?? 0;
    if (kept.length === 0) this.#cache.delete(key);
    else if (this.#cache.set(key, kept)) this.#variants += kept.length;
  }
}
