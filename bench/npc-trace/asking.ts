/**
 * Which question comes next. Most players go the usual ways: what was put to this NPC at the same point of a talk before
 * is put again, by Zipf's law over the pool, so often that the asked share of all lines are such repeats; else something
 * of the pool that is new there. The others talk in words that nobody else uses, throughout their talk.
 */
import type { SeededRandom } from '../../src/planning/seeded-random.ts';
import { FOLLOW_UPS, firstQuestions } from './questions.ts';
import type { TraceShape } from './shape.ts';
import { levelled, UniqueWording } from './wording.ts';

/** Chance of a repeat where one is possible, while there are too few and while there are enough. */
const REPEAT_WHEN_BEHIND = 0.95;
const REPEAT_WHEN_AHEAD = 0.4;

export class Asking {
  readonly #shape: TraceShape;
  readonly #random: SeededRandom;
  readonly #unique: UniqueWording;
  /** By NPC and the talk so far: ranks of the pool's questions that were asked there. */
  readonly #points = new Map<string, Set<number>>();
  #asked = 0;
  #repeated = 0;

  constructor(shape: TraceShape, random: SeededRandom) {
    this.#shape = shape;
    this.#random = random;
    this.#unique = new UniqueWording(random.fork('unique'));
  }

  /** Whether a talk that begins now is held in words of its own: half of those that are not to repeat. */
  beginsOwn(): boolean {
    return this.#random.chance((1 - this.#shape.repeats) / 2);
  }

  /** The question as it stands in the pool or was composed. `before`: what this player asked in this talk so far. */
  next(npcId: string, before: readonly string[], isOwn: boolean): string {
    this.#asked += 1;
    if (isOwn) return this.#unique.question(before.length > 0);
    const key = [npcId, ...before.map(levelled)].join('|');
    const known = this.#points.get(key) ?? new Set();
    this.#points.set(key, known);
    const pool = before.length === 0 ? firstQuestions(npcId) : FOLLOW_UPS;
    const isBehind = this.#repeated < this.#shape.repeats * this.#asked;
    const chance = isBehind ? REPEAT_WHEN_BEHIND : REPEAT_WHEN_AHEAD * this.#shape.repeats;
    const isRepeat = known.size > 0 && (known.size === pool.length || this.#random.chance(chance));
    if (isRepeat) this.#repeated += 1;
    const rank = this.#rankOf(pool.length, (each) => known.has(each) === isRepeat);
    known.add(rank);
    return pool[rank] as string;
  }

  #rankOf(count: number, isOpen: (rank: number) => boolean): number {
    const weights: Record<string, number> = {};
    for (let rank = 0; rank < count; rank += 1)
      if (isOpen(rank)) weights[String(rank)] = 1 / (rank + 1) ** this.#shape.zipfQuestions;
    return Number(this.#random.weighted(weights));
  }
}
