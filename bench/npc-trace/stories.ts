/**
 * What the game asserts beside a request. All players share the weather and the hour; how far each has come in the story
 * differs, and a few have facts that nobody else has. So two equal prompts are not always equal questions.
 */
import type { SeededRandom } from '../../src/planning/seeded-random.ts';

/** A fact as `context.facts` of POST /v1/dialogue takes it. */
export interface TraceFact {
  readonly key: string;
  readonly value: string | number | boolean;
  readonly text?: string;
}

/** How far players have come who share a story, and what share of them has (our assumption). */
const COMMON: readonly { readonly weight: number; readonly facts: readonly TraceFact[] }[] = [
  { weight: 6, facts: [] },
  { weight: 2, facts: [{ key: 'quest.bell', value: 1 }] },
  { weight: 1, facts: [{ key: 'quest.bell', value: 2 }] },
];

/** What holds for one player throughout the trace. */
export function storyOf(random: SeededRandom, ownStories: number): readonly TraceFact[] {
  if (!random.chance(ownStories)) {
    const weights = Object.fromEntries(COMMON.map(({ weight }, index) => [String(index), weight]));
    return COMMON[Number(random.weighted(weights))]?.facts ?? [];
  }
  const debt = random.between(1, 99);
  return [
    { key: 'quest.bell', value: random.between(0, 3) },
    { key: 'quest.ledger', value: random.between(0, 2) },
    { key: 'player.debt', value: debt, text: `The broker owes the Court ${debt} pairs.` },
    { key: 'rep.pack', value: random.between(-2, 2) },
  ];
}

/** Dusk for the first half, night for the second; fog all along. */
export function worldFacts(atMs: number, durationMs: number): readonly TraceFact[] {
  return [
    { key: 'time', value: atMs < durationMs / 2 ? 'dusk' : 'night' },
    { key: 'weather', value: 'fog' },
  ];
}
