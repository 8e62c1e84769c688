/**
 * One text on its way to a vector, part by part, so that generation can pass in between. A model that reads both ways must
 * see the whole text at once and gets it in one part; one that reads forward goes on from what it has.
 */
import { invariant } from '../lib/invariant.ts';
import type { Embedder } from './llama/embedder.ts';
import type { ShortTask } from './short-lane.ts';

/** A part is worth its pass from here on: every pass reads all weights. */
const PART_TOKENS_MIN = 4;

/** How fast this machine embeds, learned by every task. */
export class EmbeddingPace {
  #tokensPerMs = 1;

  tokensIn(durationMs: number): number {
    return Math.max(PART_TOKENS_MIN, Math.floor(this.#tokensPerMs * durationMs));
  }

  observe(tokens: number, durationMs: number): void {
    if (tokens < PART_TOKENS_MIN || durationMs <= 0) return;
    this.#tokensPerMs += 0.3 * (tokens / durationMs - this.#tokensPerMs);
  }
}

export class EmbeddingTask implements ShortTask {
  readonly #embedder: Embedder;
  readonly #tokens: readonly number[];
  readonly #pace: EmbeddingPace;
  readonly #nowMs: () => number;
  #done = 0;
  #vector: readonly number[] | null = null;

  constructor(
    embedder: Embedder,
    tokens: readonly number[],
    parts: { readonly pace: EmbeddingPace; readonly nowMs: () => number },
  ) {
    this.#embedder = embedder;
    this.#tokens = tokens;
    this.#pace = parts.pace;
    this.#nowMs = parts.nowMs;
  }

  /** Of length 1. Only after the last part. */
  get vector(): readonly number[] {
    const vector = this.#vector;
    invariant(vector !== null, 'a vector is read after the last part');
    const norm = Math.hypot(...vector);
    return norm === 0 ? vector : vector.map((value) => value / norm);
  }

  async advance(budgetMs: number): Promise<boolean> {
    const left = this.#tokens.length - this.#done;
    const count = this.#embedder.readsForward ? Math.min(left, this.#pace.tokensIn(budgetMs)) : left;
    const startedMs = this.#nowMs();
    const part = this.#tokens.slice(this.#done, this.#done + count);
    this.#vector = await this.#embedder.evaluate(part, this.#done, count === left);
    this.#pace.observe(count, this.#nowMs() - startedMs);
    this.#done += count;
    return this.#vector !== null;
  }
}
