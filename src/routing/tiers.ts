/** Tiers are data: what a tier may spend, how long it may take, and which rungs it tries in which order. */
import { z } from 'zod';

export const tierSchema = z
  .strictObject({
    rungs: z
      .array(z.string())
      .default(['local'])
      .describe('Names of engines, tried in this order. Written lines always stand below them.'),
    model: z
      .string()
      .optional()
      .describe("The engine's name for the model; default: the engine's own model."),
    deadlineMs: z
      .int()
      .min(1)
      .max(120_000)
      .describe('Milliseconds for a whole answer when the request names no deadline_ms.'),
    firstSentenceMs: z
      .int()
      .min(1)
      .max(120_000)
      .nullable()
      .default(null)
      .describe(
        'Milliseconds to the first sentence: when an engine has none by then, or is foretold to have none, a written line is said in its place, so that a late good line does not hold up those that could still be in time. null: only deadlineMs counts.',
      ),
    fillerAfterMs: z
      .int()
      .min(0)
      .describe(
        'Milliseconds without a first sentence after which a written filler ("Hm.") is sent once; 0 sends none.',
      ),
    maxSentences: z.int().min(1).max(12).describe('Most sentences of one reply.'),
    maxWords: z.int().min(4).max(400).describe('Most words of one reply; the persona may say less.'),
    personaTokens: z.int().min(50).describe('Token budget of the stable persona part of the prompt.'),
    promptTokens: z.int().min(100).describe('Token budget of the whole prompt.'),
  })
  .describe('One tier.');
export type TierPolicy = z.infer<typeof tierSchema>;

/** A tier of which the file may name any part: what it leaves out keeps the default. */
function tier(policy: Omit<TierPolicy, 'rungs' | 'model' | 'firstSentenceMs'>) {
  const { shape } = tierSchema;
  return tierSchema
    .extend({
      deadlineMs: shape.deadlineMs.default(policy.deadlineMs),
      fillerAfterMs: shape.fillerAfterMs.default(policy.fillerAfterMs),
      maxSentences: shape.maxSentences.default(policy.maxSentences),
      maxWords: shape.maxWords.default(policy.maxWords),
      personaTokens: shape.personaTokens.default(policy.personaTokens),
      promptTokens: shape.promptTokens.default(policy.promptTokens),
    })
    .refine(({ personaTokens, promptTokens }) => personaTokens < promptTokens, {
      path: ['personaTokens'],
      error: 'expected less than promptTokens, of which the persona is a part',
    })
    .prefault({});
}

/**
 * Persona budgets are npc-domain.md §8.1. Deadlines are for a laptop without a GPU: on hardware of its class a tier
 * starts in 150 to 500 ms (design §6), and the operator lowers them.
 */
export const tiersSchema = z
  .strictObject({
    '1': tier({
      deadlineMs: 4_000,
      fillerAfterMs: 0,
      maxSentences: 1,
      maxWords: 16,
      personaTokens: 150,
      promptTokens: 500,
    }),
    '2': tier({
      deadlineMs: 8_000,
      fillerAfterMs: 1_500,
      maxSentences: 2,
      maxWords: 30,
      personaTokens: 400,
      promptTokens: 900,
    }),
    '3': tier({
      deadlineMs: 10_000,
      fillerAfterMs: 1_500,
      maxSentences: 3,
      maxWords: 45,
      personaTokens: 900,
      promptTokens: 1_500,
    }),
    '4': tier({
      deadlineMs: 15_000,
      fillerAfterMs: 1_500,
      maxSentences: 4,
      maxWords: 60,
      personaTokens: 1_500,
      promptTokens: 1_800,
    }),
  })
  .describe('The four tiers. A game lowers a tier to spend less; only an operator key raises it.');
export type Tiers = z.infer<typeof tiersSchema>;
