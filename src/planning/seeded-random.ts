/**
 * Chance from a seed. Every part of a simulation draws from a stream of its own, forked by name: a change in what players
 * do leaves the faults of the network as they were, so a seed stays the same story while the simulator grows.
 */
import { hash32 } from '../cast/seeded.ts';
import type { Random } from '../core/runtime.ts';

export class SeededRandom implements Random {
  readonly #name: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  #ids = 0;

  constructor(name: string) {
    this.#name = name;
    this.#a = hash32(`${name}/a`);
    this.#b = hash32(`${name}/b`);
    this.#c = hash32(`${name}/c`);
    for (let round = 0; round < 12; round++) this.#bits();
  }

  /** A stream of its own, the same for the same name whatever was drawn here. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.#name}/${name}`);
  }

  next(): number {
    return this.#bits() / 0x1_0000_0000;
  }

  /** Ids count up: readable in a trace, and sortable by time as the real ones are. */
  id(prefix: string): string {
    this.#ids += 1;
    return `${prefix}_${String(this.#ids).padStart(6, '0')}`;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#bits() & 0xff);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** A duration (or any positive figure) between the two, small ones as likely as large ones on a log scale. */
  spread(low: number, high: number): number {
    return low * (high / low) ** this.next();
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const chosen = choices[Math.floor(this.next() * choices.length)];
    if (chosen === undefined) throw new Error(`${this.#name}: nothing to pick from`);
    return chosen;
  }

  /** One of the keys, as often as its weight says; weights need not add up to one. */
  weighted<Key extends string>(weights: Readonly<Partial<Record<Key, number>>>): Key {
    const entries = Object.entries(weights) as [Key, number][];
    const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
    let left = this.next() * total;
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    throw new Error(`${this.#name}: no weight over zero`);
  }

  /** sfc32 of PractRand (http://pracrand.sourceforge.net): passes its tests, and needs no 64-bit figures. */
  #bits(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}
