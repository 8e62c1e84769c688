/** A real dialogue cache behind a real desk, on a clock that stands still; lines are told to it as the walk does. */
import type { RecallDesk, RecallEvent } from '../core/recall.ts';
import { openRecallDesk } from '../recall/desk.ts';
import { recallOptionsSchema } from '../recall/options.ts';
import { PrefixCounts } from '../recall/prefix-counts.ts';
import { Recall } from '../recall/recall.ts';
import { RecentRecall } from '../recall/recent.ts';
import type { SharedTier } from '../recall/shared-tier.ts';
import { variantOf } from '../recall/variant.ts';
import { anOutcome } from './a-turn.ts';
import { aSmallCast } from './line-learning.ts';
import { ManualClock } from './manual-clock.ts';

export interface RecallHouse {
  readonly desk: RecallDesk;
  readonly recall: Recall;
  readonly clock: ManualClock;
  /** Somebody asked this NPC for a line; a hit says again what took 400 + 30 tokens, 1.2 s and `costMicroUsd`. */
  heard(npcId: string, outcome: RecallEvent['outcome'], costMicroUsd?: number): void;
  /** The answer of this NPC to a question is kept. */
  keep(npcId: string, question: string): void;
  /** A line was generated: 500 prompt tokens, so many of them read before. */
  generated(npcId: string, cachedTokens: number): void;
}

const TOOK = { promptTokens: 400, completionTokens: 30, costMicroUsd: 0, ttfsMs: 1_200 };
const SOURCE = { engine: 'local', model: 'small', modelVersion: null, adapter: null };

export function aRecallHouse(
  given: { readonly options?: object; readonly shared?: SharedTier | null } = {},
): RecallHouse {
  const clock = new ManualClock();
  const recent = new RecentRecall(clock);
  const prefixes = new PrefixCounts();
  const recall = new Recall({
    options: recallOptionsSchema.parse(given.options ?? {}),
    shared: given.shared ?? null,
    clock,
    onEvent: (event) => recent.note(event),
  });
  return {
    desk: openRecallDesk({ recall, recent, prefixes, cast: aSmallCast() }),
    recall,
    clock,
    heard(npcId, outcome, costMicroUsd = 0) {
      const isHit = outcome.endsWith('hit');
      recall.note({ outcome, npcId, kind: 'vampire', saved: isHit ? { ...TOOK, costMicroUsd } : null });
    },
    keep(npcId, question) {
      const variant = variantOf({ sentences: [`To ${question}`], source: SOURCE, bornAtMs: 0, took: TOOK });
      recall.keep(`${npcId}:${question}`, variant, null, null);
    },
    generated(npcId, cachedTokens) {
      const usage = { promptTokens: 500, cachedTokens, completionTokens: 20, costMicroUsd: 0 };
      prefixes.record({ outcome: anOutcome({ npcId, usage }) });
    },
  };
}
