/**
 * Whether a mark that could end a sentence does end it: the rules for initials, abbreviations, numbers, runs of dots and
 * speech that goes on behind a closing quote (npc-domain §4). Pure; the cutter asks once per mark.
 */

/** A following word never begins a sentence, whatever its case. */
const TITLES = new Set(
  (
    'mr mrs ms mx dr st mt prof capt lt col sgt cpl gen maj adm cmdr rev hon fr gov pres sen messrs mme mlle vs viz ' +
    'cf ca approx e.g i.e no nr nos vol fig ch pp'
  ).split(' '),
);
/** These end a sentence when a capital follows. */
const TRAILERS = new Set('etc jr sr co inc ltd bros a.m p.m a.d b.c esq dept est'.split(' '));
/** Also words of their own: an abbreviation only before a digit ("No. 7"), else a whole answer ("No."). */
const BEFORE_DIGIT = new Set('no nr nos vol fig ch pp'.split(' '));

export const END_MARKS = '.!?…。！？‼⁉⁇⁈｡';
const WIDE_MARKS = '。！？｡';
/** What may stand between an end mark and the space behind it, and stays with the sentence. */
export const CLOSERS = '"\'”“’»›)]}*_」』）】》〉';

/** Whether the mark run that ends at `end` (closing quotes included) ends a sentence, `next` being what follows. */
export function endsSentence(text: string, end: number, next: string): boolean {
  let mark = end;
  while (mark > 0 && CLOSERS.includes(text.charAt(mark - 1))) mark -= 1;
  const last = text.charAt(mark - 1);
  const hasCloser = mark < end;
  if (WIDE_MARKS.includes(last)) return !(hasCloser && next === 'と');
  const goesOn = isLowerCase(next);
  if (last === '…') return !goesOn;
  if (last === '.' && mark > 1 && '. …'.includes(text.charAt(mark - 2))) return !goesOn;
  if (hasCloser && goesOn) return false;
  if (last !== '.') return true;
  return !isAbbreviation(text, mark - 1, next, goesOn);
}

/** Whether an end mark with nothing behind it but `next` (no space) ends a sentence: "夜だ。行け", "Go!Now". */
export function endsWithoutSpace(text: string, end: number, next: string): boolean {
  let mark = end;
  while (mark > 0 && CLOSERS.includes(text.charAt(mark - 1))) mark -= 1;
  const last = text.charAt(mark - 1);
  if (WIDE_MARKS.includes(last)) return endsSentence(text, end, next);
  return mark === end && '!?‼⁉⁇⁈'.includes(last) && isUpperCase(next);
}

/** Whether `text` closes with an end mark, with or without closing quotes and brackets behind it. */
export function hasEndMark(text: string): boolean {
  let at = text.length;
  while (at > 0 && (CLOSERS.includes(text.charAt(at - 1)) || text.charAt(at - 1) === ' ')) at -= 1;
  return at > 0 && END_MARKS.includes(text.charAt(at - 1));
}

function isAbbreviation(text: string, dot: number, next: string, goesOn: boolean): boolean {
  const word = /(?:^|[^\p{L}\p{M}\p{N}.])((?:\p{L}[\p{L}\p{M}]*\.)*\p{L}[\p{L}\p{M}]*|\p{N}+)$/u.exec(
    text.slice(Math.max(0, dot - 24), dot),
  )?.[1];
  if (word === undefined) return false;
  if (/^\p{N}+$/u.test(word)) return dot === word.length;
  const lower = word.toLowerCase();
  if (BEFORE_DIGIT.has(lower)) return /\p{N}/u.test(next);
  if (TITLES.has(lower)) return true;
  if (TRAILERS.has(lower)) return goesOn;
  // "J. R. Hale", "the U.S. envoy": an initial. "I" alone is a word and may end a sentence.
  return /^(?:\p{L}\.)*\p{Lu}$/u.test(word) && word !== 'I';
}

function isLowerCase(unit: string): boolean {
  return unit.toUpperCase() !== unit;
}

function isUpperCase(unit: string): boolean {
  return unit.toLowerCase() !== unit;
}
