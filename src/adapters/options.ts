/** Options of adapters in the configuration, with their defaults. */
import { z } from 'zod';

export const adaptersOptionsSchema = z.strictObject({
  directory: z
    .string()
    .optional()
    .describe(
      'Folder of the staged artefacts, relative to this file; default: `adapters` in the data directory.',
    ),
  rankMax: z.int().min(1).max(512).default(64).describe('Highest rank that is taken into the registry.'),
  artefactBytesMax: z
    .int()
    .min(1_024)
    .max(100_000_000_000)
    .default(2_000_000_000)
    .describe('Largest artefact in bytes.'),
  waitMs: z
    .int()
    .min(0)
    .max(60_000)
    .default(800)
    .describe(
      'Most milliseconds that a line waits for its adapter to load, where its deadline allows; then the base speaks, and the reply says so.',
    ),
  loadsAtOnce: z
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe(
      'Adapters being loaded at the same time over the replicas of one base, where loading stalls lines.',
    ),
  loadAttempts: z
    .int()
    .min(1)
    .max(20)
    .default(3)
    .describe('Tries to load and verify an adapter at a replica before it has failed there.'),
  swapsPerMinuteMax: z
    .int()
    .min(1)
    .max(100_000)
    .default(60)
    .describe(
      'Loads that push another adapter out, a minute and replica; above it the alarm for thrashing is raised.',
    ),
  pollMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(2_000)
    .describe('Milliseconds between looks into the store for what other gateways published.'),
  published: z
    .record(
      z.string(),
      z.strictObject({
        from: z.string().min(1).describe('Path (relative to this file) or address of the artefact.'),
        base: z
          .string()
          .min(1)
          .optional()
          .describe('Base model; default: that of the first engine that takes adapters.'),
        pinned: z.boolean().default(false).describe('Never evicted for another one.'),
      }),
    )
    .default({})
    .describe(
      'Adapters by `name@version` that are registered and published at the start, if they are not yet.',
    ),
});

export type AdaptersOptions = z.output<typeof adaptersOptionsSchema>;
