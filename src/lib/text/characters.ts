/**
 * Characters that nobody sees or says: invisible ones, directional marks, control characters, pictures. Shared by what
 * cleans the player's words and what cleans the model's.
 */

/** Scripts in which the zero-width joiner and non-joiner change letters, and are therefore part of the text. */
const JOINING =
  '\\p{sc=Arabic}\\p{sc=Syriac}\\p{sc=Devanagari}\\p{sc=Bengali}\\p{sc=Gurmukhi}\\p{sc=Gujarati}\\p{sc=Oriya}\\p{sc=Tamil}' +
  '\\p{sc=Telugu}\\p{sc=Kannada}\\p{sc=Malayalam}\\p{sc=Sinhala}\\p{sc=Khmer}\\p{sc=Myanmar}\\p{sc=Mongolian}';
const NEEDED_JOINER = `(?<=[${JOINING}]\\p{M}*)[\\u200c\\u200d](?=[${JOINING}])`;
/**
 * Control, format and private characters, unassigned default ignorables, fillers that print as nothing, variation
 * selectors and lone surrogates' tags. Tab and line ends are control characters too: turn them into spaces first.
 */
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Co}\p{Variation_Selector}\u115f\u1160\u2800\u3164\uffa0]|\u034f|\u17b4|\u17b5/u;
const UNSEEN_OR_NEEDED = new RegExp(`(${NEEDED_JOINER})|${UNSEEN.source}`, 'gu');
const LINE_SPACE = /[\t\n\v\f\r\u0085\u2028\u2029]/g;

/** Drops every character that is neither seen nor heard; line ends and tabs become spaces. Lone surrogates become U+FFFD. */
export function dropUnseen(text: string): string {
  const formed = text.isWellFormed() ? text : text.toWellFormed();
  if (!UNSEEN.test(formed) && !/[\u2028\u2029]/.test(formed)) return formed;
  return formed.replace(LINE_SPACE, ' ').replace(UNSEEN_OR_NEEDED, (_match, needed?: string) => needed ?? '');
}

/** Pictures: emoji, dingbats, flags, skin tones, keycaps, box drawing and block art; no letter, digit or mark of speech. */
export const PICTURES =
  /[\p{Extended_Pictographic}\p{Regional_Indicator}\p{Emoji_Modifier}\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2b00-\u2bff]|\u20e3/gu;

/** One space for every run of space of any kind, none at the ends. */
export function collapseSpaces(text: string): string {
  return text.replace(/\s+/gu, ' ').trim();
}
