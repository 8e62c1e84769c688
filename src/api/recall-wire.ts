/** The dialogue cache in wire form: what the door, the command line and the console agree on. */
import { z } from 'zod';
import type { PrefixTokens, RecallReport, RecallTally, Saved } from '../core/recall.ts';

const share = z.number().min(0).max(1).nullable();

const tally = {
  hits: z.number().describe('Lines said again.'),
  joined: z.number().describe('Lines shared with somebody who asked the same at that moment.'),
  misses: z.number().describe('Lines that had to be generated.'),
  bypassed: z
    .number()
    .describe(
      'Lines that may not be cached: without words, without their adapter, tries, personas that say so.',
    ),
  hit_share: share.describe('(hits + joined) / (hits + joined + misses); null while there is none.'),
};
const savedSchema = z.object({
  ...tally,
  prompt_tokens: z.number(),
  completion_tokens: z.number(),
  cost_usd: z.number(),
  wait_s: z.number().describe('Seconds until the first sentence that nobody waited.'),
});
const prefixSchema = z.object({
  prompt_tokens: z.number().describe('Of the lines that were generated.'),
  cached_tokens: z.number().describe('Those of them that an engine had read before.'),
  cached_share: share,
});

export const RECALL_SHARED_STATES = ['none', 'reachable', 'unreachable'] as const;

export const recallSchema = z.object({
  enabled: z.boolean(),
  memory: z.object({
    bytes: z.number(),
    bytes_max: z.number(),
    keys: z.number().describe('Questions that an answer is known to.'),
    variants: z.number().describe('Answers to them.'),
    evictions: z.number().describe('Answers that made room for others since the start.'),
  }),
  flights: z.number().describe('Answers being generated now that an equal question would join.'),
  shared: z.enum(RECALL_SHARED_STATES).describe('The tier that gateways share.'),
  recent: z.object({ ...tally, window_s: z.number() }).describe('The last five minutes.'),
  total: savedSchema.describe(
    'Since the start of this process. Saved is what a line took when it was generated; what joiners saved is not in it.',
  ),
  prefix: prefixSchema.describe('Since the start of this process.'),
  npcs: z
    .array(z.object({ npc_id: z.string(), ...savedSchema.shape, prefix: prefixSchema }))
    .describe('Most hits first.'),
  npcs_known: z.number().describe('NPCs that were counted; `npcs` has the first 100.'),
  options: z.object({
    memory_bytes_max: z.number(),
    variants_max: z.number(),
    variants_min: z.number(),
    ttl_s: z.number(),
    join_equal: z.boolean(),
    barks_by_meaning: z.boolean(),
    shared_wait_ms: z.number().nullable(),
  }),
});
export type WireRecall = z.output<typeof recallSchema>;

export const forgetSchema = z
  .strictObject({
    npc_id: z.string().min(1).max(200).optional().describe('Whose lines are forgotten.'),
    all: z.literal(true).optional().describe("Everybody's, in place of `npc_id`."),
  })
  .refine(({ npc_id, all }) => (npc_id === undefined) !== (all === undefined), {
    message: 'expected either npc_id, or "all": true to forget what everybody said',
  });

export const forgottenSchema = z.object({
  npc_id: z.string().nullable().describe('Null: everybody.'),
  keys: z.number().describe('Questions that this process knew answers to.'),
});

export function recallBody(report: RecallReport): WireRecall {
  const { rules, state, recent, total, prefix, npcs, npcsKnown } = report;
  return {
    enabled: rules.isEnabled,
    memory: {
      bytes: state.bytes,
      bytes_max: rules.memoryBytesMax,
      keys: state.keys,
      variants: state.variants,
      evictions: state.evictions,
    },
    flights: state.flights,
    shared: sharedState(state.isSharedReachable),
    recent: { ...tallyBody(recent), window_s: recent.windowMs / 1_000 },
    total: savedBody(total),
    prefix: prefixBody(prefix),
    npcs: npcs.map((npc) => ({
      npc_id: npc.npcId,
      ...savedBody(npc.saved),
      prefix: prefixBody(npc.prefix),
    })),
    npcs_known: npcsKnown,
    options: {
      memory_bytes_max: rules.memoryBytesMax,
      variants_max: rules.variantsMax,
      variants_min: rules.variantsMin,
      ttl_s: rules.ttlS,
      join_equal: rules.joinEqual,
      barks_by_meaning: rules.barksByMeaning,
      shared_wait_ms: rules.sharedWaitMs,
    },
  };
}

function sharedState(isReachable: boolean | null): WireRecall['shared'] {
  if (isReachable === null) return 'none';
  return isReachable ? 'reachable' : 'unreachable';
}

function tallyBody({ hits, joined, misses, bypassed }: RecallTally) {
  const asked = hits + joined + misses;
  return { hits, joined, misses, bypassed, hit_share: asked === 0 ? null : (hits + joined) / asked };
}

function savedBody(saved: Saved) {
  return {
    ...tallyBody(saved),
    prompt_tokens: saved.promptTokens,
    completion_tokens: saved.completionTokens,
    cost_usd: saved.costMicroUsd / 1_000_000,
    wait_s: saved.waitMs / 1_000,
  };
}

function prefixBody({ promptTokens, cachedTokens }: PrefixTokens) {
  return {
    prompt_tokens: promptTokens,
    cached_tokens: cachedTokens,
    cached_share: promptTokens === 0 ? null : Math.min(1, cachedTokens / promptTokens),
  };
}
