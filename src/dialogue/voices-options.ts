/** What an operator may say about crowds: how many speak at once, how often, and how much a player is told. */
import { z } from 'zod';

export const voicesOptionsSchema = z
  .strictObject({
    tokensPerArea: z
      .int()
      .min(1)
      .max(64)
      .default(1)
      .describe(
        'NPCs of one area that may speak to events at once; a line holds its place for the time that it takes to say.',
      ),
    coalesceMs: z
      .int()
      .min(0)
      .max(60_000)
      .default(500)
      .describe(
        'Milliseconds in which equal events (same id, same area) are one: one NPC speaks. It stays one while it is spoken of.',
      ),
    cooldownMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(5_000)
      .describe('Milliseconds between two barks of one NPC in one area; 0: no pause.'),
    wordsPerMinute: z
      .int()
      .min(1)
      .max(10_000)
      .nullable()
      .default(120)
      .describe(
        'Words that a player has heard in the last minute, of any line, above which no bark is added; null: no limit. Speech runs at about 150.',
      ),
    depthMax: z
      .int()
      .min(0)
      .max(16)
      .default(2)
      .describe('How often NPCs may answer one another about one event; 0: only the game sets off lines.'),
  })
  .prefault({})
  .describe(
    'One event, one voice: which NPC speaks when many could. Holds for requests that carry an `event`; a player who is answered is never kept waiting by it.',
  );
export type VoicesOptions = z.infer<typeof voicesOptionsSchema>;
