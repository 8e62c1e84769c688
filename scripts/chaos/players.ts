/**
 * Steady load by schedule: players who speak when their time has come, whatever became of the earlier lines. Each has an
 * NPC, a tier and a conversation that goes on; a fifth walks away. Bounded in count and in lines at once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { SeededRandom } from '../../src/planning/seeded-random.ts';
import { markerOf } from '../../src/testing/simulation/markers.ts';
import { ask, type Heard, type Question } from './ask.ts';

export interface LoadOptions {
  readonly url: string;
  readonly seed: number;
  readonly linesPerSecond: number;
  readonly players: number;
  readonly deadlineMs: Readonly<Record<1 | 2 | 3 | 4, number>>;
  readonly wasDownSince: Question['wasDownSince'];
  readonly onHeard: (heard: Heard, phase: string) => void;
}

/** One that everybody talks to: all share the prefix of one prompt, where words would most easily get mixed up. */
const NPC = 'vampire_salon_keeper';
const SUBJECTS = ['the bell', 'the weir', 'the market', 'the registry', 'the old bridge', 'the lamps'];
const QUESTIONS = [
  (marker: string, subject: string) => `I am ${marker}. What do you know of ${subject}?`,
  (marker: string, subject: string) => `Have you heard of ${marker}, who asked about ${subject}?`,
  (marker: string, subject: string) => `Tell me about ${subject}, and what ${marker} has to do with it.`,
  (marker: string, subject: string) => `Who was near ${subject} last night? ${marker} wants to know.`,
];
const LEAVES_SHARE = 0.2;
/** Of the lines of a phase, those of its tier for sure. */
const WANTED_SHARE = 0.5;
const LINES_MAX = 5_000;
const AT_ONCE_MAX = 128;

export class Load {
  readonly #options: LoadOptions;
  readonly #random: SeededRandom;
  readonly #owners = new Map<string, string>();
  readonly #running = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #phase = '';
  #wantedTier: 1 | 2 | 3 | 4 | null = null;
  #lines = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#random = new SeededRandom(`chaos ${options.seed}`);
  }

  /** Lines that start from now on belong to this phase; half of them are of this tier, so that its engines are asked. */
  begin(phase: string, tier: 1 | 2 | 3 | 4 | null): void {
    this.#phase = phase;
    this.#wantedTier = tier;
  }

  /** Speaks until closed or aborted, which also hangs up; resolves when the last line has ended. Throws at too many. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    try {
      for (let atMs = performance.now(); this.#lines < LINES_MAX; ) {
        // Arrivals by chance: pauses of a Poisson process.
        atMs += (-Math.log(1 - this.#random.next()) / this.#options.linesPerSecond) * 1_000;
        await delay(Math.max(0, atMs - performance.now()), undefined, { signal: stop }).catch(() => {});
        if (stop.aborted) break;
        this.#speak(signal);
      }
    } finally {
      await Promise.all(this.#running);
    }
  }

  /** No line starts any more; those under way are heard to their end. */
  close(): void {
    this.#closed.abort();
  }

  #speak(signal: AbortSignal): void {
    if (this.#running.size >= AT_ONCE_MAX)
      throw new Error(`${this.#running.size} lines are under way: the gateway answers no more`);
    const phase = this.#phase;
    const line = ask(this.#question(), signal).then((heard) => {
      this.#running.delete(line);
      this.#options.onHeard(heard, phase);
    });
    this.#running.add(line);
  }

  #question(): Question {
    const { url, players, deadlineMs, wasDownSince } = this.#options;
    const random = this.#random;
    this.#lines += 1;
    const marker = markerOf(this.#lines);
    const isWanted = this.#wantedTier !== null && random.chance(WANTED_SHARE);
    const tier = isWanted ? (this.#wantedTier as 1 | 2 | 3 | 4) : random.pick([1, 2, 3, 4] as const);
    const number = random.between(0, players - 1);
    const player = `player-${number}`;
    this.#owners.set(marker, player);
    return {
      url,
      npc: NPC,
      player,
      conversation: `chaos-${number}`,
      tier,
      prompt: random.pick(QUESTIONS)(marker, random.pick(SUBJECTS)),
      marker,
      ownerOf: (found) => this.#owners.get(found) ?? null,
      form: random.pick(['whole', 'sentences', 'tokens'] as const),
      deadlineMs: deadlineMs[tier],
      leavesAfterMs: random.chance(LEAVES_SHARE) ? random.spread(30, 2_000) : null,
      wasDownSince,
    };
  }
}
