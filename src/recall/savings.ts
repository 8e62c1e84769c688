/** What was saved by saying lines again, since the start: in all and by NPC, bounded by the NPCs that were asked lately. */
import type { RecallEvent } from '../core/recall.ts';
import { LruCache } from '../lib/lru.ts';

export interface Saved {
  /** Lines said again: `hit`, `shared_hit` and `meaning_hit`. */
  readonly hits: number;
  readonly joined: number;
  readonly misses: number;
  /** Lines that may not be cached: barks, operators' tries, personas that say so. */
  readonly bypassed: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Integer micro-dollars. */
  readonly costMicroUsd: number;
  /** Milliseconds until the first sentence that nobody waited. */
  readonly waitMs: number;
}

const NPCS_MAX = 1_000;
const NOTHING: Saved = {
  hits: 0,
  joined: 0,
  misses: 0,
  bypassed: 0,
  promptTokens: 0,
  completionTokens: 0,
  costMicroUsd: 0,
  waitMs: 0,
};

export class Savings {
  #total = NOTHING;
  readonly #npcs = new LruCache<string, Saved>({ maxEntries: NPCS_MAX });

  get total(): Saved {
    return this.#total;
  }

  /** Those who saved most first. */
  byNpc(): readonly { readonly npcId: string; readonly saved: Saved }[] {
    return [...this.#npcs.keys()]
      .map((npcId) => ({ npcId, saved: this.#npcs.get(npcId) ?? NOTHING }))
      .sort((one, other) => other.saved.hits - one.saved.hits || (one.npcId < other.npcId ? -1 : 1));
  }

  note(event: RecallEvent): void {
    this.#total = plus(this.#total, event);
    this.#npcs.set(event.npcId, plus(this.#npcs.get(event.npcId) ?? NOTHING, event));
  }
}

function plus(sum: Saved, { outcome, saved }: RecallEvent): Saved {
  const isHit = outcome === 'hit' || outcome === 'shared_hit' || outcome === 'meaning_hit';
  return {
    hits: sum.hits + Number(isHit),
    joined: sum.joined + Number(outcome === 'joined'),
    misses: sum.misses + Number(outcome === 'miss'),
    bypassed: sum.bypassed + Number(outcome === 'bypass'),
    promptTokens: sum.promptTokens + (saved?.promptTokens ?? 0),
    completionTokens: sum.completionTokens + (saved?.completionTokens ?? 0),
    costMicroUsd: sum.costMicroUsd + (saved?.costMicroUsd ?? 0),
    waitMs: sum.waitMs + (saved?.ttfsMs ?? 0),
  };
}
