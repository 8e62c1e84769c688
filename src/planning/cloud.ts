/** Clouds of a plan: what a token costs there, and how soon a first one comes. Prices go stale within weeks; a studio names its own. */
import type { Tier } from '../core/dialogue.ts';
import type { EnginePace } from './engine-model.ts';

/** US dollars for a million tokens. */
export interface CloudPrice {
  readonly model: string;
  readonly inputUsd: number;
  readonly cachedInputUsd: number;
  readonly outputUsd: number;
}

export interface CloudChoice {
  readonly model: string;
  /** Tiers that ask the cloud before engines of one's own. */
  readonly firstTiers: readonly Tier[];
  /** Tiers that ask it when those are too busy. */
  readonly belowTiers: readonly Tier[];
  readonly price: CloudPrice;
  readonly priceSource: string;
  readonly pace: EnginePace;
}

export const DEFAULT_CLOUD_PRICE: CloudPrice = {
  model: 'gpt-5.4-nano',
  inputUsd: 0.2,
  cachedInputUsd: 0.02,
  outputUsd: 1.25,
};
export const DEFAULT_CLOUD_PRICE_SOURCE = 'genai-prices 2026-08-21';

/**
 * Half a second to the first token is what the seeds plan for a fast cloud model; no cache is counted on, because clouds
 * keep prompts of 1,024 tokens and more only, and for minutes. Its own queue is not ours to model.
 */
export const CLOUD_PACE: EnginePace = {
  overheadMs: 490,
  prefillMsPerToken: 0,
  stepMs: 10,
  stepMsPerSequence: 0,
  sequencesMax: 100_000,
  prefillTokensPerStep: 1_000_000,
  prefixTokens: 0,
};
