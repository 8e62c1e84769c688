/**
 * Exact token counts, as the engine itself counts, cached by text: a persona's stable part is counted once. While the
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

/** How one wire is asked to count. */
export interface TokenizeQuestion {
  readonly path: string;
  readonly body: (text: string, model: string) => unknown;
  /** The count in the answer; anything that is no count is as good as no answer. */
  readonly read: (answer: unknown) => unknown;
}

/** vLLM and SGLang; the text is counted as it stands in a prompt, without the model's beginning of text. */
export const TOKENIZE: TokenizeQuestion = {
  path: '/tokenize',
  body: (text, model) => ({ model, prompt: text, add_special_tokens: false }),
  read: (answer) => (answer as { readonly count?: unknown } | null)?.count,
};

/** For wires that cannot be asked. */
export const ESTIMATING_COUNTER: TokenCounter = { count: async (text) => estimateTokens(text) };

/**
 * Counts by asking the engine that `transport` leads to. Never throws but `signal.reason`: an engine that is down,
 * refuses or talks nonsense gives the estimate, which is not kept, so that the next call asks again. One that does not
 * know the question (404, 405, 501) is not asked again.
 */
export function createTokenCounter(options: {
  readonly transport: () => Transport;
  readonly model: string;
  /** Left out: vLLM's. */
  readonly question?: TokenizeQuestion;
}): TokenCounter {
  const { transport, model, question = TOKENIZE } = options;
  const counts = new LruCache<string, number>({
    maxEntries: CACHED_TEXTS_MAX,
    maxBytes: CACHED_BYTES_MAX,
    sizeOf: (_count, text) => text.length * 2 + 8,
  });
  let isAsked = true;
  return {
    async count(text, signal) {
      if (text === '') return 0;
      const known = counts.get(text);
      if (known !== undefined) return known;
      if (!isAsked) return estimateTokens(text);
      try {
        const reply = await transport().exchange(
          {
            method: 'POST',
            path: question.path,
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(question.body(text, model)),
          },
          signal,
        );
        const body = await readBody(reply.body, REPLY_BYTES_MAX);
        if ([404, 405, 501].includes(reply.status)) isAsked = false;
        if (reply.status !== 200) return estimateTokens(text);
        const count = question.read(JSON.parse(body.toString('utf8')));
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
