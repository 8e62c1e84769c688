/**
 * The account in a chat completion, in the places where engines put it (engines.md §2.4, §10.1, §10.5): OpenAI's details,
 * DeepSeek's cache hits, SGLang's reasoning tokens. Numbers come from outside; one that is none counts as left out.
 */
import type { EngineUsage } from '../core/engine.ts';
import { count } from './account.ts';

interface Details {
  readonly cached_tokens?: unknown;
  readonly cache_write_tokens?: unknown;
  readonly reasoning_tokens?: unknown;
}

interface WireUsage {
  readonly prompt_tokens?: unknown;
  readonly completion_tokens?: unknown;
  readonly prompt_cache_hit_tokens?: unknown;
  readonly reasoning_tokens?: unknown;
  readonly prompt_tokens_details?: Details | null;
  readonly completion_tokens_details?: Details | null;
}

/** Reads `usage`; what it leaves out is taken from `estimate`. Null when it is no object. */
export function readUsage(usage: unknown, estimate: () => EngineUsage): EngineUsage | null {
  if (typeof usage !== 'object' || usage === null) return null;
  const wire: WireUsage = usage;
  const prompt = count(wire.prompt_tokens);
  const completion = count(wire.completion_tokens);
  const promptTokens = prompt ?? estimate().promptTokens;
  const completionTokens = completion ?? estimate().completionTokens;
  const cached = count(wire.prompt_tokens_details?.cached_tokens) ?? count(wire.prompt_cache_hit_tokens) ?? 0;
  const written = count(wire.prompt_tokens_details?.cache_write_tokens) ?? 0;
  const reasoning =
    count(wire.completion_tokens_details?.reasoning_tokens) ?? count(wire.reasoning_tokens) ?? 0;
  return {
    promptTokens,
    cachedTokens: Math.min(cached, promptTokens),
    ...(written === 0 ? {} : { cacheWriteTokens: Math.min(written, promptTokens) }),
    completionTokens,
    ...(reasoning === 0 ? {} : { reasoningTokens: Math.min(reasoning, completionTokens) }),
    source: prompt === null || completion === null ? 'estimated' : 'reported',
  };
}
