/**
 * How one question is put: the spellings that players type, and questions that nobody else asks. Spelling differs in
 * what a careful cache may level (case, marks, spaces) and in what it may not (letters changed places).
 */
import type { SeededRandom } from '../../src/planning/seeded-random.ts';

/** Shares of each way of typing; the rest is typed as written. Our assumption: nobody has published such figures for games. */
export const SPELLINGS = {
  lowered: 0.14,
  unmarked: 0.05,
  spaced: 0.03,
  loud: 0.03,
  misspelt: 0.05,
} as const;

/** The same question as some player types it. */
export function respell(text: string, random: SeededRandom): string {
  const { lowered, unmarked, spaced, loud, misspelt } = SPELLINGS;
  const rest = 1 - lowered - unmarked - spaced - loud - misspelt;
  switch (random.weighted({ rest, lowered, unmarked, spaced, loud, misspelt })) {
    case 'lowered':
      return text.toLowerCase().replace(/[.?!]+$/, '');
    case 'unmarked':
      return text.replace(/[.,?!]/g, '');
    case 'spaced':
      return `${random.chance(0.5) ? ' ' : ''}${text.replace(' ', '  ')} `;
    case 'loud':
      return text.replace(/[.?!]*$/, random.chance(0.5) ? '??' : '!!');
    case 'misspelt':
      return misspell(text, random);
    default:
      return text;
  }
}

/** Two neighbouring letters inside one word change places. */
function misspell(text: string, random: SeededRandom): string {
  const places = [...text.matchAll(/(?<=[a-z])([a-z])([a-z])(?=[a-z])/g)].filter(
    ([, first, second]) => first !== second,
  );
  if (places.length === 0) return text;
  const { index } = random.pick(places);
  return `${text.slice(0, index)}${text.charAt(index + 1)}${text.charAt(index)}${text.slice(index + 2)}`;
}

/** What is left of words when case, marks and spaces are levelled: how this trace counts a repeat. */
export function levelled(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

const NAMES =
  'Alder Bess Corry Dunstan Elspeth Fitch Gamble Hob Isolde Jory Kester Lettice Mallow Ned Odile Piers Quill Rosamund Silas Tamsin Ursel Vesper Wilmot Yarrow'.split(
    ' ',
  );
const SURNAMES =
  'Ashdown Bellwether Candle Dray Eel Farrow Gall Hemlock Inkpen Jessop Kiln Lark Moth Nettle Oakum Pike Quarrel Rook Sorrel Thatch Underhill Vane Wick Yew'.split(
    ' ',
  );
const ITEMS = [
  'left hand',
  'brass tag',
  'jar of teeth',
  'wet ledger',
  'bronze nail',
  'shroud',
  'candle box',
  'grave permit',
  'wolf pelt',
  'glass eye',
  'sack of salt',
  'bell rope',
  'silver thimble',
  'barber’s razor',
];
const TIMES = ['at dusk', 'before dawn', 'on Thursday', 'last winter', 'at the new moon', 'three nights ago'];
const PLACES = [
  'Lamp Street',
  'Hook Market',
  'the Terraces',
  'the Quiet Rows',
  'the Weir',
  'Tannery Side',
  'the Ossuary',
  'the Registry',
];

const FIRST_SHAPES: readonly string[] = [
  'I am looking for {name}, who left {place} {time} with a {item}. Have you seen them?',
  'What would you give me for a {item} and {count} pairs of lids?',
  'My cousin {name} says you owe him {count} pairs for a {item}. Is that so?',
  'Somebody called {name} was found at {place} {time}. Do you know whose they were?',
  'Ticket {number} says a {item} belongs to {name}. Where do I bring it?',
  'If I carry a {item} to {place} for {name}, is {count} pairs a fair price?',
  'Did {name} pass through here {time} with {count} crates?',
  'I found number {number} scratched on a {item} near {place}. What does it mean?',
  'Can you hide a {item} for me until {name} comes {time}?',
  'They told me at {place} that you knew {name}. What were they like?',
  'Who bought lot {number}, the {item} that {name} sold {time}?',
  'I have {count} pairs and a {item}. Will that get {name} out of trouble at {place}?',
];
const FOLLOW_UP_SHAPES: readonly string[] = [
  'And if {name} brings you a {item} {time}?',
  'Then why did {name} pay {count} pairs for it at {place}?',
  'So it was {name}, with the {item}, at {place}?',
  'I could get you {count} of them by way of {place}. Would you talk then?',
  'Is that why number {number} is crossed out beside the name of {name}?',
  '{name} told me otherwise {time}. Who of you lies?',
];

/** Wording that no other question of this trace has: names, numbers and things put together by chance. */
export class UniqueWording {
  readonly #said = new Set<string>();
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  question(isFollowUp: boolean): string {
    for (;;) {
      const text = this.#compose(this.#random.pick(isFollowUp ? FOLLOW_UP_SHAPES : FIRST_SHAPES));
      const key = levelled(text);
      if (this.#said.has(key)) continue;
      this.#said.add(key);
      return text;
    }
  }

  #compose(shape: string): string {
    const random = this.#random;
    const filled = shape.replace(/\{(\w+)\}/g, (_whole, slot: string) => {
      if (slot === 'name') return `${random.pick(NAMES)} ${random.pick(SURNAMES)}`;
      if (slot === 'count') return String(random.between(2, 60));
      if (slot === 'number') return String(random.between(101, 4_999));
      if (slot === 'place') return random.pick(PLACES);
      if (slot === 'time') return random.pick(TIMES);
      return random.pick(ITEMS);
    });
    return filled.charAt(0).toUpperCase() + filled.slice(1);
  }
}
