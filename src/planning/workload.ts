/**
 * What players of a planned game ask, as parameters and as lines drawn from them: who asks whom, what, and how often the
 * same again. Names follow the NPC trace of the benchmarks (bench/npc-trace/trace.ts). Each figure has its source beside it;
 * one without a measured source is called an assumption, and a studio puts its own in its place.
 */
import type { DialogueContext, GameFact, HistoryTurn, Tier, Trigger } from '../core/dialogue.ts';
import { TIERS } from '../core/dialogue.ts';
import type { SeededRandom } from './seeded-random.ts';

export type ByTier<Value> = Readonly<Record<Tier, Value>>;

export interface Workload {
  readonly players: number;
  /** Talks that one player begins in an hour; each has `turnsMean` turns. */
  readonly dialoguesPerPlayerHour: number;
  readonly turnsMean: number;
  readonly turnsMax: number;
  /** Times the mean load for which the engines are sized. */
  readonly burstFactor: number;
  /** Share of lines by the tier of the NPC; adds up to 1. */
  readonly tierShares: ByTier<number>;
  /** NPCs of each tier. */
  readonly npcs: ByTier<number>;
  /** Whom players seek, within a tier: Zipf's law with this exponent. */
  readonly zipfNpcs: number;
  /** Share of lines that are barks: a trigger, no words. */
  readonly barkShare: ByTier<number>;
  /** Share of players' words that are one of the questions that everybody asks that NPC. */
  readonly repeats: number;
  /** How many such questions an NPC has. */
  readonly repeatedQuestions: number;
  readonly zipfQuestions: number;
  /** Share of talks in which the player's story is one that many share (0..1). */
  readonly commonStories: number;
  /** Share of talks in which it is the player's own: a fact that nobody else has. */
  readonly ownStories: number;
  /** Share of lines that the player cuts short. */
  readonly interruptions: number;
  /** Share of lines that wait behind those of a player who stands there. */
  readonly ambientShare: number;
  /** Words of an answer, mean. */
  readonly answerWords: ByTier<number>;
}

export const DEFAULT_WORKLOAD: Workload = {
  // The game that the project was first asked for (npc-domain §10): 1,000 players, 20 dialogues an hour, bursts of four.
  players: 1_000,
  dialoguesPerPlayerHour: 20,
  burstFactor: 4,
  // The NPC trace: a dialogue is a talk, and talks are short; assumptions there, too.
  turnsMean: 2.2,
  turnsMax: 6,
  // Assumption: most of what is spoken is the crowd; a boss is met rarely.
  tierShares: { 1: 0.6, 2: 0.25, 3: 0.1, 4: 0.05 },
  // Assumption: four regions of the size of examples/body-broker.
  npcs: { 1: 40, 2: 24, 3: 12, 4: 4 },
  // The NPC trace: the top of what web requests show (0.64 to 0.83; Breslau et al., INFOCOM 1999).
  zipfNpcs: 0.8,
  // 0.42 of all lines with the shares above; the NPC trace measures 0.41. The crowd barks, a boss converses (npc-domain §9).
  barkShare: { 1: 0.6, 2: 0.2, 3: 0.1, 4: 0 },
  // The NPC trace: the first plan of the game says 80 % of dialogues; taken lower there.
  repeats: 0.6,
  repeatedQuestions: 24,
  zipfQuestions: 1,
  // The NPC trace: 18, 9 and 9 % of players are at a stage of a story, one in ten has facts of their own.
  commonStories: 0.36,
  ownStories: 0.1,
  interruptions: 0.1,
  // The NPC trace measures 0.08.
  ambientShare: 0.08,
  // npc-domain §4: 8 to 40 words; the crowd says one sentence.
  answerWords: { 1: 9, 2: 18, 3: 28, 4: 40 },
};

/** Share of all lines that are barks (0..1). */
export function barksOf({ tierShares, barkShare }: Workload): number {
  return TIERS.reduce((sum, tier) => sum + tierShares[tier] * barkShare[tier], 0);
}

/** Lines of a dialogue: its turns, and the barks that come with as many talks. */
export function linesPerDialogue(workload: Workload): number {
  return workload.turnsMean / Math.max(0.01, 1 - barksOf(workload));
}

/** Lines a second, mean over the hour. */
export function linesPerSecond(workload: Workload): number {
  return (workload.players * workload.dialoguesPerPlayerHour * linesPerDialogue(workload)) / 3_600;
}

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
  /** The player leaves so long after asking (ms); null: never. */
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

const STORY_STAGES = 3;
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
  readonly #open: Readonly<Record<Tier, Talk[]>> = { 1: [], 2: [], 3: [], 4: [] };
  #count = 0;

  constructor(workload: Workload, random: SeededRandom) {
    this.#workload = workload;
    this.#random = random;
    const draw = (tier: Tier) => zipfDraw(workload.npcs[tier], workload.zipfNpcs);
    this.#npcOf = { 1: draw(1), 2: draw(2), 3: draw(3), 4: draw(4) };
    this.#questionOf = zipfDraw(workload.repeatedQuestions, workload.zipfQuestions);
  }

  /** Milliseconds until the next line, by a Poisson process of so many lines a second. */
  gapMs(perSecond: number): number {
    return (-Math.log(1 - this.#random.next()) * 1_000) / perSecond;
  }

  next(): PlannedLine {
    const random = this.#random;
    const { barkShare, turnsMean, interruptions } = this.#workload;
    const number = this.#count++;
    const hangUpAfterMs = random.chance(interruptions) ? random.spread(300, 4_000) : null;
    const tier = this.#tier();
    if (random.chance(barkShare[tier])) return this.#bark(number, tier, hangUpAfterMs);
    const open = random.chance(1 - 1 / turnsMean) ? this.#takeOpen(tier) : null;
    return this.#say(number, open ?? this.#talk(tier), hangUpAfterMs);
  }

  /** The answer to a line was heard: the talk may go on with it. */
  heard({ talk, prompt }: PlannedLine, text: string): void {
    if (talk === null || talk.turnsLeft <= 0 || text === '') return;
    talk.history.push({ speaker: 'player', text: prompt }, { speaker: 'npc', text });
    const open = this.#open[talk.tier];
    open.push(talk);
    if (open.length > OPEN_TALKS_MAX) open.shift();
  }

  #takeOpen(tier: Tier): Talk | null {
    const open = this.#open[tier];
    if (open.length === 0) return null;
    const [talk] = open.splice(Math.floor(this.#random.next() * open.length), 1);
    return talk ?? null;
  }

  #bark(number: number, tier: Tier, hangUpAfterMs: number | null): PlannedLine {
    const random = this.#random;
    const { playerId, npcId: npc, context } = this.#talk(tier);
    return {
      number,
      playerId,
      npcId: npc,
      tier,
      prompt: '',
      trigger: random.pick(TRIGGERS),
      context: { ...context, history: [] },
      priority: this.#priority(),
      hangUpAfterMs,
      talk: null,
    };
  }

  #priority(): PlannedLine['priority'] {
    return this.#random.chance(this.#workload.ambientShare) ? 'ambient' : 'interactive';
  }

  #say(number: number, talk: Talk, hangUpAfterMs: number | null): PlannedLine {
    const random = this.#random;
    talk.turnsLeft -= 1;
    const isRepeated = random.chance(this.#workload.repeats);
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
      priority: this.#priority(),
      hangUpAfterMs,
      talk,
    };
  }

  #talk(tier: Tier): Talk {
    const random = this.#random;
    const { players, turnsMean, turnsMax } = this.#workload;
    const player = Math.floor(random.next() * players);
    const playerId = `player-${player}`;
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
        facts: this.#story(player),
        allowedActions: [],
      },
      history: [],
      // Whether it goes on is drawn line by line; this bounds it.
      turnsLeft: turnsMean <= 1 ? 1 : turnsMax,
    };
  }

  /** What the game says of the player: nothing, a stage that many are at, or something that is theirs alone. */
  #story(player: number): GameFact[] {
    const { commonStories, ownStories } = this.#workload;
    const point = this.#random.next();
    if (point < ownStories)
      return [{ key: 'quest.debt', value: player, text: `The player owes the Broker ${player} coins.` }];
    if (point >= ownStories + commonStories) return [];
    const stage = this.#random.between(1, STORY_STAGES);
    return [{ key: 'quest.stage', value: stage, text: `The player has rung the bell ${stage} times.` }];
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
