/**
 * The word lists as look-ups: a dictionary form's concepts, and phrases by their first word. Made once when first imported;
 * nothing in it changes afterwards.
 */
import { MARKERS } from './markers.ts';
import { MANNERS, QUALITIES, THINGS } from './things.ts';
import { VERBS } from './verbs.ts';

export type WordKind = 'verb' | 'thing' | 'quality' | 'manner' | 'marker';

export interface Meaning {
  readonly concepts: readonly string[];
  readonly kinds: ReadonlySet<WordKind>;
}

export interface Phrase {
  readonly head: readonly string[];
  /** Behind at most GAP_MAX words in between; empty for a phrase in one piece. */
  readonly tail: readonly string[];
  readonly isSplit: boolean;
  readonly meaning: Meaning;
}

interface Draft {
  readonly concepts: string[];
  readonly kinds: Set<WordKind>;
}

const words = new Map<string, Draft>();
const phraseDrafts = new Map<string, Draft>();

function read(list: string, kind: WordKind): void {
  for (const line of list.trim().split('\n')) {
    const [concept = '', forms = ''] = line.split(':');
    for (const form of forms.trim().split(/\s+/)) {
      const into = /[_~]/.test(form) ? phraseDrafts : words;
      const draft = into.get(form) ?? { concepts: [], kinds: new Set() };
      const named = `${kind}/${concept}`;
      if (!draft.concepts.includes(named)) draft.concepts.push(named);
      draft.kinds.add(kind);
      into.set(form, draft);
    }
  }
}

read(VERBS, 'verb');
read(THINGS, 'thing');
read(QUALITIES, 'quality');
read(MANNERS, 'manner');
read(MARKERS, 'marker');

const phrasesByFirst = new Map<string, Phrase[]>();
for (const [form, meaning] of phraseDrafts) {
  const [head = '', tail] = form.split('~');
  const phrase: Phrase = {
    head: head.split('_'),
    tail: tail === undefined ? [] : tail.split('_'),
    isSplit: tail !== undefined,
    meaning,
  };
  const first = phrase.head[0] ?? '';
  phrasesByFirst.set(first, [...(phrasesByFirst.get(first) ?? []), phrase]);
}
const lengthOf = (phrase: Phrase) => phrase.head.length + phrase.tail.length;
for (const phrases of phrasesByFirst.values()) phrases.sort((a, b) => lengthOf(b) - lengthOf(a));

const NONE: readonly Phrase[] = [];

/** The phrases that begin with this dictionary form, the longest first. */
export function phrasesOf(first: string): readonly Phrase[] {
  return phrasesByFirst.get(first) ?? NONE;
}

/** What a dictionary form means, or null when it is on no list. */
export function meaningOf(form: string): Meaning | null {
  return words.get(form) ?? null;
}

const partsOfPhrases = new Set([...phraseDrafts.keys()].flatMap((form) => form.split(/[_~]/)));

/** Whether a form is on a list, alone or within a phrase. */
export function isListed(form: string): boolean {
  return words.has(form) || partsOfPhrases.has(form);
}
