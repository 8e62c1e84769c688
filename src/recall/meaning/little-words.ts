/**
 * Words that stand for others or steer the sentence: pronouns, helpers, verbs that ask for a person, states. Beside each
 * list is what the reader does by it.
 */
export const BE_WEIGHT = 0.2;
export const VAGUE_WEIGHT = 0.3;
export const PRONOUNS: Readonly<
  Record<
    string,
    { concepts: readonly string[]; gender?: 'm' | 'f'; isPlural?: boolean; weight?: number; isOwner?: true }
  >
> = {
  he: { concepts: ['thing/player'], gender: 'm', isPlural: false },
  him: { concepts: ['thing/player'], gender: 'm', isPlural: false },
  his: { concepts: ['thing/player'], gender: 'm', isPlural: false, weight: VAGUE_WEIGHT, isOwner: true },
  she: { concepts: ['thing/player'], gender: 'f', isPlural: false },
  her: { concepts: ['thing/player'], gender: 'f', isPlural: false, weight: VAGUE_WEIGHT },
  they: { concepts: ['thing/player', 'somebody'], isPlural: true, weight: 0.5 },
  them: { concepts: ['thing/player', 'somebody'], isPlural: true },
  their: { concepts: ['thing/player'], isPlural: true, weight: VAGUE_WEIGHT, isOwner: true },
  i: { concepts: ['i'] },
  me: { concepts: ['i'] },
  my: { concepts: ['i'], isOwner: true },
  we: { concepts: ['we'] },
  us: { concepts: ['we'] },
  our: { concepts: ['we'], isOwner: true },
  you: { concepts: ['you'] },
  your: { concepts: ['you'], isOwner: true },
  it: { concepts: ['it'] },
  its: { concepts: ['it'], weight: VAGUE_WEIGHT, isOwner: true },
  himself: { concepts: ['self'] },
  herself: { concepts: ['self'] },
  itself: { concepts: ['self'] },
  themselves: { concepts: ['self'] },
  yourself: { concepts: ['self'] },
  myself: { concepts: ['self'] },
  somebody: { concepts: ['somebody'], weight: VAGUE_WEIGHT },
  someone: { concepts: ['somebody'], weight: VAGUE_WEIGHT },
  anybody: { concepts: ['somebody'], weight: VAGUE_WEIGHT },
  anyone: { concepts: ['somebody'], weight: VAGUE_WEIGHT },
  something: { concepts: ['something'], weight: VAGUE_WEIGHT },
  anything: { concepts: ['something'], weight: VAGUE_WEIGHT },
  somewhere: { concepts: ['somewhere'], weight: VAGUE_WEIGHT },
};
export const PAST_HELPERS: ReadonlySet<string> = new Set(['was', 'were', 'had', 'did']);
export const PRESENT_HELPERS: ReadonlySet<string> = new Set(['is', 'are', 'am', 'has', 'do', 'does']);
export const ASKING: ReadonlySet<string> = new Set(
  'do does did is are was were am have has must shall may can could will would should'.split(' '),
);
/** Nobody is asked to do these: "can you see me" is a question. */
export const STATES: ReadonlySet<string> = new Set(
  'have be remember recall know see hear smell feel taste believe understand like love hate fear swim read'.split(
    ' ',
  ),
);
export const QUESTION_WORD = /^(?:who|whom|what|where|when|why|how|whose|which)$/;
/** With these the first of two things is to whom: "give me the key". */
export const GIVING: ReadonlySet<string> = new Set(
  'give hand lend show sell offer throw tell bring send teach pay loan pass promise'.split(' '),
);

export const STANDING: ReadonlySet<string> = new Set(
  'come go stand sit lie run fly hang walk rise'.split(' '),
);
/** States of mind and of owning: over when they are told as past. */
export const LASTING: ReadonlySet<string> = new Set(
  'love hate like know own want need trust fear believe owe live work have belong'.split(' '),
);
const FREE_MARKERS: ReadonlySet<string> = new Set(
  'hardly again soon no-longer once twice thrice up down away off over back forward'
    .split(' ')
    .map((name) => `marker/${name}`),
);

/** Markers that may stand anywhere. */
export function freeTies(concept = ''): readonly string[] | null {
  if (QUESTION_WORD.test(concept.slice('marker/'.length))) return ['asked'];
  if (concept === 'marker/refuse') return ['refuse'];
  return FREE_MARKERS.has(concept) ? ['degree'] : null;
}
