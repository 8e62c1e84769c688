/** Options of learning lines: when a line that players heard is offered to the designer. */
import { z } from 'zod';

export const lineLearningOptionsSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe(
      'Whether short generated lines are counted, so that those heard often and well can be approved. What was approved serves either way.',
    ),
  heardMin: z.int().min(2).max(1_000_000).default(10).describe('Hearings from which on a line is offered.'),
  playersMin: z
    .int()
    .min(2)
    .max(1_000)
    .default(5)
    .describe(
      "Different players who must have heard it. Two at least: what one player alone has heard may be that player's own.",
    ),
  interruptedShareMax: z
    .number()
    .min(0)
    .max(1)
    .default(0.2)
    .describe('Share of hearings that may have been cut off, 0 to 1.'),
});

export type LineLearningOptions = z.output<typeof lineLearningOptionsSchema>;
