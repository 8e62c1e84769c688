/**
 * Words become units of meaning: phrases are found and taken as one, pronouns stand for whom they stand for, numbers are
 * written out. What a unit is to the sentence (who, to whom, where) is the next step's, in frame.ts.
 */
import { EMPTY_WORDS, NEGATIVE_WORDS, PREPOSITIONS } from './markers.ts';
import type { Ending, Token } from './tokens.ts';
import { type Meaning, meaningOf, type Phrase, phrasesOf } from './vocabulary.ts';

export interface Unit {
  readonly form: string;
  readonly lemma: string;
  readonly ending: Ending;
  readonly meaning: Meaning | null;
  readonly isPhrase: boolean;
  readonly isOwner: boolean;
  readonly isAfterPause: boolean;
}

/** Words that may stand between the two parts of a phrase: "pulls his long blade out". */
const GAP_MAX = 4;
const ARTICLES: ReadonlySet<string> = new Set(['a', 'an', 'the', 'his', 'her', 'their', 'its']);
const DIGITS = 'none one two three four five six seven eight nine ten eleven twelve'.split(' ');

export function unitsOf(tokens: readonly Token[]): readonly Unit[] {
  const units: Unit[] = [];
  const isTaken = new Uint8Array(tokens.length);
  for (let at = 0; at < tokens.length; at += 1) {
    if (isTaken[at] === 1) continue;
    const token = tokens[at] as Token;
    const found = phraseAt(tokens, at, isTaken);
    if (found !== null) for (const taken of found.taken) isTaken[taken] = 1;
    const last = tokens[found === null ? at : Math.max(...found.taken)] as Token;
    const form = /^\d+$/.test(token.form) ? (DIGITS[Number(token.form)] ?? token.form) : token.form;
    const lemma = form === token.form ? token.lemma : form;
    units.push({
      form,
      lemma,
      ending: token.ending,
      meaning: found === null ? meaningOf(lemma) : found.phrase.meaning,
      isPhrase: found !== null,
      isOwner: found === null || !found.phrase.isSplit ? last.isOwner : false,
      isAfterPause: token.isAfterPause,
    });
  }
  return units;
}

interface Found {
  readonly phrase: Phrase;
  readonly taken: readonly number[];
}

function phraseAt(tokens: readonly Token[], at: number, isTaken: Uint8Array): Found | null {
  const first = tokens[at];
  if (first === undefined) return null;
  for (const phrase of phrasesOf(first.lemma)) {
    const taken = run(tokens, at, phrase.head, isTaken);
    if (taken === null) continue;
    if (!phrase.isSplit) return { phrase, taken };
    const from = (taken.at(-1) ?? at) + 1;
    for (let tailAt = from; tailAt <= from + GAP_MAX && tailAt < tokens.length; tailAt += 1) {
      if (tokens[tailAt]?.isAfterPause === true || (tailAt > from && endsGap(tokens[tailAt - 1]))) break;
      const tail = run(tokens, tailAt, phrase.tail, isTaken);
      if (tail === null) continue;
      if (tailAt > from && beginsPlace(tokens, tailAt, tail)) continue;
      return { phrase, taken: [...taken, ...tail] };
    }
  }
  return null;
}

/**
 * "throws the rope | out of the window" is no "throw out": behind other words, a little word that a thing follows belongs
 * to that thing.
 */
function beginsPlace(tokens: readonly Token[], at: number, tail: readonly number[]): boolean {
  if (tail.length > 1) return false;
  const form = tokens[at]?.form ?? '';
  const next = tokens[at + 1];
  if (next === undefined || next.isAfterPause || !Object.hasOwn(PREPOSITIONS, form)) return false;
  return ARTICLES.has(next.form) || next.form === 'your' || next.form === 'my' || next.isOwner;
}

/** "Your head | is cut off": over another verb no phrase reaches. */
function endsGap(token: Token | undefined): boolean {
  if (token === undefined || /^(?:be|have|do|and|but|that|who|which)$/.test(token.lemma)) return true;
  const kinds = meaningOf(token.lemma)?.kinds;
  return kinds !== undefined && kinds.size === 1 && kinds.has('verb') && token.ending !== 'ing';
}

/** Where `words` stand one behind the other from `at` on, articles in between left out. */
function run(
  tokens: readonly Token[],
  at: number,
  words: readonly string[],
  isTaken: Uint8Array,
): readonly number[] | null {
  const taken: number[] = [];
  let next = at;
  for (const [index, word] of words.entries()) {
    while (index > 0 && ARTICLES.has(tokens[next]?.form ?? '') && !ARTICLES.has(word)) {
      taken.push(next);
      next += 1;
    }
    const token = tokens[next];
    if (token === undefined || isTaken[next] === 1 || (token.lemma !== word && token.form !== word))
      return null;
    if (index > 0 && token.isAfterPause) return null;
    taken.push(next);
    next += 1;
  }
  return taken;
}

/** Whether a unit says nothing by itself. */
export function isEmptyUnit(unit: Unit): boolean {
  return !unit.isPhrase && EMPTY_WORDS.has(unit.form);
}

/** Whether a thing begins here: an article, an owner, a word of a thing. */
export function beginsThing(unit: Unit | undefined): boolean {
  if (unit === undefined || unit.isAfterPause) return false;
  if (ARTICLES.has(unit.form) || unit.isOwner || Object.hasOwn(NEGATIVE_WORDS, unit.form)) return true;
  if (
    /^(?:your|my|our|this|that|these|those|some|you|me|him|them|us|each|every|all|both|any|another)$/.test(
      unit.form,
    )
  )
    return true;
  if (unit.meaning === null) return !Object.hasOwn(PREPOSITIONS, unit.form) && !isEmptyUnit(unit);
  return (
    unit.meaning.kinds.has('thing') ||
    /^(?:all|every|both)$/.test(unit.form) ||
    unit.meaning.kinds.has('quality') ||
    isNumber(unit.meaning)
  );
}

const NUMBERS: ReadonlySet<string> = new Set(
  `half some few many more each any one two three four five six seven eight nine ten dozen twenty thirty hundred
  thousand first second third last next left right`
    .split(/\s+/)
    .map((concept) => `marker/${concept}`),
);

export function isNumber(meaning: Meaning): boolean {
  for (const concept of meaning.concepts) if (NUMBERS.has(concept)) return true;
  return false;
}

export function isVerb(unit: Unit): boolean {
  if (unit.meaning !== null) return unit.meaning.kinds.has('verb');
  return unit.ending === 'past' || unit.ending === 'ing';
}

export function isNoun(unit: Unit): boolean {
  return unit.meaning === null
    ? !Object.hasOwn(PREPOSITIONS, unit.form) && !isEmptyUnit(unit)
    : unit.meaning.kinds.has('thing') || unit.meaning.kinds.has('quality');
}

export function isPlainThing(unit: Unit): boolean {
  return unit.meaning?.kinds.has('thing') === true && !unit.meaning.kinds.has('verb');
}

export function isArticle(unit: Unit | undefined): boolean {
  return (
    unit !== undefined &&
    /^(?:a|an|the|his|her|their|its|your|my|our|no|this|that|these|those)$/.test(unit.form)
  );
}

export function pluralOf(unit: Unit): boolean | null {
  if (unit.meaning === null || !unit.meaning.kinds.has('thing')) return null;
  if (unit.lemma === 'people' || unit.lemma === 'stair' || unit.lemma === 'step') return null;
  return unit.ending === 's';
}
