/**
 * How often a measure of likeness is wrong on labelled scenes. What is counted: of pairs that mean the same, how many are
 * met (recall); of texts that mean something else, how many would be taken for any of their scene's own (false accepts).
 * A text counts once however many pairs it makes, so that the interval is not made narrow by counting one mistake thrice.
 */
import type { Scene } from './labelled.ts';

export type Measure = (a: string, b: string) => number;

export interface Counts {
  readonly same: number;
  readonly met: number;
  readonly different: number;
  readonly falselyMet: number;
}

/** Likenesses, measured once: a threshold is then only counted. */
export interface Measured {
  readonly same: readonly number[];
  readonly different: readonly {
    readonly id: string;
    readonly how: string;
    readonly words: string;
    readonly best: number;
  }[];
}

export function measureScenes(scenes: readonly Scene[], measure: Measure): Measured {
  return {
    same: scenes.flatMap(({ same }) =>
      same.flatMap((words, at) => same.slice(at + 1).map((other) => measure(words, other))),
    ),
    different: scenes.flatMap(({ id, same, different }) =>
      different.map(({ how, words }) => ({
        id,
        how,
        words,
        best: Math.max(...same.map((other) => measure(other, words))),
      })),
    ),
  };
}

export function countAt(measured: Measured, threshold: number): Counts {
  return {
    same: measured.same.length,
    met: measured.same.filter((score) => score >= threshold).length,
    different: measured.different.length,
    falselyMet: measured.different.filter(({ best }) => best >= threshold).length,
  };
}

/**
 * The least of `thresholds` at which the upper end of the 95 % interval of false accepts is at most `rateMax`; null when
 * none is strict enough.
 */
export function leastThreshold(
  measured: Measured,
  thresholds: readonly number[],
  rateMax: number,
): number | null {
  const ascending = thresholds.toSorted((a, b) => a - b);
  return (
    ascending.find((threshold) => {
      const { falselyMet, different } = countAt(measured, threshold);
      return interval(falselyMet, different)[1] <= rateMax;
    }) ?? null
  );
}

/** The exact two-sided 95 % interval of a share (Clopper and Pearson, Biometrika 26, 1934), by bisection. */
export function interval(hits: number, trials: number): readonly [low: number, high: number] {
  if (trials === 0) return [0, 1];
  const low = hits === 0 ? 0 : bisect((share) => 1 - cumulative(hits - 1, trials, share) < 0.025);
  const high = hits === trials ? 1 : bisect((share) => cumulative(hits, trials, share) > 0.025);
  return [low, high];
}

/** Where `isBelow` turns from true to false between 0 and 1. */
function bisect(isBelow: (share: number) => boolean): number {
  let [low, high] = [0, 1];
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (isBelow(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(at most `hits` of `trials`) for a share strictly between 0 and 1; summed in logarithms. */
function cumulative(hits: number, trials: number, share: number): number {
  let logTerm = trials * Math.log1p(-share);
  let sum = Math.exp(logTerm);
  for (let at = 1; at <= hits; at += 1) {
    logTerm += Math.log((trials - at + 1) / at) + Math.log(share) - Math.log1p(-share);
    sum += Math.exp(logTerm);
  }
  return Math.min(1, sum);
}
