/**
 * The figures of judged lines: shares, goodput, waiting times, where the answers came from. One window of the trace gives one
 * set; rows of the table pool windows or state the median and the spread of several. Pure.
 */
import { quantile } from '../load/statistics.ts';
import type { JudgedLine, Verdict } from './judge.ts';

export interface Figures {
  /** Lines that were due. */
  readonly asked: number;
  /** Of them those that are judged: neither unspoken on purpose nor cut short by their player before their time. */
  readonly judged: number;
  readonly good: number;
  readonly stoodIn: number;
  readonly late: number;
  readonly failed: number;
  /** Good ones of those judged, 0..1; NaN of none. */
  readonly goodShare: number;
  /** In time from any source, stand-ins with them, 0..1; NaN of none. */
  readonly inTimeShare: number;
  /** To the first text and the first whole sentence of those that had one (ms); NaN of none. */
  readonly ttftP50Ms: number;
  readonly ttftP95Ms: number;
  readonly ttfsP50Ms: number;
  readonly ttfsP95Ms: number;
  /** Prompt tokens that an engine took from its cache, of all that it was given, 0..1; NaN where none says. */
  readonly cachedTokenShare: number;
  /** Of lines that an engine answered. */
  readonly promptTokensP50: number;
  readonly completionTokensP50: number;
  /** How late the client itself began (ms). */
  readonly startLateP95Ms: number;
}

export function figuresOf(lines: readonly JudgedLine[]): Figures {
  const count = (verdict: Verdict) => lines.filter((line) => line.verdict === verdict).length;
  const good = count('good');
  const stoodIn = count('stood-in');
  const judged = lines.length - count('not-judged');
  const outcomes = lines.flatMap(({ outcome }) => (outcome === null ? [] : [outcome]));
  const ttft = outcomes.flatMap(({ ttftMs }) => (ttftMs === null ? [] : [ttftMs]));
  const ttfs = outcomes.flatMap(({ ttfsMs }) => (ttfsMs === null ? [] : [ttfsMs]));
  // What is kept with a cached line are the tokens of the line that was generated then.
  const generated = outcomes.filter(
    ({ source, promptTokens }) => (source === 'engine' || source === 'unknown') && promptTokens > 0,
  );
  const sum = (of: (outcome: (typeof outcomes)[number]) => number) =>
    generated.reduce((total, outcome) => total + of(outcome), 0);
  const cachedTokens = sum((outcome) => outcome.cachedTokens);
  return {
    asked: lines.length,
    judged,
    good,
    stoodIn,
    late: count('late'),
    failed: count('failed'),
    goodShare: good / judged,
    inTimeShare: (good + stoodIn) / judged,
    ttftP50Ms: quantile(ttft, 0.5),
    ttftP95Ms: quantile(ttft, 0.95),
    ttfsP50Ms: quantile(ttfs, 0.5),
    ttfsP95Ms: quantile(ttfs, 0.95),
    // A server that never says so has no share of nought.
    cachedTokenShare:
      cachedTokens === 0 ? Number.NaN : cachedTokens / sum(({ promptTokens }) => promptTokens),
    promptTokensP50: quantile(
      generated.map(({ promptTokens }) => promptTokens),
      0.5,
    ),
    completionTokensP50: quantile(
      generated.map(({ completionTokens }) => completionTokens),
      0.5,
    ),
    startLateP95Ms: quantile(
      outcomes.map(({ startLateMs }) => startLateMs),
      0.95,
    ),
  };
}

export interface SourceShares {
  readonly engine: number;
  readonly cache: number;
  /** Written because a written line was what was asked for, as for a bark. */
  readonly written: number;
  readonly stoodIn: number;
}

/**
 * Where the answers of `lines` came from, 0..1 of those that had a sentence, in time or not, and whose server said so (it does
 * at the end, so not to a player who left before); NaN of none.
 */
export function sourcesOf(lines: readonly JudgedLine[]): SourceShares {
  const spoken = lines.flatMap(({ outcome }) =>
    outcome === null || outcome.ttfsMs === null || outcome.end === 'failed' || outcome.source === 'unknown'
      ? []
      : [outcome],
  );
  const share = (of: (outcome: (typeof spoken)[number]) => boolean) =>
    spoken.filter(of).length / spoken.length;
  return {
    engine: share(({ source }) => source === 'engine'),
    cache: share(({ source }) => source === 'cache'),
    written: share(({ source, cause }) => source === 'written' && cause === null),
    stoodIn: share(({ source, cause }) => source === 'written' && cause !== null),
  };
}
