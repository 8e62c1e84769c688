/**
 * Exact token counts through vLLM's `/tokenize`, cached by text: a persona's stable part is counted once. While the
 * engine cannot be asked, an upper estimate keeps prompts inside their budget.
 */
import type { TokenCounter } from '../core/engine.ts';
import type { Transport } from '../core/transport.ts';
import { readBody } from '../core/transport.ts';
import { LruCache } from '../lib/lru.ts';

const CACHED_TEXTS_MAX = 4_096;
const CACHED_BYTES_MAX = 8_000_000;
const REPLY_BYTES_MAX = 1_000_000;

/** English runs at ~4 bytes a token on the models we serve; 3 keeps the estimate above the truth. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 3);
}

/**
 * Counts through `/tokenize` of the engine that `transport` leads to. Never throws but `signal.reason`: an engine that
 * is down, refuses or talks nonsense gives the estimate, which is not kept, so that the next call asks again.
 */
export function createTokenCounter(options: { transport: () => Transport; model: string }): TokenCounter {
  const counts = new LruCache<string, number>({
    maxEntries: CACHED_TEXTS_MAX,
    maxBytes: CACHED_BYTES_MAX,
    sizeOf: (_count, text) => text.length * 2 + 8,
  });
  return {
    async count(text, signal) {
      if (text === '') return 0;
      const known = counts.get(text);
      if (known !== undefined) return known;
      try {
        const reply = await options.transport().exchange(
          {
            method: 'POST',
            path: '/tokenize',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ model: options.model, prompt: text, add_special_tokens: false }),
          },
          signal,
        );
        const body = await readBody(reply.body, REPLY_BYTES_MAX);
        if (reply.status !== 200) return estimateTokens(text);
        const { count } = JSON.parse(body.toString('utf8')) as { count?: unknown };
        if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0)
          return estimateTokens(text);
        counts.set(text, count);
        return count;
      } catch {
        if (signal.aborted) throw signal.reason;
        return estimateTokens(text);
      }
    },
  };
}
