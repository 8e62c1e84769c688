/**
 * The seam of a speech that one engine began and another goes on with: no word is said twice and nobody is greeted again.
 * An engine that goes on natively rarely needs it; one that was asked in words (`GO_ON`) often begins anew.
 */
import { wordsOf } from '../lib/text/words.ts';
import { fingerprint, isRepeat } from './repetition.ts';

/** Fewer words in common are chance: two sentences may both begin with "And the". */
const OVERLAP_WORDS_MIN = 3;
/** A greeting has few words; "Good evening was the last thing he said to me" is none. */
const GREETING_WORDS_MAX = 6;
const GREETING =
  /^(?:(?:ah|oh|well|so)[,.! ]+)?(?:hello|hi|hey|hail|greetings|welcome|salutations|good (?:morning|day|afternoon|evening)|well met)\b/iu;

/**
 * What of `sentence` may follow what was said: all of it, its end when its beginning was said already, or null when
 * nothing of it is new.
 */
export function joinOnto(committed: readonly string[], sentence: string): string | null {
  const line = fingerprint(sentence);
  if (committed.some((earlier) => isRepeat(line, fingerprint(earlier)))) return null;
  if (GREETING.test(sentence) && line.words.length <= GREETING_WORDS_MAX) return null;
  const overlap = overlapWords(wordsOf(committed.join(' ')), line.words);
  if (overlap === 0) return sentence;
  const rest = afterWords(sentence, overlap);
  return rest === '' ? null : joinOnto(committed, rest.charAt(0).toUpperCase() + rest.slice(1));
}

/** How many words at the end of what was said are the words at the beginning of the sentence. */
function overlapWords(said: readonly string[], words: readonly string[]): number {
  for (let count = Math.min(said.length, words.length); count >= OVERLAP_WORDS_MIN; count -= 1) {
    const from = said.length - count;
    if (words.slice(0, count).every((word, index) => word === said[from + index])) return count;
  }
  return 0;
}

/** The text behind its first `count` words, without the marks that stood between. */
function afterWords(sentence: string, count: number): string {
  let end = 0;
  for (const match of sentence.matchAll(/\S+/gu)) {
    const head = sentence.slice(0, match.index + match[0].length);
    if (wordsOf(head).length > count) break;
    end = match.index + match[0].length;
  }
  return sentence.slice(end).replace(/^[\s,;:.!?…—–-]+/u, '');
}
