/**
 * What an operator may say about routing: breakers, pace, time budgets, hedging, pools and models. Every number has a
 * bound, a unit and a default here and nowhere else; `config/schema.ts` puts the schemas together.
 */
import { z } from 'zod';

export const breakerOptionsSchema = z
  .strictObject({
    windowMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(10_000)
      .describe('Milliseconds of outcomes that are counted.'),
    minimumOutcomes: z
      .int()
      .min(1)
      .max(10_000)
      .default(8)
      .describe('Outcomes in the window below which the failure ratio says nothing.'),
    failureRatio: z
      .number()
      .gt(0)
      .max(1)
      .default(0.5)
      .describe('Share of failures in the window at which the engine is taken out (0..1).'),
    consecutiveFailures: z
      .int()
      .min(1)
      .max(1_000)
      .default(4)
      .describe('Failures in a row that take it out whatever the ratio; the first lines of a night are few.'),
    openMs: z
      .int()
      .min(1)
      .max(600_000)
      .default(2_000)
      .describe('Milliseconds without traffic after it was taken out; doubled each time a probe fails.'),
    openMaxMs: z
      .int()
      .min(1)
      .max(3_600_000)
      .default(30_000)
      .describe(
        'Most milliseconds without traffic; then one probe is let through, whatever happened before.',
      ),
    trafficProbeAfterMs: z
      .int()
      .min(0)
      .max(600_000)
      .default(3_000)
      .describe(
        'Milliseconds after the open time in which only a canary line may probe; then a player line may too.',
      ),
  })
  .refine(({ openMs, openMaxMs }) => openMs <= openMaxMs, {
    path: ['openMaxMs'],
    error: 'expected at least openMs',
  })
  .describe('When an engine that fails is left alone, and for how long.');
export type BreakerOptions = z.infer<typeof breakerOptionsSchema>;

export const cooldownOptionsSchema = z
  .strictObject({
    backoffMs: z
      .int()
      .min(1)
      .max(60_000)
      .default(500)
      .describe('Milliseconds of the first pause after a rate limit without a hint; doubled each time.'),
    backoffMaxMs: z.int().min(1).max(3_600_000).default(30_000).describe('Longest such pause.'),
    hintMaxMs: z
      .int()
      .min(1)
      .max(86_400_000)
      .default(600_000)
      .describe('Longest retry hint that is believed; a longer one is tried again after this.'),
    accountMs: z
      .int()
      .min(1)
      .max(86_400_000)
      .default(300_000)
      .describe('Milliseconds for which an engine that refused our account or credit is not asked.'),
  })
  .describe('How long an engine that said "not now" is left alone. It is not counted as broken.');
export type CooldownOptions = z.infer<typeof cooldownOptionsSchema>;

export const paceOptionsSchema = z
  .strictObject({
    samples: z.int().min(4).max(1_024).default(64).describe('Latest first-token times that are kept.'),
    minimumSamples: z
      .int()
      .min(1)
      .max(1_024)
      .default(5)
      .describe('Samples below which no percentile is said; the ceiling holds instead.'),
    forgetAfterMs: z
      .int()
      .min(1_000)
      .max(86_400_000)
      .default(120_000)
      .describe(
        'Milliseconds after which a sample no longer counts: an engine that was slow is tried again after this.',
      ),
  })
  .refine(({ samples, minimumSamples }) => minimumSamples <= samples, {
    path: ['minimumSamples'],
    error: 'expected at most samples',
  })
  .describe('What is learned of the speed of an engine.');
export type PaceOptions = z.infer<typeof paceOptionsSchema>;

export const budgetOptionsSchema = z
  .strictObject({
    percentile: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.98)
      .describe(
        'Percentile (0..1) of its own first-token times within which an engine must begin, else the next rung is asked.',
      ),
    floorMs: z
      .int()
      .min(1)
      .max(60_000)
      .default(250)
      .describe('Least milliseconds that an engine gets for its first token.'),
    ceilingMs: z
      .int()
      .min(1)
      .max(120_000)
      .default(4_000)
      .describe(
        'Most milliseconds for the first token; holds also while nothing is learned. A free engine with none below it may take all that is left.',
      ),
    gapMs: z
      .int()
      .min(1)
      .max(120_000)
      .default(2_000)
      .describe('Longest milliseconds between two tokens of one answer.'),
  })
  .refine(({ floorMs, ceilingMs }) => floorMs <= ceilingMs, {
    path: ['ceilingMs'],
    error: 'expected at least floorMs',
  })
  .describe('Time limits of one attempt. They are cut to what the deadline of the dialogue leaves.');
export type BudgetOptions = z.infer<typeof budgetOptionsSchema>;

export const hedgingOptionsSchema = z
  .strictObject({
    enabled: z
      .boolean()
      .default(false)
      .describe(
        'Asks a second engine of the pool when the first is unusually late; the faster one is heard.',
      ),
    percentile: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.95)
      .describe('Percentile (0..1) of first-token times after which the second is asked.'),
    maxShare: z
      .number()
      .gt(0)
      .max(1)
      .default(0.05)
      .describe('Most extra requests, as a share (0..1) of all: the cost cap.'),
    paid: z.boolean().default(false).describe('Whether a paid engine may be the second one.'),
  })
  .describe('A second request against slow outliers. Off by default: it costs work.');
export type HedgingOptions = z.infer<typeof hedgingOptionsSchema>;

export const admissionOptionsShape = {
  maxInFlight: z
    .int()
    .min(1)
    .max(10_000)
    .default(16)
    .describe('Requests under way at this engine at once; more wait in our queue.'),
  maxPromptTokens: z
    .int()
    .min(1)
    .max(100_000_000)
    .nullable()
    .default(null)
    .describe('Prompt tokens under way at once, over all requests; null: as many as fit maxInFlight.'),
  maxQueued: z
    .int()
    .min(0)
    .max(100_000)
    .default(128)
    .describe('Requests that may wait; the next goes down the ladder at once.'),
};

export const canaryOptionsSchema = z
  .strictObject({
    idleMs: z
      .int()
      .min(1_000)
      .max(3_600_000)
      .default(30_000)
      .describe(
        'Milliseconds without a line after which a canary line asks whether the engine still speaks.',
      ),
    stallMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(4_000)
      .describe('Milliseconds without any token while requests run, after which a canary line is sent.'),
    timeoutMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(4_000)
      .describe('Milliseconds that a canary line may take.'),
    unknownMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(20_000)
      .describe(
        'Least milliseconds of stallMs and timeoutMs while too few lines were heard to know how slow the engine is.',
      ),
    retryMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(1_000)
      .describe('Least milliseconds between two canary lines of one engine.'),
  })
  .describe(
    'Dummy lines that find an engine which is stuck behind a green health page. A stuck engine is out after stallMs + timeoutMs; both are at least twice the 98th percentile of its own first tokens, so that a slow laptop is not a stuck one.',
  );
export type CanaryOptions = z.infer<typeof canaryOptionsSchema>;

const nameSchema = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'lower-case letters, digits and -, at most 32');

export const poolsSchema = z
  .record(
    nameSchema,
    z.strictObject({
      engines: z
        .array(z.string().min(1))
        .min(1)
        .max(1_000)
        .describe('Engines of this pool: the same version of one model.'),
    }),
  )
  .default({})
  .describe('Pools by name; a tier names them as rungs. An engine in no pool is a pool of its own name.');
export type PoolsOptions = z.infer<typeof poolsSchema>;

export const modelsSchema = z
  .record(
    z.string().min(1).max(200),
    z.strictObject({
      aliases: z
        .record(nameSchema, z.string().min(1).max(200))
        .default({})
        .describe('Names for versions: `stable: 2026-05`. `stable` is taken where a request names none.'),
    }),
  )
  .default({})
  .describe(
    'Models by name; a request picks a version as `model@version`, `model@alias` or by x-model-version.',
  );
export type ModelsOptions = z.infer<typeof modelsSchema>;

/** The defaults as values, for parts that are made without a configuration file. */
export const DEFAULT_BREAKER = breakerOptionsSchema.parse({});
export const DEFAULT_COOLDOWN = cooldownOptionsSchema.parse({});
export const DEFAULT_PACE = paceOptionsSchema.parse({});
