/**
 * Where many prompts part: an engine is told the system message alone, but a persona goes on behind it with examples as
 * turns of a talk. Learned from the prompts themselves: where this one leaves two earlier ones at about the same token, they
 * share what is before it. Two, because the turns of one conversation grow, and each leaves the next at another place.
 * Pure; bounded by PROMPTS_MAX.
 */
import { sharedLength } from './sequence-table.ts';

const PROMPTS_MAX = 192;
/** Prompts that leave within so many tokens leave at the same place: first words are alike by chance. */
const SAME_PLACE_TOKENS = 8;

interface Seen {
  readonly prompt: readonly number[];
  readonly adapter: number;
}

export class SharedBeginnings {
  /** Oldest first. */
  #seen: Seen[] = [];

  /** How many tokens this prompt shares with at least two earlier ones of its adapter; 0 when it does not. */
  boundary(prompt: readonly number[], adapter: number): number {
    const shared = this.#seen
      .filter((seen) => seen.adapter === adapter)
      .map((seen) => sharedLength(seen.prompt, prompt))
      .sort((a, b) => b - a);
    for (const [index, longer] of shared.entries()) {
      const next = shared[index + 1] ?? 0;
      if (next > 0 && longer - next < SAME_PLACE_TOKENS) return next;
    }
    return 0;
  }

  note(prompt: readonly number[], adapter: number): void {
    this.#seen.push({ prompt, adapter });
    if (this.#seen.length > PROMPTS_MAX) this.#seen.shift();
  }

  forget(adapter: number): void {
    this.#seen = this.#seen.filter((seen) => seen.adapter !== adapter);
  }
}
