/**
 * Words that exist once in a simulation. Each line of a player carries one, the engine weaves it into what it answers, and
 * so a single word of somebody else's talk can be recognised wherever it turns up.
 */

const CONSONANTS = 'bdfgklmnprstv';
const VOWELS = 'aeiou';
const SYLLABLES = CONSONANTS.length * VOWELS.length;
const PATTERN = /zu(?:[bdfgklmnprstv][aeiou]){3}x/gi;

/** The marker of a number from 0 to 274,624: `zubabakex`. Reads as a name, so no cleaning takes it away. */
export function markerOf(number: number): string {
  let rest = number;
  let word = '';
  for (let at = 0; at < 3; at++) {
    const syllable = rest % SYLLABLES;
    rest = Math.floor(rest / SYLLABLES);
    word =
      CONSONANTS.charAt(Math.floor(syllable / VOWELS.length)) +
      VOWELS.charAt(syllable % VOWELS.length) +
      word;
  }
  return `zu${word}x`;
}

/** All markers in a text, in order, lower-case. */
export function markersIn(text: string): readonly string[] {
  return (text.match(PATTERN) ?? []).map((word) => word.toLowerCase());
}
