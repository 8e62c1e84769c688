/** How many prompt tokens a pass may evaluate, learned from how long passes took. Pure: durations come from the caller. */
import { LANE_PASS_MS } from './short-lane.ts';

const PREFILL_TOKENS_MIN = 16;
/** While short work is about, a pass must be short before it is efficient. */
const SHARED_PREFILL_TOKENS_MIN = 4;
const SMOOTHING = 0.3;
/**
 * With fewer tokens in a pass the matrix kernels are not used well: 16 cost 4.9 ms each and 64 cost 3.4 (Q8_0, two cores with
 * AVX2). A slow machine that was cut to few tokens by its target would be slower still.
 */
const EFFICIENT_TOKENS = 64;
/** But no pass is so long that it is heard: speech needs 3.5 tokens a second (npc-domain.md §10), one in 286 ms. */
const EFFICIENT_PASS_MAX_MS = 220;

export interface PrefillBudget {
  readonly tokens: number;
  /** Less than this is not worth a micro-batch of its own. */
  readonly leastTokens: number;
}

export class PrefillPace {
  readonly #options: { readonly prefillTokensPerStep: number; readonly stepTargetMs: number };
  #tokensPerMs = 0.5;

  constructor(options: { readonly prefillTokensPerStep: number; readonly stepTargetMs: number }) {
    this.#options = options;
  }

  /**
   * Of the next pass: as many as its time allows at the measured speed, and enough to be worth a pass. `isShared`: short work
   * is about, and a pass must be short whatever it costs.
   */
  budget(isShared: boolean): PrefillBudget {
    const { prefillTokensPerStep, stepTargetMs } = this.#options;
    const targetMs = isShared ? Math.min(LANE_PASS_MS, stepTargetMs) : stepTargetMs;
    const leastTokens = isShared ? SHARED_PREFILL_TOKENS_MIN : PREFILL_TOKENS_MIN;
    const byTime = Math.floor(this.#tokensPerMs * targetMs);
    const worthwhile = isShared
      ? leastTokens
      : Math.min(EFFICIENT_TOKENS, Math.floor(this.#tokensPerMs * EFFICIENT_PASS_MAX_MS));
    return { tokens: Math.min(prefillTokensPerStep, Math.max(leastTokens, byTime, worthwhile)), leastTokens };
  }

  /** Learns from a pass that evaluated prompts. */
  observe(tokens: number, durationMs: number): void {
    if (tokens < SHARED_PREFILL_TOKENS_MIN || durationMs <= 0) return;
    this.#tokensPerMs += SMOOTHING * (tokens / durationMs - this.#tokensPerMs);
  }
}
