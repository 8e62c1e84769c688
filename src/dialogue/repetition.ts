/**
 * Whether a sentence says what was said before, or goes round in itself. Pure; words without case and punctuation.
 *
 * Near repeats are measured by shared runs of three words over those of the shorter line, from four runs (six words) on.
 * The bar is 0.6: rewording one word of a ten-word line leaves 5 of 8 runs (0.63, a repeat to the ear), while two lines
 * that share a set phrase of four words ("the bell has rung") share 2 of 6 runs (0.33). Lines of three to five words have
 * too few runs to measure and count only when they are equal; one or two words ("Leave.") may be said again.
 */
import { wordsOf } from '../lib/text/words.ts';

export const NEAR_REPEAT_MIN = 0.6;
/** Above this share of a sentence's runs, its words are the player's own. Asking one word back is fine, reciting is not. */
export const ECHO_MIN = 0.75;
const MEASURED_RUNS_MIN = 4;
const COMPARED_WORDS_MIN = 3;
const ECHO_WORDS_MIN = 4;

/** A line prepared for comparing. */
export interface Fingerprint {
  /** Words joined by single spaces. */
  readonly key: string;
  readonly words: readonly string[];
  /** Its different runs of three words. */
  readonly runs: ReadonlySet<string>;
}

export function fingerprint(text: string): Fingerprint {
  const words = wordsOf(text);
  return { key: words.join(' '), words, runs: new Set(runsOf(words, 3)) };
}

/** Whether a listener would say: you told me that already. */
export function isRepeat(line: Fingerprint, earlier: Fingerprint): boolean {
  if (line.words.length < COMPARED_WORDS_MIN) return false;
  if (line.key === earlier.key) return true;
  const shorter = Math.min(line.runs.size, earlier.runs.size);
  if (shorter < MEASURED_RUNS_MIN) return false;
  return shared(line.runs, earlier.runs) / shorter >= NEAR_REPEAT_MIN;
}

/** Whether the sentence gives the player's own words back. */
export function isEcho(line: Fingerprint, playerWords: Fingerprint): boolean {
  if (line.words.length < ECHO_WORDS_MIN || line.runs.size === 0) return false;
  return shared(line.runs, playerWords.runs) / line.runs.size >= ECHO_MIN;
}

/** Words that people do say three times without a pause. */
const REPEATABLE = new Set(
  'no yes ha heh hee he hah haha ho tick tock knock drip never go run more now so very far'.split(' '),
);

/** Of the words of a sentence that says four words twice, this share may be different ones before it is a stutter. */
const STUTTER_SHARE_MAX = 0.6;

/**
 * Whether the sentence is stuck: a word three times without a pause ("the the the"; "Brains. Brains. Brains." is speech),
 * any word six times, a run of two or three words three times over, the same four words three times anywhere, the same
 * four words twice where they are most of what is said ("you are leaving and you are leaving"), the same words
 * twice and nothing else, or one letter sixteen times.
 */
export function isLoop(text: string, line: Fingerprint): boolean {
  const { words } = line;
  if (/(\p{L})\1{15}/iu.test(text)) return true;
  if (words.length < 3) return false;
  let same = 1;
  for (let index = 1; index < words.length; index += 1) {
    same = words[index] === words[index - 1] ? same + 1 : 1;
    if (same >= 6) return true;
    if (same >= 3 && !isPaused(text, words[index] ?? '')) return true;
  }
  for (const length of [2, 3]) if (isRoundAndRound(words, length)) return true;
  if (isTwiceTheSame(words)) return true;
  const seen = new Map<string, number>();
  for (const run of runsOf(words, 4)) {
    const times = (seen.get(run) ?? 0) + 1;
    if (times >= 3 || (times >= 2 && new Set(words).size <= words.length * STUTTER_SHARE_MAX)) return true;
    seen.set(run, times);
  }
  return false;
}

function isPaused(text: string, word: string): boolean {
  if (REPEATABLE.has(word)) return true;
  const lower = text.toLowerCase().replaceAll('’', "'");
  return !lower.includes(`${word} ${word} ${word}`) && !lower.includes(`${word}${word}${word}`);
}

/** "You don't. You don't.": two words or more, and then again, and nothing else. */
function isTwiceTheSame(words: readonly string[]): boolean {
  const half = words.length / 2;
  return (
    half >= 2 &&
    Number.isInteger(half) &&
    words.every((word, index) => word === words[(index + half) % words.length])
  );
}

/** The same `length` words three times on end; a word repeated is the other rule's. */
function isRoundAndRound(words: readonly string[], length: number): boolean {
  let same = 0;
  for (let index = length; index < words.length; index += 1) {
    same = words[index] === words[index - length] ? same + 1 : 0;
    if (same >= length * 2) {
      const round = words.slice(index - length + 1, index + 1);
      if (new Set(round).size > 1) return true;
    }
  }
  return false;
}

function runsOf(words: readonly string[], length: number): string[] {
  const runs: string[] = [];
  for (let index = 0; index + length <= words.length; index += 1) {
    runs.push(words.slice(index, index + length).join(' '));
  }
  return runs;
}

function shared(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  let count = 0;
  for (const run of one) if (other.has(run)) count += 1;
  return count;
}
