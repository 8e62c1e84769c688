/**
 * A cache that forgets what was used longest ago, bounded by entries and by bytes as the caller sizes them.
 * Invariant: after every call, `size <= maxEntries` and `bytes <= maxBytes`. A Map keeps the order; no time, no timers.
 */
import { invariant } from './invariant.ts';

export interface LruOptions<K, V> {
  readonly maxEntries: number;
  /** Without it only the count bounds the cache. */
  readonly maxBytes?: number;
  /** Bytes that one entry takes; asked once, when it is set. Required with `maxBytes`. */
  readonly sizeOf?: (value: V, key: K) => number;
  /** Told of every entry that leaves to make room, not of those replaced or deleted. */
  readonly onEvict?: (key: K, value: V) => void;
}

export class LruCache<K, V> {
  readonly #options: LruOptions<K, V>;
  readonly #entries = new Map<K, { readonly value: V; readonly bytes: number }>();
  #bytes = 0;

  constructor(options: LruOptions<K, V>) {
    invariant(options.maxEntries > 0, `a cache of ${options.maxEntries} entries`);
    invariant(options.maxBytes === undefined || options.sizeOf, 'a cache bounded by bytes needs sizeOf');
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The value, which counts as used now. */
  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** The value, without counting as use. */
  peek(key: K): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Whether the key is held; does not count as use. */
  has(key: K): boolean {
    return this.#entries.has(key);
  }

  /** Keeps the value and makes room. False when it alone is over `maxBytes`: then the key is not held at all. */
  set(key: K, value: V): boolean {
    this.delete(key);
    const { maxEntries, maxBytes = Number.POSITIVE_INFINITY, sizeOf } = this.#options;
    const bytes = sizeOf?.(value, key) ?? 0;
    invariant(bytes >= 0, `an entry of ${bytes} bytes`);
    if (bytes > maxBytes) return false;
    while (this.#entries.size >= maxEntries || this.#bytes + bytes > maxBytes) this.#evictOldest();
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    return true;
  }

  delete(key: K): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#bytes -= entry.bytes;
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  /** Keys, the longest unused first. */
  keys(): IterableIterator<K> {
    return this.#entries.keys();
  }

  #evictOldest(): void {
    const oldest = this.#entries.entries().next();
    invariant(!oldest.done, 'a cache with nothing to evict is over its limit');
    const [key, entry] = oldest.value;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    this.#options.onEvict?.(key, entry.value);
  }
}
