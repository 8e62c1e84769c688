/**
 * Counting words as a speaker would say them. Scripts written without spaces (Chinese, Japanese, Thai …) count two
 * characters as one word, which keeps limits and speaking times in the same range as for spaced scripts.
 */

const WORD = /[\p{L}\p{N}][\p{L}\p{M}\p{N}'’-]*/gu;
const UNSPACED =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/gu;
const BEYOND_LATIN = /[^\u0000-\u024f\u2000-\u206f]/;

/** How many words `text` holds; 0 when it has neither letter nor digit. */
export function countWords(text: string): number {
  let count = 0;
  if (!BEYOND_LATIN.test(text)) {
    WORD.lastIndex = 0;
    while (WORD.test(text)) count += 1;
    return count;
  }
  const unspaced = text.match(UNSPACED)?.length ?? 0;
  const spaced = unspaced === 0 ? text : text.replace(UNSPACED, ' ');
  return (spaced.match(WORD)?.length ?? 0) + Math.ceil(unspaced / 2);
}

/** The words of `text` in lower case, without punctuation; unspaced scripts give one entry a character. */
export function wordsOf(text: string): string[] {
  const lower = text.toLowerCase().replaceAll('’', "'");
  const spaced = BEYOND_LATIN.test(lower) ? lower.replace(UNSPACED, ' $& ') : lower;
  return spaced.match(WORD) ?? [];
}

/** Whether `text` holds at least one letter of any script. */
export function hasLetter(text: string): boolean {
  return /\p{L}/u.test(text);
}
