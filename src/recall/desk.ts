/** The dialogue cache for operators: how full it is, what it saved, and forgetting what somebody said. */
import { ServiceError } from '../core/errors.ts';
import type { RecallDesk, RecallReport } from '../core/recall.ts';
import { PrefixCounts } from './prefix-counts.ts';
import type { Recall } from './recall.ts';
import type { RecentRecall } from './recent.ts';
import { NO_SAVINGS } from './savings.ts';

export interface RecallDeskParts {
  readonly recall: Pick<Recall, 'options' | 'state' | 'savings' | 'forget'>;
  readonly recent: RecentRecall;
  readonly prefixes: PrefixCounts;
  readonly cast: {
    readonly npcs: { has(npcId: string): boolean };
    near(npcId: string): readonly string[];
  };
}

const NO_PREFIX = new PrefixCounts().total;

export function openRecallDesk({ recall, recent, prefixes, cast }: RecallDeskParts): RecallDesk {
  return {
    report(npcsMax): RecallReport {
      const { enabled, memoryBytesMax, variantsMax, variantsMin, ttlS, joinEqual, barksByMeaning, shared } =
        recall.options;
      const { state, savings } = recall;
      const saved = savings.byNpc();
      const asked = new Set(saved.map(({ npcId }) => npcId));
      // Those whose every line is generated have a prefix too.
      const others = prefixes.npcIds.filter((npcId) => !asked.has(npcId)).sort();
      const npcs = [...saved, ...others.map((npcId) => ({ npcId, saved: NO_SAVINGS }))];
      return {
        rules: {
          isEnabled: enabled,
          memoryBytesMax,
          variantsMax,
          variantsMin,
          ttlS,
          joinEqual,
          barksByMeaning,
          sharedWaitMs: state.isSharedReachable === null ? null : shared.waitMs,
        },
        state,
        recent: recent.tally,
        total: savings.total,
        prefix: prefixes.total,
        npcs: npcs.slice(0, npcsMax).map((npc) => ({ ...npc, prefix: prefixes.of(npc.npcId) ?? NO_PREFIX })),
        npcsKnown: npcs.length,
      };
    },

    async forget(npcId, signal): Promise<number> {
      if (npcId !== null && !cast.npcs.has(npcId)) throw unknownNpc(npcId, cast.near(npcId));
      return await recall.forget(npcId, signal);
    },
  };
}

function unknownNpc(npcId: string, near: readonly string[]): ServiceError {
  const hint = near.length === 0 ? 'see GET /v1/npcs' : `did you mean ${near.join(', ')}?`;
  return new ServiceError('unknown_npc', `no NPC is called ${JSON.stringify(npcId.slice(0, 80))}; ${hint}`, {
    details: { near },
  });
}
