/**
 * Makes a sentence of a model fit to be spoken and shown (npc-domain §4, "Say-ability"): no directions, tags, markup,
 * emoji, labels, wrapping quotes or "As a …". Works per sentence, after ThinkingFilter and SentenceCutter.
 * Invariants: idempotent; the result has a letter or is empty; it holds none of `* < > [ ] { } # | \` ~ ^ _ \\`.
 */
import { collapseSpaces, dropUnseen, PICTURES } from '../lib/text/characters.ts';
import { hasLetter } from '../lib/text/words.ts';
import { dropMarkup } from './markup.ts';
import { dropLabels, type SpeakerNames } from './speaker-labels.ts';

export interface Speakable {
  /** What may be said; '' when nothing is left to say. */
  readonly text: string;
  /** The rules that fired, for metrics and the guard's record. Mended spaces and marks alone are not named. */
  readonly changed: readonly string[];
}

/** Each pass can uncover one layer more (a label inside quotes inside bold). Ugly output needs three; eight is out of reach. */
const PASSES_MAX = 8;
const CLEAN = /^\p{L}(?:[\p{L}\p{M}\p{N}]|[ '’—-](?=[\p{L}\p{M}\p{N}])|[,;.!?…] (?=\p{L})|[.!?…]{1,3}$)*$/u;
const AS_A =
  /^as an? (?:(?:ai|a\.i\.|artificial intelligence|(?:large )?language model|virtual assistant|assistant|chatbot|npc|character|non-player character|vampire|lich|ghoul|zombie|werewolf|human)\b[^,.!?:;]{0,60}?(?:, *| (?=i\b))|[^,.!?:;]{1,60}, *)(?=\S)/iu;
const DOUBLE_QUOTES = /["“”„«»]/gu;

/** Cleans one sentence. Never throws. */
export function makeSpeakable(sentence: string, names: SpeakerNames): Speakable {
  if (CLEAN.test(sentence) && !/^as an? /i.test(sentence)) return { text: sentence, changed: [] };
  const changed = new Set<string>();
  let text = sentence;
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    const next = cleanOnce(text, names, changed);
    if (next === text) return { text, changed: [...changed] };
    text = next;
  }
  // Text that changes for ever is made to be ugly; nobody misses it.
  changed.add('endless');
  return { text: '', changed: [...changed] };
}

function cleanOnce(sentence: string, names: SpeakerNames, changed: Set<string>): string {
  const seen = sentence
    .replace(/\r\n?|[\u2028\u2029]/gu, '\n')
    .split('\n')
    .map(dropUnseen)
    .join('\n');
  const withoutPictures = seen.replace(PICTURES, (picture) => PICTURE_MARKS[picture] ?? ' ');
  if (seen.length < sentence.length) changed.add('control');
  if (withoutPictures !== seen) changed.add('emoji');
  let text = dropMarkup(withoutPictures, changed);
  text = dropLabels(text, names, changed);
  // French sets a space before these marks; after a removal it is a gap.
  if (text !== seen) text = text.replace(/\s+(?=[!?;:])/gu, '');
  text = tidy(text);
  text = unwrap(text, changed);
  const asA = AS_A.exec(text);
  if (asA !== null) {
    changed.add('as_a');
    const rest = text.slice(asA[0].length);
    text = rest.charAt(0).toUpperCase() + rest.slice(1);
  }
  if (text !== '' && !hasLetter(text)) {
    changed.add('no_letter');
    return '';
  }
  return text;
}

/** Marks that Unicode counts as pictures too. */
const PICTURE_MARKS: Readonly<Record<string, string>> = { '‼': '!!', '⁉': '!?', '〰': '—' };

/** Mends spaces and marks that removal left alone. */
function tidy(text: string): string {
  return collapseSpaces(text)
    .replace(/ +(?=[,.])/gu, '')
    .replace(/(?<=[,;:]) *(?=[,;:.!?…])/gu, '')
    .replace(/[,;:]+(?=[,;:.!?…])/gu, '')
    .replace(/([!?])\1{3,}/gu, '$1$1$1')
    .replace(/\.{4,}/gu, '...')
    .replace(/^(["“„«]?)(?:[\s,;:!?/+=–—-]|\.(?!\.))+/u, '$1')
    .trim();
}

/** Takes away quotes around the whole sentence, and one that lost its partner to a sentence cut. */
function unwrap(text: string, changed: Set<string>): string {
  const single = /^['‘](.+[.!?…])['’]$|^「([^「」]+)」$|^『([^『』]+)』$/su.exec(text);
  const inner = single?.[1] ?? single?.[2] ?? single?.[3];
  let plain = inner ?? text;
  const count = plain.match(DOUBLE_QUOTES)?.length ?? 0;
  if (count === 2 && /^["“„«].*["“”»]$/su.test(plain)) plain = plain.slice(1, -1);
  else if (count % 2 === 1 && /^["“”„«»]/u.test(plain)) plain = plain.slice(1);
  else if (count % 2 === 1 && /["“”„«»]$/u.test(plain)) plain = plain.slice(0, -1);
  else if (count === 1) plain = plain.replace(DOUBLE_QUOTES, '');
  if (plain !== text) changed.add('quotes');
  return plain.trim();
}
