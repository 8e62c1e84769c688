/** Options of the dialogue cache. */
import { z } from 'zod';
import { sharedRecallOptionsSchema } from './shared/options.ts';

export const recallOptionsSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe('Whether a line that was generated once may be said again to whoever asks the same.'),
  memoryBytesMax: z
    .int()
    .min(0)
    .max(64 * 2 ** 30)
    .default(64 * 2 ** 20)
    .describe('Bytes of lines kept in this process; the ones not heard for longest go first.'),
  variantsMax: z
    .int()
    .min(1)
    .max(16)
    .default(4)
    .describe('Different answers kept for the same question; a player who has heard one is given another.'),
  variantsMin: z
    .int()
    .min(1)
    .max(16)
    .default(1)
    .describe(
      'Answers that must be there before one is said again. More: more variety, and more to generate.',
    ),
  ttlS: z
    .int()
    .min(1)
    .max(31_536_000)
    .default(86_400)
    .describe('Seconds that a line may be said again, where the persona does not say (`recall.ttl_s`).'),
  joinEqual: z
    .boolean()
    .default(true)
    .describe('Whether equal questions that are asked at once share one generation.'),
  barksByMeaning: z
    .boolean()
    .default(true)
    .describe(
      'Whether a bark (a `trigger` with words) may be said again for other words that mean the same, where persona, mood and facts are equal. English only; conversation never is.',
    ),
  shared: sharedRecallOptionsSchema
    .prefault({})
    .describe('A tier that gateways share; without an address each remembers for itself.'),
});
export type RecallOptions = z.output<typeof recallOptionsSchema>;
