/**
 * How much of a prompt one engine's cache probably holds, by what the prompt begins with (persona, tier, adapter): learned
 * from what the engine told of its own lines. A persona that was never heard here is cold, however warm the others are;
 * that difference is what the order of the queue lives on.
 */
import type { Clock } from '../core/runtime.ts';
import { LruCache } from '../lib/lru.ts';

interface Known {
  /** Running mean of the cached tokens of its lines, cold ones left out; null: only cold ones so far. */
  readonly cachedTokens: number | null;
  readonly atMonoMs: number;
}

const KNOWN_MAX = 4_096;
/** So long after its last line a prefix is taken to be cached still (ms); engines forget by size, not by time. */
const CACHED_FOR_MS = 300_000;
/** One line has more of its history cached than the next: its weight in the mean. */
const NEWEST_SHARE = 0.3;

export class CachedPrefixes {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #known = new LruCache<string, Known>({ maxEntries: KNOWN_MAX });

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** A line with this prefix was served, and so much of its prompt came from the cache. */
  learn(prefixKey: string, cachedTokens: number): void {
    const before = this.#known.get(prefixKey)?.cachedTokens ?? null;
    const mean = before === null ? cachedTokens : before + (cachedTokens - before) * NEWEST_SHARE;
    this.#known.set(prefixKey, {
      cachedTokens: cachedTokens > 0 ? mean : before,
      atMonoMs: this.#clock.monotonicMs(),
    });
  }

  /**
   * Tokens of this prompt that probably have to be read. `cachedRatio` (0..1) is what the engine's cache holds of prompts
   * in general: used for a prefix that came once and cold; at 0 nothing is ever expected to be cached.
   */
  expectedPrefillTokens(prefixKey: string, promptTokens: number, cachedRatio: number): number {
    const known = this.#known.get(prefixKey);
    if (cachedRatio <= 0 || known === undefined) return promptTokens;
    if (this.#clock.monotonicMs() - known.atMonoMs > CACHED_FOR_MS) return promptTokens;
    return Math.max(0, promptTokens - (known.cachedTokens ?? promptTokens * cachedRatio));
  }
}
