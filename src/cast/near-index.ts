/**
 * Finds what says nearly the same as a line, by the measure of near-duplicates.ts, one line at a time among thousands.
 * Prefix filtering (Chaudhuri, Ganti, Kaushik, ICDE 2006): of two lines that share enough words, at least one of the few
 * rarest words of either is in the other, so only lines with one of those are compared. Misses none.
 */
import { OVERLAP_MIN, wordsOf } from './near-duplicates.ts';

/** Shorter lines are alike only when their words are equal. */
const WORDS_MIN = 4;

interface Entry<T> {
  readonly value: T;
  readonly words: ReadonlySet<string>;
}

export class NearIndex<T> {
  readonly #byWord = new Map<string, Entry<T>[]>();
  readonly #byText = new Map<string, Entry<T>[]>();

  add(text: string, value: T): void {
    const said = wordsOf(text);
    const entry: Entry<T> = { value, words: new Set(said) };
    put(this.#byText, said.join(' '), entry);
    if (entry.words.size >= WORDS_MIN) for (const word of entry.words) put(this.#byWord, word, entry);
  }

  /** The first that says nearly the same and is accepted; null when there is none. */
  find(text: string, isAccepted: (value: T) => boolean = () => true): T | null {
    const said = wordsOf(text);
    const equal = this.#byText.get(said.join(' '))?.find(({ value }) => isAccepted(value));
    if (equal !== undefined) return equal.value;
    const words = new Set(said);
    if (words.size < WORDS_MIN) return null;
    const counted = [...words].map((word) => ({ word, count: this.#count(word) }));
    const rarestFirst = counted.sort((a, b) => a.count - b.count);
    const looked = words.size - Math.ceil(OVERLAP_MIN * words.size) + 1;
    const seen = new Set<Entry<T>>();
    for (const { word } of rarestFirst.slice(0, looked)) {
      for (const entry of this.#byWord.get(word) ?? []) {
        if (seen.has(entry)) continue;
        seen.add(entry);
        if (isNear(words, entry.words) && isAccepted(entry.value)) return entry.value;
      }
    }
    return null;
  }

  #count(word: string): number {
    return this.#byWord.get(word)?.length ?? 0;
  }
}

function isNear(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  const [few, many] = a.size <= b.size ? [a, b] : [b, a];
  if (few.size < OVERLAP_MIN * many.size) return false;
  let shared = 0;
  for (const word of few) if (many.has(word)) shared += 1;
  return shared >= OVERLAP_MIN * (a.size + b.size - shared);
}

function put<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
