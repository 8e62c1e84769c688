/** What a planned engine says: plain sentences of random words that pass the guard, as long as the tier speaks. */
import type { SeededRandom } from './seeded-random.ts';

const NOUNS =
  'bridge lantern barrel orchard raven mason thimble ferry cellar harvest needle copper meadow winter granite saddle candle anvil gravel river kettle tallow bishop cobbler ditch feather garden hammer jacket ladder mirror pillow quarry ribbon shovel tavern umbrella velvet window zinc acorn bellows cider dagger ember fiddle gutter hollow inkwell juniper linen mortar nettle oyster parsnip quill rafter sickle turnip urchin vinegar walnut yarrow'.split(
    ' ',
  );
const VERBS =
  'carries hides mends sells fears counts buries paints borrows steals weighs follows forgets praises watches keeps'.split(
    ' ',
  );
const JOINTS = ['behind', 'under', 'near', 'against', 'beside', 'above'];
/** npc-domain §4: the first sentence is short. */
const FIRST_SENTENCE_WORDS = 8;
const SENTENCE_WORDS = 10;

/** One sentence of about `words` words. */
export function plainSentence(random: SeededRandom, words: number): string {
  const said = ['The', random.pick(NOUNS), random.pick(VERBS), 'the', random.pick(NOUNS)];
  while (said.length + 2 < words) said.push(random.pick(JOINTS), 'the', random.pick(NOUNS));
  while (said.length < words) said.push(random.pick(NOUNS));
  return `${said.join(' ')}.`;
}

/** A whole answer, sentence by sentence: half to one and a half times `words` words, the first sentence short. */
export function plannedAnswer(random: SeededRandom, words: number): readonly string[] {
  let left = Math.max(4, Math.round(words * (0.5 + random.next())));
  const sentences: string[] = [];
  while (left > 0) {
    const most = sentences.length === 0 ? FIRST_SENTENCE_WORDS : SENTENCE_WORDS;
    const take = left - most < 4 ? Math.min(left, most + 3) : most;
    sentences.push(plainSentence(random, Math.max(4, take)));
    left -= take;
  }
  return sentences;
}
