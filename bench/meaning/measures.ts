/**
 * The measures of likeness that the bench holds against each other on the labelled set: words and letters in common, as
 * near-duplicate finders count them; the frames that are shipped; vectors of the embedded engine's model; and vectors behind
 * the frames' vetoes.
 */
import { likeness } from '../../src/recall/meaning/compare.ts';
import type { Measure } from '../../src/recall/meaning/error-rate.ts';
import { frameOf } from '../../src/recall/meaning/frame.ts';
import type { Frame } from '../../src/recall/meaning/item.ts';
import { lemmaOf } from '../../src/recall/meaning/tokens.ts';

export type Vectors = ReadonlyMap<string, Float64Array>;

/** Shared dictionary forms over all (Jaccard). */
export const sharedWords: Measure = (a, b) => {
  const words = (text: string) =>
    new Set((text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => lemmaOf(word)[0]));
  return jaccard(words(a), words(b));
};

/** Shared runs of three letters, twice over all (Dice). */
export const sharedLetters: Measure = (a, b) => {
  const runs = (text: string) => {
    const padded = `  ${text.toLowerCase()} `;
    return new Set(Array.from({ length: padded.length - 2 }, (_, at) => padded.slice(at, at + 3)));
  };
  const [first, second] = [runs(a), runs(b)];
  return (2 * sharedBy(first, second)) / (first.size + second.size);
};

const frames = new Map<string, Frame | null>();

/** What is shipped. */
export const framesAlike: Measure = (a, b) => {
  const [first, second] = [frameFor(a), frameFor(b)];
  return first === null || second === null ? 0 : likeness(first, second);
};

/** Cosine of two vectors; `isCentred` takes the mean of `basis` from each, for vectors that all point one way. */
export function vectorsAlike(vectors: Vectors, basis: readonly string[], isCentred: boolean): Measure {
  const mean = isCentred ? meanOf(vectors, basis) : null;
  const units = new Map<string, Float64Array>();
  for (const [text, vector] of vectors) {
    const moved = mean === null ? vector : vector.map((value, at) => value - (mean[at] ?? 0));
    const norm = Math.hypot(...moved) || 1;
    units.set(
      text,
      moved.map((value) => value / norm),
    );
  }
  return (a, b) => {
    const [first, second] = [units.get(a), units.get(b)];
    if (first === undefined || second === undefined) throw new Error(`no vector for: ${a} | ${b}`);
    return first.reduce((sum, value, at) => sum + value * (second[at] ?? 0), 0);
  };
}

/** `other`, but 0 where frames say that the two cannot mean the same. */
export function behindVetoes(other: Measure): Measure {
  return (a, b) => (framesAlike(a, b) === 0 ? 0 : other(a, b));
}

/** 1 where frames meet at `threshold`; else `other`. */
export function framesElse(threshold: number, other: Measure): Measure {
  return (a, b) => (framesAlike(a, b) >= threshold ? 1 : other(a, b));
}

function frameFor(text: string): Frame | null {
  const known = frames.get(text);
  if (known !== undefined) return known;
  const frame = frameOf(text);
  frames.set(text, frame);
  return frame;
}

function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const shared = sharedBy(a, b);
  return shared / (a.size + b.size - shared || 1);
}

function sharedBy(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let shared = 0;
  for (const one of a) if (b.has(one)) shared += 1;
  return shared;
}

function meanOf(vectors: Vectors, texts: readonly string[]): Float64Array {
  const sum = new Float64Array(vectors.values().next().value?.length ?? 0);
  for (const text of texts)
    for (const [at, value] of (vectors.get(text) ?? []).entries()) sum[at] = (sum[at] ?? 0) + value;
  return sum.map((value) => value / (texts.length || 1));
}
