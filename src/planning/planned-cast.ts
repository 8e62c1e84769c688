/**
 * A cast for a game that is planned and not written: NPCs of each tier with personas that fill their tier's budget, and
 * written lines to fall back on. The words say nothing; how many they are decides what engines have to read.
 */
import { type Cast, createCast } from '../cast/cast.ts';
import { PERSONA_SCHEMA, PERSONA_TOKEN_BUDGET, type Persona, personaSchema } from '../cast/persona.ts';
import { COMMON_SPEAKER, LINE_TRIGGERS, type WrittenLine } from '../cast/written-lines.ts';
import { TIERS, type Tier } from '../core/dialogue.ts';
import { plainSentence } from './planned-speech.ts';
import { CHARACTERS_PER_TOKEN } from './prefix-blocks.ts';
import { SeededRandom } from './seeded-random.ts';
import { npcId, type Workload } from './workload.ts';

const KIND_OF: Readonly<Record<Tier, string>> = { 1: 'zombie', 2: 'ghoul', 3: 'vampire', 4: 'lich' };
const LINES_PER_TRIGGER = 12;
const EXAMPLES = 6;
/** A planned fact is longer, so that a budget is filled for certain. */
const FACT_CHARACTERS = 50;

/** The same for the same seed and numbers of NPCs. */
export function plannedCast({ npcs }: Pick<Workload, 'npcs'>, seed: number): Cast {
  const personas = TIERS.flatMap((tier) =>
    Array.from({ length: npcs[tier] }, (_, rank) => plannedPersona(tier, rank, seed)),
  );
  const random = new SeededRandom(`lines ${seed}`);
  const lines = LINE_TRIGGERS.flatMap((trigger) =>
    Array.from(
      { length: LINES_PER_TRIGGER },
      (_, at): WrittenLine => ({
        id: `planned.${trigger.replace(':', '.')}.${at}`,
        speaker: COMMON_SPEAKER,
        trigger,
        text: plainSentence(random, 7),
        when: [],
        specificity: 0,
        mood: null,
        weight: 1,
        cooldownS: null,
        once: null,
        estMs: null,
        audio: null,
        rating: null,
        tags: [],
        status: 'approved',
        source: 'written',
        origin: 'planning',
      }),
    ),
  );
  return createCast(personas, lines, {
    text: 'A drowned town under an old bell, where bodies are traded and the dead have long memories.',
    playerName: 'stranger',
    places: new Map(
      Array.from({ length: 7 }, (_, at) => {
        const id = `place_${at}`;
        return [id, { id, name: `the ${at + 1}. quay`, text: '' }];
      }),
    ),
    facts: [],
  });
}

function plannedPersona(tier: Tier, rank: number, seed: number): Persona {
  const id = npcId(tier, rank);
  const random = new SeededRandom(`${id} ${seed}`);
  // More than fits: the real prompt takes what its budget allows and drops the rest.
  const facts = Math.ceil((PERSONA_TOKEN_BUDGET[tier] * CHARACTERS_PER_TOKEN) / FACT_CHARACTERS);
  return personaSchema.parse({
    schema: PERSONA_SCHEMA,
    id,
    version: 1,
    name: `Neighbour ${tier}-${rank}`,
    monster_type: KIND_OF[tier],
    tier,
    summary: plainSentence(random, 12),
    identity: { role: plainSentence(random, 6) },
    personality: { traits: Array.from({ length: 4 }, () => plainSentence(random, 5)) },
    world_facts: Array.from({ length: facts }, (_, at) => ({
      id: `fact_${at}`,
      text: plainSentence(random, 12),
      mode: 'always',
    })),
    examples: Array.from({ length: EXAMPLES }, () => ({
      situation: 'talk',
      player: plainSentence(random, 6),
      npc: plainSentence(random, 10),
    })),
  });
}
