/** What a window was worth: who heard the first sentence in time, from where, for how much. Pure. */
import { TIERS, type Tier } from '../core/dialogue.ts';
import type { LineResult, WindowResult } from './window.ts';
import type { ByTier } from './workload.ts';

export interface TierFigures {
  readonly tier: Tier;
  readonly lines: number;
  /** Those that were not written by design, as barks are; shares are of these. */
  readonly asked: number;
  /** Milliseconds to the first sentence of lines that an engine, the cache or a cloud spoke; null: there was none. */
  readonly ttfsP50Ms: number | null;
  readonly ttfsP95Ms: number | null;
  /** Milliseconds to the first token of lines that an engine or a cloud spoke; null: there was none. */
  readonly ttftP50Ms: number | null;
  readonly ttftP95Ms: number | null;
  readonly limitMs: number;
  /** Share of asked lines with their first sentence in time and not a written line that stood in (0..1). */
  readonly inTime: number;
  readonly standIns: number;
}

export interface WindowFigures {
  readonly engines: number;
  readonly lines: number;
  readonly tiers: readonly TierFigures[];
  /** Shares of all lines (0..1); they add up to 1. */
  readonly sources: Readonly<Record<LineResult['source'], number>>;
  /** Share of prompt tokens at engines of one's own and clouds that were not read anew (0..1). */
  readonly cachedTokens: number;
  /** Means over lines that were generated. */
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cloudMicroUsdPerLine: number;
  readonly utilisation: number;
  /** Whether every tier with lines has its first sentences in time. */
  readonly holds: boolean;
}

/** A tier holds when so many of its lines are in time: the 95th percentile, a stand-in counted as late for ever. */
export const IN_TIME_SHARE = 0.95;

export function figuresOf(result: WindowResult, limitsMs: ByTier<number>): WindowFigures {
  // Who left before the first sentence says nothing about it.
  const lines = result.lines.filter(({ isHungUp, ttfsMs }) => !isHungUp || ttfsMs !== null);
  const tiers = TIERS.map((tier) =>
    tierFigures(
      tier,
      lines.filter((line) => line.tier === tier),
      limitsMs[tier],
    ),
  ).filter((figures) => figures.lines > 0);
  const generated = lines.filter(({ source, isHungUp }) => isGenerated(source) && !isHungUp);
  const total = (of: (line: LineResult) => number, over: readonly LineResult[]) =>
    over.reduce((sum, line) => sum + of(line), 0);
  const share = (source: LineResult['source']) =>
    lines.length === 0 ? 0 : lines.filter((line) => line.source === source).length / lines.length;
  const promptTokens = total(({ promptTokens: tokens }) => tokens, generated);
  return {
    engines: result.engines,
    lines: lines.length,
    tiers,
    sources: {
      engine: share('engine'),
      cache: share('cache'),
      cloud: share('cloud'),
      written: share('written'),
    },
    cachedTokens:
      promptTokens === 0 ? 0 : total(({ cachedTokens: tokens }) => tokens, generated) / promptTokens,
    promptTokens: promptTokens / Math.max(1, generated.length),
    completionTokens:
      total(({ completionTokens: tokens }) => tokens, generated) / Math.max(1, generated.length),
    cloudMicroUsdPerLine: total(({ costMicroUsd }) => costMicroUsd, lines) / Math.max(1, lines.length),
    utilisation: result.utilisation,
    holds: tiers.every(({ inTime }) => inTime >= IN_TIME_SHARE),
  };
}

function tierFigures(tier: Tier, lines: readonly LineResult[], limitMs: number): TierFigures {
  // Barks are written by design and there at once; they must not hide how late the others are.
  const asked = lines.filter(({ source, cause }) => source !== 'written' || cause !== null);
  const spoken = asked.filter(({ source }) => source !== 'written');
  const ttfsMs = spoken.flatMap((line) => line.ttfsMs ?? []).sort((a, b) => a - b);
  const ttftMs = lines
    .filter(({ source }) => isGenerated(source))
    .flatMap((line) => line.ttftMs ?? [])
    .sort((a, b) => a - b);
  const good = asked.filter((line) => line.cause === null && line.ttfsMs !== null && line.ttfsMs <= limitMs);
  return {
    tier,
    lines: lines.length,
    asked: asked.length,
    ttfsP50Ms: percentile(ttfsMs, 0.5),
    ttfsP95Ms: percentile(ttfsMs, 0.95),
    ttftP50Ms: percentile(ttftMs, 0.5),
    ttftP95Ms: percentile(ttftMs, 0.95),
    limitMs,
    inTime: asked.length === 0 ? 1 : good.length / asked.length,
    standIns: asked.length === 0 ? 0 : asked.filter(({ cause }) => cause !== null).length / asked.length,
  };
}

function isGenerated(source: LineResult['source']): boolean {
  return source === 'engine' || source === 'cloud';
}

/** The value below which `share` of the sorted values lie (nearest rank); null without values. */
export function percentile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? null;
}
