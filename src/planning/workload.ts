/**
 * What players of a planned game ask, as parameters and as lines drawn from them: who asks whom, what, and how often the
 * same again. Names follow the NPC trace of the benchmarks (bench/npc-trace/trace.ts). Each figure has its source beside it;
 * one without a measured source is called an assumption, and a studio puts its own in its place.
 */
import type { DialogueContext, HistoryTurn, Tier, Trigger } from '../core/dialogue.ts';
import { TIERS } from '../core/dialogue.ts';
import type { SeededRandom } from './seeded-random.ts';

export type ByTier<Value> = Readonly<Record<Tier, Value>>;

export interface Workload {
  readonly players: number;
  readonly dialoguesPerHour: number;
  /** Times the mean load for which the engines are sized. */
  readonly burst: number;
  /** Share of dialogues by the tier of the NPC; adds up to 1. */
  readonly tierShares: ByTier<number>;
  /** NPCs of each tier. */
  readonly npcs: ByTier<number>;
  /** Whom players seek, within a tier: Zipf's law with this exponent. */
  readonly npcZipf: number;
  /** Share of lines that are barks: a trigger, no words. */
  readonly barkShare: ByTier<number>;
  /** Share of a player's words that are one of the questions that everybody asks. */
  readonly repeatedShare: number;
  /** How many such questions an NPC has. */
  readonly repeatedQuestions: number;
  readonly questionZipf: number;
  /** Turns of one talk, mean. */
  readonly turnsPerTalk: number;
  /** Share of lines whose request tells a fact of the player's own game. */
  readonly factShare: number;
  /** Different values that such a fact takes. */
  readonly factValues: number;
  /** Share of lines that the player does not hear to the end. */
  readonly hangUpShare: number;
  /** Share of lines between NPCs, for nobody in particular. */
  readonly ambientShare: number;
  /** Words of an answer, mean. */
  readonly answerWords: ByTier<number>;
}

export const DEFAULT_WORKLOAD: Workload = {
  // The game that the project was first asked for: 1,000 players, 20 dialogues an hour, bursts of four times the mean.
  players: 1_000,
  dialoguesPerHour: 20,
  burst: 4,
  // Assumption: most of what is spoken is the crowd; a boss is met rarely.
  tierShares: { 1: 0.6, 2: 0.25, 3: 0.1, 4: 0.05 },
  // Assumption: the cast of one region, as examples/body-broker has some dozens.
  npcs: { 1: 40, 2: 24, 3: 12, 4: 4 },
  npcZipf: 1,
  // Assumption, from npc-domain §4 and §9: the crowd barks, a boss converses.
  barkShare: { 1: 0.5, 2: 0.2, 3: 0.05, 4: 0 },
  // Assumption: half of what is said to an NPC is what everybody says to it. The seeds hope for 80 to 95 %.
  repeatedShare: 0.5,
  repeatedQuestions: 24,
  questionZipf: 1,
  turnsPerTalk: 2.5,
  factShare: 0.3,
  factValues: 4,
  hangUpShare: 0.1,
  ambientShare: 0.1,
  // npc-domain §4: 8 to 40 words; the crowd says one sentence.
  answerWords: { 1: 9, 2: 18, 3: 28, 4: 40 },
};

/** Longest time to the first sentence that a player takes for an answer, p95 (ms); npc-domain §3 with design §6's first tokens. */
export const DEFAULT_FIRST_SENTENCE_MS: ByTier<number> = { 1: 600, 2: 800, 3: 1_000, 4: 2_000 };

/** One line, as it will be asked. */
export interface PlannedLine {
  readonly number: number;
  readonly playerId: string;
  readonly npcId: string;
  readonly tier: Tier;
  /** Empty for a bark. */
  readonly prompt: string;
  readonly trigger: Trigger | null;
  readonly context: DialogueContext;
  readonly priority: 'interactive' | 'ambient';
  /** Share of the speech after which the player leaves; null: never. */
  readonly hangUpAfterMs: number | null;
  /** Where what was heard is kept; null for a bark. */
  readonly talk: Talk | null;
}

export interface Talk {
  readonly playerId: string;
  readonly npcId: string;
  readonly tier: Tier;
  readonly context: Omit<DialogueContext, 'history'>;
  readonly history: HistoryTurn[];
  turnsLeft: number;
}

const MOODS = ['calm', 'wary', 'angry'] as const;
const TRIGGERS: readonly Trigger[] = ['spot', 'greet', 'idle', 'hurt', 'attack', 'farewell'];
/** Talks that may be gone on with; older ones are over. */
const OPEN_TALKS_MAX = 64;

export function npcId(tier: Tier, rank: number): string {
  return `npc_${tier}_${rank}`;
}

/** Draws ranks 0..count-1 with weights 1/(rank+1)^exponent. */
export function zipfDraw(count: number, exponent: number): (chance: number) => number {
  const bounds: number[] = [];
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** exponent;
    bounds.push(sum);
  }
  return (chance) => {
    const point = chance * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (point < (bounds[middle] as number)) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** Lines one after another; a talk goes on only after its answer was heard (`heard`). */
export class LineSource {
  readonly #workload: Workload;
  readonly #random: SeededRandom;
  readonly #npcOf: ByTier<(chance: number) => number>;
  readonly #questionOf: (chance: number) => number;
  readonly #open: Talk[] = [];
  #count = 0;

  constructor(workload: Workload, random: SeededRandom) {
    this.#workload = workload;
    this.#random = random;
    const draw = (tier: Tier) => zipfDraw(workload.npcs[tier], workload.npcZipf);
    this.#npcOf = { 1: draw(1), 2: draw(2), 3: draw(3), 4: draw(4) };
    this.#questionOf = zipfDraw(workload.repeatedQuestions, workload.questionZipf);
  }

  /** Milliseconds until the next line, by a Poisson process of `linesPerSecond`. */
  gapMs(linesPerSecond: number): number {
    return (-Math.log(1 - this.#random.next()) * 1_000) / linesPerSecond;
  }

  next(): PlannedLine {
    const random = this.#random;
    const { barkShare, turnsPerTalk, hangUpShare, ambientShare } = this.#workload;
    const number = this.#count++;
    const hangUpAfterMs = random.chance(hangUpShare) ? random.spread(400, 4_000) : null;
    const open = random.chance(1 - 1 / turnsPerTalk) ? this.#takeOpen() : null;
    if (open !== null) return this.#say(number, open, hangUpAfterMs);
    const tier = this.#tier();
    const talk = this.#talk(tier);
    if (!random.chance(barkShare[tier])) return this.#say(number, talk, hangUpAfterMs);
    return {
      number,
      playerId: talk.playerId,
      npcId: talk.npcId,
      tier,
      prompt: '',
      trigger: random.pick(TRIGGERS),
      context: { ...talk.context, history: [] },
      priority: random.chance(ambientShare) ? 'ambient' : 'interactive',
      hangUpAfterMs,
      talk: null,
    };
  }

  /** The answer to a line was heard: the talk may go on with it. */
  heard({ talk, prompt }: PlannedLine, text: string): void {
    if (talk === null || talk.turnsLeft <= 0 || text === '') return;
    talk.history.push({ speaker: 'player', text: prompt }, { speaker: 'npc', text });
    this.#open.push(talk);
    if (this.#open.length > OPEN_TALKS_MAX) this.#open.shift();
  }

  #takeOpen(): Talk | null {
    if (this.#open.length === 0) return null;
    const [talk] = this.#open.splice(Math.floor(this.#random.next() * this.#open.length), 1);
    return talk ?? null;
  }

  #say(number: number, talk: Talk, hangUpAfterMs: number | null): PlannedLine {
    const random = this.#random;
    talk.turnsLeft -= 1;
    const isRepeated = random.chance(this.#workload.repeatedShare);
    const prompt = isRepeated
      ? `${QUESTIONS[this.#questionOf(random.next()) % QUESTIONS.length]}`
      : ownWords(random, number);
    return {
      number,
      playerId: talk.playerId,
      npcId: talk.npcId,
      tier: talk.tier,
      prompt,
      trigger: null,
      context: { ...talk.context, history: [...talk.history] },
      priority: random.chance(this.#workload.ambientShare) ? 'ambient' : 'interactive',
      hangUpAfterMs,
      talk,
    };
  }

  #talk(tier: Tier): Talk {
    const random = this.#random;
    const { players, factShare, factValues, turnsPerTalk } = this.#workload;
    const playerId = `player-${Math.floor(random.next() * players)}`;
    const npc = this.#npcOf[tier](random.next());
    return {
      playerId,
      npcId: npcId(tier, npc),
      tier,
      context: {
        playerId,
        // An NPC stands where it stands; its mood changes.
        location: `place_${npc % 7}`,
        mood: MOODS[random.chance(0.8) ? 0 : random.chance(0.5) ? 1 : 2] as string,
        timelineId: 'main',
        facts: random.chance(factShare)
          ? [
              {
                key: 'quest.stage',
                value: random.between(1, factValues),
                text: 'The player works for the Broker.',
              },
            ]
          : [],
        allowedActions: [],
      },
      history: [],
      turnsLeft: 1 + Math.floor(-Math.log(1 - random.next()) * (turnsPerTalk - 0.5)),
    };
  }

  #tier(): Tier {
    let left = this.#random.next();
    for (const tier of TIERS) {
      left -= this.#workload.tierShares[tier];
      if (left < 0) return tier;
    }
    return 4;
  }
}

/** What everybody asks, the most usual first. */
const QUESTIONS: readonly string[] = [
  'Who are you?',
  'Good evening.',
  'What is this place?',
  'Do you have any work for me?',
  'What do you sell?',
  'Is it safe around here?',
  'What happened here?',
  'Can I trust you?',
  'Where should I go next?',
  'Have you seen anyone pass by?',
  'What are you afraid of?',
  'Tell me a secret.',
  'Who rules this place?',
  'How long have you been here?',
  'Are you alone?',
  'What do you want?',
  'Why should I help you?',
  'Do you know the old bell?',
  'How do I get out of here?',
  'What lies below?',
  'Who is your enemy?',
  'Farewell.',
  'Thank you.',
  'Could you say that again?',
];

const SUBJECTS =
  'lantern ferry cellar raven mason bridge orchard kettle anvil saddle needle ribbon quarry shovel tavern velvet copper granite'.split(
    ' ',
  );

/** Words that nobody else says: the number of the line is in them. */
function ownWords(random: SeededRandom, number: number): string {
  const subject = random.pick(SUBJECTS);
  const other = random.pick(SUBJECTS);
  return random.pick([
    `I left ${number} coins by the ${subject}; who took them to the ${other}?`,
    `They told me about the ${subject} of door ${number}. What does it have to do with the ${other}?`,
    `If I bring you the ${subject} and ${number} pieces of ${other}, will you talk?`,
    `Yesterday I counted ${number} crows over the ${subject}. What does that mean for the ${other}?`,
  ]);
}
