/**
 * Folding: what two spellings have in common that a reader takes for the same. Case, accents, full-width and styled
 * forms, look-alike letters of other scripts and digits used as letters all fall together, so a phrase is found however
 * it is dressed. Folded text is for comparing only, never for showing.
 */

/** Look-alikes after NFKD and lower case (Unicode TR39 confusables, those of Latin letters), and digits used as letters. */
const LOOK_ALIKES: Readonly<Record<string, string>> = Object.fromEntries(
  (
    'аa ɑa αa ạa аa вb ьb ЬB ßb сc ϲc ⅽc ԁd ɗd еe єe εe ҽe ɛe ғf ɡg ցg հh һh нh іi ıi ιi јj ϳj кk κk ӏl ḷl мm ոn пn ηn ' +
    'оo οo σo օo ѳo рp ρp ԛq гr ѕs ꜱs тt τt υu սu цu ѵv νv ωw ԝw ѡw шw хx χx уy γy үy ʏy зz ᴢz ʙb ᴄc ᴅd ᴇe ɢg ʜh ɪi ᴊj ᴋk ' +
    'ʟl ᴍm ɴn ᴏo ᴘp ʀr ᴛt ᴜu ᴠv ᴡw øo łl đd þp æa œo 0o 1i 3e 4a 5s 7t 8b @a $s |i'
  )
    .split(' ')
    .map((pair) => [[...pair][0] ?? '', [...pair][1] ?? '']),
);
const NEEDS_LOOK_UP = /[^a-z '’.,!?-]/;

/** Lower case, without accents and look-alikes, `l` and `i` as one. The length may change. */
export function fold(text: string): string {
  const lower = text.normalize('NFKD').toLowerCase();
  if (!NEEDS_LOOK_UP.test(lower)) return lower.replaceAll('l', 'i');
  let folded = '';
  for (const character of lower.replace(
    /[\p{M}\p{Cf}\p{Variation_Selector}\u3164\uffa0\u115f\u1160]/gu,
    '',
  )) {
    const plain = LOOK_ALIKES[character] ?? character;
    folded += plain === 'l' ? 'i' : plain;
  }
  return folded;
}

export interface Squeezed {
  /** Folded letters and digits alone. */
  readonly letters: string;
  /** For each of them, whether a word begins there; one more entry, true, for the end. */
  readonly isWordStart: readonly boolean[];
}

/** Folds and drops everything between letters: "B e l l, is MY-soul" and "bell is my soul" become equal. */
export function squeeze(text: string): Squeezed {
  let letters = '';
  const isWordStart: boolean[] = [];
  let isStart = true;
  for (const character of fold(text)) {
    if (!/[\p{L}\p{N}]/u.test(character)) {
      // An apostrophe inside a word is no border: "don't" is found by "dont".
      if (character !== "'" && character !== '’') isStart = true;
      continue;
    }
    letters += character;
    for (let unit = 0; unit < character.length; unit += 1) isWordStart.push(isStart && unit === 0);
    isStart = false;
  }
  isWordStart.push(true);
  return { letters, isWordStart };
}

/** Letters from which on a phrase is looked for inside words as well; a shorter one only as whole words ("ash", "was he"). */
const INSIDE_WORDS_FROM = 10;

/** Whether `phrase` occurs in `text`, both squeezed, and ends behind `from` letters. An empty phrase never does. */
export function occursIn(text: Squeezed, phrase: string, from = 0): boolean {
  if (phrase === '') return false;
  for (
    let at = text.letters.indexOf(phrase, from - phrase.length + 1);
    at !== -1;
    at = text.letters.indexOf(phrase, at + 1)
  ) {
    if (phrase.length >= INSIDE_WORDS_FROM) return true;
    if (text.isWordStart[at] && text.isWordStart[at + phrase.length]) return true;
  }
  return false;
}

/** Two squeezed texts as one, only the last `keep` letters of the first. */
export function joinSqueezed(first: Squeezed, second: Squeezed, keep: number): Squeezed {
  const from = Math.max(0, first.letters.length - keep);
  return {
    letters: first.letters.slice(from) + second.letters,
    isWordStart: [...first.isWordStart.slice(from, first.letters.length), ...second.isWordStart],
  };
}
