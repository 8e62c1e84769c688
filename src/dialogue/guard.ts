/**
 * The last look at a sentence before it is spoken: no secret, no forbidden phrase, no machine talk, nobody else's words,
 * nothing heard before, not too long. Compiled once per persona version; pure per sentence, in the order of harm.
 * Invariant: a canary that is not revealed never passes, however it is dressed and also when the sentences said before
 * hold its beginning.
 */

import { LruCache } from '../lib/lru.ts';
import { joinSqueezed, occursIn, type Squeezed, squeeze } from '../lib/text/fold.ts';
import { countWords, hasLetter } from '../lib/text/words.ts';
import { isOutOfCharacter } from './out-of-character.ts';
import { type Fingerprint, fingerprint, isEcho, isLoop, isRepeat } from './repetition.ts';
import { endsSentence } from './sentence-end.ts';

export const GUARD_RULES = [
  'empty',
  'role_label',
  'canary',
  'forbidden',
  'out_of_character',
  'language',
  'loop',
  'repetition',
  'echo',
  'too_long',
] as const;
export type GuardRule = (typeof GUARD_RULES)[number];

/** What the guard needs of a persona. */
export interface GuardedPersona {
  readonly npcName: string;
  /** BCP 47; tells which script its words are written in. */
  readonly language: string;
  /** In the persona's order: `GuardContext.revealedSecrets` counts in it. */
  readonly secrets: readonly { readonly canaries: readonly string[] }[];
  readonly forbiddenPhrases: readonly string[];
}

export interface GuardContext {
  /** Indices of the secrets whose condition holds now. */
  readonly revealedSecrets: ReadonlySet<number>;
  /** What this NPC said and what this player heard lately. */
  readonly recentLines: readonly string[];
  /** What this reply already said. */
  readonly committed: readonly string[];
  /** The player's cleaned words; '' for a bark. */
  readonly playerText: string;
  /** Words this sentence may still have, from tier, persona and what was said. */
  readonly maxWords: number;
}

/** `text` is what to say. A passed sentence that was shortened names `too_long`. */
export type GuardVerdict =
  | { readonly verdict: 'pass'; readonly text: string; readonly rule?: 'too_long' }
  | { readonly verdict: 'fail'; readonly text: string; readonly rule: GuardRule };

export interface CompiledGuard {
  readonly canaries: readonly { readonly secret: number; readonly letters: string }[];
  readonly forbidden: readonly string[];
  /** Letters of the longest phrase less one: what earlier sentences can contribute. */
  readonly tailLetters: number;
  readonly foreignLetters: RegExp | null;
  readonly labels: RegExp;
  /** Lines compared before; the same recent lines come with every sentence. */
  readonly fingerprints: LruCache<string, Fingerprint>;
}

/** Scripts by language; a language that is not named is not checked. */
const SCRIPTS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    'en de fr es it pt nl sv da nb no fi pl cs sk sl hr hu ro tr id ms vi et lv lt is ga cy ca eu gl sq af sw tl la'
      .split(' ')
      .map((language) => [language, '\\p{sc=Latin}']),
  ),
  ...Object.fromEntries(
    'ru uk bg be mk kk ky mn'.split(' ').map((language) => [language, '\\p{sc=Cyrillic}']),
  ),
  el: '\\p{sc=Greek}',
  he: '\\p{sc=Hebrew}',
  ar: '\\p{sc=Arabic}',
  fa: '\\p{sc=Arabic}',
  ur: '\\p{sc=Arabic}',
  hi: '\\p{sc=Devanagari}',
  th: '\\p{sc=Thai}',
  ko: '\\p{sc=Hangul}\\p{sc=Han}',
  ja: '\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Han}',
  zh: '\\p{sc=Han}',
};
/** A name or a greeting in another script is colour; from this share of the letters on it is another language. */
const FOREIGN_SHARE_MAX = 0.3;
const TAIL_SENTENCES = 4;
/** Raw characters looked at per letter of the tail: spelled-out words ("b e l l") take two, with marks three. */
const TAIL_CHARS_PER_LETTER = 4;
const FINGERPRINTS_MAX = 512;

/** Prepares the checks of one persona version. */
export function compileGuard(persona: GuardedPersona): CompiledGuard {
  const canaries = persona.secrets.flatMap(({ canaries: phrases }, secret) =>
    phrases
      .map((phrase) => ({ secret, letters: squeeze(phrase).letters }))
      .filter(({ letters }) => letters !== ''),
  );
  const forbidden = persona.forbiddenPhrases
    .map((phrase) => squeeze(phrase).letters)
    .filter((letters) => letters !== '');
  const longest = Math.max(
    1,
    ...canaries.map(({ letters }) => letters.length),
    ...forbidden.map((each) => each.length),
  );
  const script = SCRIPTS[persona.language.toLowerCase().split('-')[0] ?? ''];
  const name = persona.npcName.replace(/[^\p{L}\p{N} ]/gu, '.');
  return {
    canaries,
    forbidden,
    tailLetters: longest - 1,
    foreignLetters:
      script === undefined ? null : new RegExp(`(?![${script}\\p{sc=Common}\\p{sc=Inherited}])\\p{L}`, 'gu'),
    labels: new RegExp(
      `<\\|?|\\[/?INST|(?:^|[\\s"“])(?:system|assistant|user|npc|player${name === '' ? '' : `|${name}`})\\s*[:：]`,
      'iu',
    ),
    fingerprints: new LruCache({ maxEntries: FINGERPRINTS_MAX }),
  };
}

/** Judges one cleaned sentence. Never throws. */
export function guardSentence(sentence: string, guard: CompiledGuard, context: GuardContext): GuardVerdict {
  const rule = brokenRule(sentence, guard, context);
  if (rule !== null) return { verdict: 'fail', rule, text: sentence };
  if (countWords(sentence) <= context.maxWords) return { verdict: 'pass', text: sentence };
  const shortened = shortenAtClause(sentence, context.maxWords);
  return shortened === null
    ? { verdict: 'fail', rule: 'too_long', text: sentence }
    : { verdict: 'pass', rule: 'too_long', text: shortened };
}

function brokenRule(sentence: string, guard: CompiledGuard, context: GuardContext): GuardRule | null {
  if (!hasLetter(sentence)) return 'empty';
  if (guard.labels.test(sentence)) return 'role_label';
  const phrase = brokenPhrase(sentence, guard, context);
  if (phrase !== null) return phrase;
  const line = fingerprint(sentence);
  if (isOutOfCharacter(line.key)) return 'out_of_character';
  if (isForeign(sentence, guard.foreignLetters)) return 'language';
  if (isLoop(sentence, line)) return 'loop';
  const isKnown = (earlier: string) => isRepeat(line, remembered(earlier, guard));
  if (context.committed.some((earlier) => isKnown(earlier) || sameWords(line, remembered(earlier, guard))))
    return 'repetition';
  if (context.recentLines.some(isKnown)) return 'repetition';
  if (context.playerText !== '' && isEcho(line, remembered(context.playerText, guard))) return 'echo';
  return null;
}

/** Within one reply even "Leave." is not said twice, nor a part of what was just said as a sentence of its own. */
function sameWords(line: Fingerprint, earlier: Fingerprint): boolean {
  return line.key === earlier.key || (line.words.length >= 3 && ` ${earlier.key} `.includes(` ${line.key} `));
}

function brokenPhrase(
  sentence: string,
  guard: CompiledGuard,
  context: GuardContext,
): 'canary' | 'forbidden' | null {
  if (guard.canaries.length === 0 && guard.forbidden.length === 0) return null;
  const tail = committedTail(context.committed, guard.tailLetters);
  const heard = joinSqueezed(tail, squeeze(sentence), guard.tailLetters);
  const from = Math.min(tail.letters.length, guard.tailLetters);
  for (const { secret, letters } of guard.canaries) {
    if (!context.revealedSecrets.has(secret) && occursIn(heard, letters, from)) return 'canary';
  }
  return guard.forbidden.some((letters) => occursIn(heard, letters, from)) ? 'forbidden' : null;
}

function committedTail(committed: readonly string[], letters: number): Squeezed {
  if (committed.length === 0) return squeeze('');
  return squeeze(
    committed
      .slice(-TAIL_SENTENCES)
      .join(' ')
      .slice(-letters * TAIL_CHARS_PER_LETTER),
  );
}

function remembered(line: string, guard: CompiledGuard): Fingerprint {
  const known = guard.fingerprints.get(line);
  if (known !== undefined) return known;
  const made = fingerprint(line);
  guard.fingerprints.set(line, made);
  return made;
}

function isForeign(sentence: string, foreignLetters: RegExp | null): boolean {
  if (foreignLetters === null) return false;
  const foreign = sentence.match(foreignLetters)?.length ?? 0;
  return foreign > 0 && foreign > FOREIGN_SHARE_MAX * (sentence.match(/\p{L}/gu)?.length ?? 0);
}

/** Where a sentence may be ended early, best first read from the back: a mark, or a joining word. */
const CLAUSE_ENDS =
  /[,;:–—，；、]|\.\.\.|…|\.(?= )|[!?](?= )| (?=(?:and|but|or|because|while|und|aber|et|mais|y|pero) )/gu;
/** A shortened sentence keeps at least this share of the words it may have, or it says nothing. */
const KEPT_SHARE_MIN = 0.3;

/** The longest beginning that ends at a clause within `maxWords`, closed with its own mark or a full stop; null if none. */
export function shortenAtClause(sentence: string, maxWords: number): string | null {
  let best: string | null = null;
  for (const { 0: mark, index } of sentence.matchAll(CLAUSE_ENDS)) {
    const kept = sentence.slice(0, index).trimEnd();
    const words = countWords(kept);
    if (words > maxWords) break;
    if (mark === '.' && !endsSentence(sentence, index + 1, sentence.charAt(index + 2))) continue;
    if (words < Math.max(2, maxWords * KEPT_SHARE_MIN) || /\p{N}$/u.test(kept)) continue;
    best = /^[.!?…]/u.test(mark) ? kept + mark : `${kept.replace(/[\s,;:–—]+$/u, '')}.`;
  }
  if (best === null) return null;
  const quotes = best.match(/["“”]/gu)?.length ?? 0;
  return quotes % 2 === 1 ? best.replace(/["“”]/gu, '') : best;
}
