/** How many prompt tokens of generated lines came from an engine's prefix cache: in all and by NPC, bounded. */
import type { PrefixTokens } from '../core/recall.ts';
import type { Turn, TurnSink } from '../core/turn.ts';
import { LruCache } from '../lib/lru.ts';

const NPCS_MAX = 1_000;
const NONE: PrefixTokens = { promptTokens: 0, cachedTokens: 0 };

export class PrefixCounts implements TurnSink {
  #total = NONE;
  readonly #npcs = new LruCache<string, PrefixTokens>({ maxEntries: NPCS_MAX });

  get total(): PrefixTokens {
    return this.#total;
  }

  /** Null: no prompt was made for it lately. */
  of(npcId: string): PrefixTokens | null {
    return this.#npcs.peek(npcId) ?? null;
  }

  get npcIds(): readonly string[] {
    return [...this.#npcs.keys()];
  }

  record({ outcome }: Pick<Turn, 'outcome'>): void {
    // A line that is said again, and a written one, has no prompt.
    if (outcome === null || outcome.usage.promptTokens === 0) return;
    const { npcId, usage } = outcome;
    this.#total = plus(this.#total, usage);
    this.#npcs.set(npcId, plus(this.#npcs.peek(npcId) ?? NONE, usage));
  }
}

function plus(sum: PrefixTokens, { promptTokens, cachedTokens }: PrefixTokens): PrefixTokens {
  return { promptTokens: sum.promptTokens + promptTokens, cachedTokens: sum.cachedTokens + cachedTokens };
}
