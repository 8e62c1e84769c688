/**
 * What can go wrong, by name, and how often in one scenario. Swarm testing (Groce et al., ISSTA 2012): each seed switches
 * most faults off and a few on, because faults that are all on at once hide one another.
 */
import type { SeededRandom } from '../../planning/seeded-random.ts';

/** Before the engine has answered anything. */
export const LINK_FAULTS = [
  /** Nobody listens on the port. */
  'refused',
  /** The name of the host is not known. */
  'dns',
  /** TLS: the certificate is not for this host. */
  'certificate',
  /** The packets of the handshake vanish. */
  'connect-black-hole',
  /** The connection is cut before the head of the reply. */
  'reset-before-head',
  /** The request is taken, and no byte ever comes back. */
  'black-hole',
] as const;
export type LinkFault = (typeof LINK_FAULTS)[number];

/** A reply that is no answer. */
export const REFUSAL_FAULTS = [
  'too-many-requests',
  'unavailable',
  'overloaded-529',
  'internal-error',
  'bad-gateway-html',
  'key-refused',
  'model-unloaded',
  'context-too-long',
  'html-200',
  'json-200',
  'empty-200',
  'redirect',
] as const;
export type RefusalFault = (typeof REFUSAL_FAULTS)[number];

/** A stream that goes wrong on its way. */
export const STREAM_FAULTS = [
  'head-then-nothing',
  'stall',
  'reset',
  'truncated',
  'done-without-finish',
  'error-event',
  'error-event-then-done',
  'aborted-finish',
  'garbage-bytes',
  'garbage-event',
  'huge-event',
  'duplicate-events',
  'usage-missing',
  'usage-absurd',
  'empty-answer',
  'endless',
  'drip',
  'odd-events',
] as const;
export type StreamFault = (typeof STREAM_FAULTS)[number];

/** What the model says, when it is not what one wants to hear. */
export const SPEECH_FAULTS = [
  'repeats-itself',
  'echoes-player',
  'speaks-for-player',
  'out-of-character',
  'foreign-script',
  'no-sentence-end',
  'thinks-aloud',
  'stage-directions',
  'starts-over',
] as const;
export type SpeechFault = (typeof SPEECH_FAULTS)[number];

/** What the database does. */
export const STORE_FAULTS = [
  /** Another process holds the write lock for a while. */
  'busy',
  /** Writes fail, reads go on. */
  'disk-full',
  /** Nothing gets through. */
  'unreachable',
  /** The write happened, the answer to it was lost. */
  'answer-lost',
  /** Each answer takes its time. */
  'slow',
] as const;
export type StoreFault = (typeof STORE_FAULTS)[number];

export type Fault = LinkFault | RefusalFault | StreamFault | SpeechFault;

/** Chance of each fault per exchange with an engine; what is left out never happens. */
export type FaultOdds = Readonly<Partial<Record<Fault, number>>>;

export interface StoreTrouble {
  readonly odds: Readonly<Partial<Record<StoreFault, number>>>;
  /** The longest wait that `slow` puts on one answer (ms). */
  readonly slowMaxMs: number;
  /** Begin and length of the times when the odds hold (monotonic ms). */
  readonly spells: readonly { readonly fromMonoMs: number; readonly forMs: number }[];
}

export const NO_TROUBLE: StoreTrouble = { odds: {}, slowMaxMs: 0, spells: [] };

/** How hard a seed is on the service. */
export const MOODS = ['calm', 'uneven', 'cruel', 'dead'] as const;
export type Mood = (typeof MOODS)[number];

const ALL_FAULTS: readonly Fault[] = [...LINK_FAULTS, ...REFUSAL_FAULTS, ...STREAM_FAULTS, ...SPEECH_FAULTS];

/** The odds for one engine of a scenario. */
export function chooseOdds(random: SeededRandom, mood: Mood): FaultOdds {
  switch (mood) {
    case 'calm':
      return {};
    case 'uneven':
      return someOf(random, random.between(1, 4), () => random.spread(0.02, 0.25));
    case 'cruel':
      return someOf(random, random.between(4, 14), () => random.spread(0.05, 0.6));
    case 'dead': {
      const way = random.pick([...LINK_FAULTS, 'stall', 'internal-error', 'truncated', 'html-200'] as const);
      return { [way]: 1 };
    }
  }
}

function someOf(random: SeededRandom, count: number, odds: () => number): FaultOdds {
  const chosen: Partial<Record<Fault, number>> = {};
  for (let each = 0; each < count; each++) chosen[random.pick(ALL_FAULTS)] = odds();
  return chosen;
}

/** What befalls one exchange; null: nothing. At most one fault, so that its effect can be told. */
export function befall(random: SeededRandom, odds: FaultOdds): Fault | null {
  for (const fault of ALL_FAULTS) {
    const probability = odds[fault];
    if (probability !== undefined && random.chance(probability)) return fault;
  }
  return null;
}

export function chooseStoreTrouble(random: SeededRandom, mood: Mood, playMs: number): StoreTrouble {
  if (mood === 'calm' || !random.chance(mood === 'cruel' ? 0.6 : 0.25)) return NO_TROUBLE;
  const odds: Partial<Record<StoreFault, number>> = {};
  for (let each = 0; each < random.between(1, 2); each++)
    odds[random.pick(STORE_FAULTS)] = random.pick([0.05, 0.3, 1]);
  return {
    odds,
    slowMaxMs: random.pick([5, 50]),
    spells: Array.from({ length: random.between(1, 2) }, () => ({
      fromMonoMs: 1_000 + random.next() * playMs,
      forMs: random.spread(100, playMs / 2),
    })),
  };
}
