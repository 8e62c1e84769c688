/** What was saved by saying lines again, since the start: in all and by NPC, bounded by the NPCs that were asked lately. */
import type { RecallEvent, Saved } from '../core/recall.ts';
import { LruCache } from '../lib/lru.ts';
import { counted, NO_TALLY } from './recent.ts';

const NPCS_MAX = 1_000;
export const NO_SAVINGS: Saved = {
  ...NO_TALLY,
  promptTokens: 0,
  completionTokens: 0,
  costMicroUsd: 0,
  waitMs: 0,
};

export class Savings {
  #total = NO_SAVINGS;
  readonly #npcs = new LruCache<string, Saved>({ maxEntries: NPCS_MAX });

  get total(): Saved {
    return this.#total;
  }

  /** Those who saved most first. */
  byNpc(): readonly { readonly npcId: string; readonly saved: Saved }[] {
    return [...this.#npcs.keys()]
      .map((npcId) => ({ npcId, saved: this.#npcs.get(npcId) ?? NO_SAVINGS }))
      .sort((one, other) => other.saved.hits - one.saved.hits || (one.npcId < other.npcId ? -1 : 1));
  }

  note(event: RecallEvent): void {
    this.#total = plus(this.#total, event);
    this.#npcs.set(event.npcId, plus(this.#npcs.get(event.npcId) ?? NO_SAVINGS, event));
  }
}

function plus(sum: Saved, { outcome, saved }: RecallEvent): Saved {
  return {
    ...counted(sum, outcome),
    promptTokens: sum.promptTokens + (saved?.promptTokens ?? 0),
    completionTokens: sum.completionTokens + (saved?.completionTokens ?? 0),
    costMicroUsd: sum.costMicroUsd + (saved?.costMicroUsd ?? 0),
    waitMs: sum.waitMs + (saved?.ttfsMs ?? 0),
  };
}
