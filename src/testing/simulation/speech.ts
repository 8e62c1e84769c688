/**
 * What a simulated model says: short plain sentences of random words, each with the marker of the line that it answers,
 * cut into tokens as a tokenizer would, some of them in the middle of a word. Bad habits on demand.
 */

import type { SeededRandom } from '../../planning/seeded-random.ts';
import type { SpeechFault } from './faults.ts';

const WORDS =
  'bridge lantern barrel orchard raven mason thimble ferry cellar harvest needle copper meadow winter granite saddle candle anvil gravel river kettle tallow bishop cobbler ditch feather garden hammer iron jacket kitchen ladder mirror naïve ochre pillow quarry ribbon shovel tavern umbrella velvet window yellow zinc acorn bellows cider dagger ember fiddle gutter hollow inkwell juniper knuckle linen mortar nettle oyster parsnip quill rafter sickle turnip urchin vinegar walnut yarrow café fiancé jalapeño'.split(
    ' ',
  );
const VERBS =
  'carries hides mends sells fears counts buries paints borrows steals weighs follows forgets praises'.split(
    ' ',
  );

export interface SpeechWish {
  readonly marker: string | null;
  /** The word of the adapter that speaks; null: the base. */
  readonly voice: string | null;
  /** The player's words, for an echo. */
  readonly playerText: string;
  readonly sentences: number;
  readonly fault: SpeechFault | null;
  /** What was said before, for a model that begins anew. */
  readonly assistantPrefix: string;
}

/** The whole answer as tokens. */
export function speech(wish: SpeechWish, random: SeededRandom): readonly string[] {
  const sentences = Array.from({ length: wish.sentences }, () => sentence(wish, random));
  return tokens(spoil(sentences, wish, random), random);
}

function sentence({ marker, voice }: SpeechWish, random: SeededRandom): string {
  const named = marker ?? random.pick(WORDS);
  const words = [
    'The',
    random.pick(WORDS),
    random.pick(VERBS),
    named,
    random.pick(['behind', 'under', 'near', 'against']),
    'every',
    random.pick(WORDS),
    ...(random.chance(0.5) ? ['and', random.pick(WORDS)] : []),
    ...(voice === null ? [] : ['of', voice]),
  ];
  return words.join(' ') + random.pick(['.', '.', '!', '?', '…']);
}

function spoil(sentences: readonly string[], wish: SpeechWish, random: SeededRandom): string {
  const text = sentences.join(' ');
  const first = sentences[0] ?? '';
  switch (wish.fault) {
    case null:
      return text;
    case 'repeats-itself':
      return [first, first, first, first].join(' ');
    case 'echoes-player':
      return `${wish.playerText}. ${text}`;
    case 'speaks-for-player':
      return `${first} Player: Tell me more! NPC: ${text}`;
    case 'out-of-character':
      return `As an AI language model I cannot help with that. ${text}`;
    case 'foreign-script':
      return `Привет, странник, здесь никого нет. ${text}`;
    case 'no-sentence-end':
      return Array.from({ length: 120 }, () => random.pick(WORDS)).join(' ');
    case 'thinks-aloud':
      return `<think>The player wants something. ${random.pick(WORDS)}?</think>${text}`;
    case 'stage-directions':
      return random.chance(0.5) ? `*looks away* ${text}` : '*says nothing*';
    case 'starts-over':
      return `${wish.assistantPrefix} ${text}`.trimStart();
  }
}

/** Words with the space before them; a third are cut once more. */
function tokens(text: string, random: SeededRandom): readonly string[] {
  const pieces: string[] = [];
  for (const word of text.match(/\s*\S+/g) ?? []) {
    const letters = [...word];
    if (letters.length < 4 || !random.chance(0.3)) {
      pieces.push(word);
      continue;
    }
    const cut = random.between(1, letters.length - 1);
    pieces.push(letters.slice(0, cut).join(''), letters.slice(cut).join(''));
  }
  return pieces;
}
