/**
 * What a studio says of its game, as flags or as a YAML file: every figure has a default, a bound and a unit here and
 * nowhere else. What is wrong is said all at once, with the key, the value, what was expected and what to change.
 */
import { z } from 'zod';
import type { Tier } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import { expectedOf } from '../lib/text/expected.ts';
import { CLOUD_PACE, type CloudChoice, DEFAULT_CLOUD_PRICE, DEFAULT_CLOUD_PRICE_SOURCE } from './cloud.ts';
import { ENGINE_CLASSES, type EngineClass, LEFT_OUT } from './engine-classes.ts';
import { type ByTier, DEFAULT_FIRST_SENTENCE_MS, DEFAULT_WORKLOAD, type Workload } from './workload.ts';

const share = z.number().min(0).max(1);
const usd = z.number().min(0).max(100_000);

function byTier<Schema extends z.ZodType>(schema: Schema, defaults: ByTier<z.output<Schema>>) {
  const one = (tier: Tier) => schema.default(defaults[tier] as never);
  return z.strictObject({ '1': one(1), '2': one(2), '3': one(3), '4': one(4) }).prefault({});
}

const paceSchema = z.strictObject({
  overheadMs: z.number().min(0).max(10_000).default(5).describe('From the socket to the scheduler (ms).'),
  prefillMsPerToken: z.number().gt(0).max(1_000).describe('Reading one token of a prompt (ms).'),
  stepMs: z
    .number()
    .gt(0)
    .max(10_000)
    .describe('One step for one line: 1000 / (tokens per second at one stream).'),
  stepMsPerSequence: z.number().min(0).max(1_000).describe('What each further line adds to a step (ms).'),
  sequencesMax: z.int().min(1).max(4_096).default(256).describe('Lines that it runs at once.'),
  prefillTokensPerStep: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(2_048)
    .describe('Most prompt tokens that a step reads.'),
  prefixTokens: z.int().min(0).max(1_000_000_000).describe('Tokens that its prefix cache has room for.'),
});

const ownClassSchema = z.strictObject({
  name: z.string().min(1).max(60),
  model: z.string().min(1).max(200).default('your own'),
  pace: paceSchema,
  maxInFlight: z.int().min(1).max(10_000).describe('Lines under way at once that the gateway lets through.'),
  source: z.string().min(1).max(300).describe('Where the figures are from; printed with the plan.'),
});

const cloudSchema = z.strictObject({
  first: z
    .array(z.literal([1, 2, 3, 4]))
    .default([])
    .describe('Tiers that ask the cloud first.'),
  below: z
    .array(z.literal([1, 2, 3, 4]))
    .default([])
    .describe('Tiers that ask it when engines of your own are too busy.'),
  model: z.string().min(1).max(200).default(DEFAULT_CLOUD_PRICE.model),
  inputUsd: usd.default(DEFAULT_CLOUD_PRICE.inputUsd).describe('US dollars for a million prompt tokens.'),
  outputUsd: usd.default(DEFAULT_CLOUD_PRICE.outputUsd).describe('US dollars for a million answer tokens.'),
  cachedInputUsd: usd.default(DEFAULT_CLOUD_PRICE.cachedInputUsd),
  firstTokenMs: z.number().min(1).max(60_000).default(500).describe('Until its first token (ms).'),
});

const countSchema = z.int().min(1).max(2_000);

export const planSchema = z.strictObject({
  players: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(DEFAULT_WORKLOAD.players)
    .describe('Players at once in a busy hour.'),
  dialoguesPerPlayerHour: z
    .number()
    .gt(0)
    .max(3_600)
    .default(DEFAULT_WORKLOAD.dialoguesPerPlayerHour)
    .describe('Talks that one player begins in an hour.'),
  hoursPerDay: z.number().gt(0).max(24).default(12).describe('Hours a day in which so many play.'),
  burstFactor: z
    .number()
    .min(1)
    .max(100)
    .default(DEFAULT_WORKLOAD.burstFactor)
    .describe('Times the mean load for which engines are counted.'),
  tierShares: byTier(z.number().min(0).max(100), { 1: 60, 2: 25, 3: 10, 4: 5 })
    .refine((shares) => Math.abs(Object.values(shares).reduce((sum, one) => sum + one, 0) - 100) < 0.5, {
      error: 'expected shares of tiers 1 to 4 that add up to 100 (percent)',
    })
    .describe('Percent of lines by tier of the NPC.'),
  npcs: byTier(countSchema, DEFAULT_WORKLOAD.npcs).describe('NPCs of each tier.'),
  zipfNpcs: z.number().min(0).max(4).default(DEFAULT_WORKLOAD.zipfNpcs),
  barkShare: byTier(share, DEFAULT_WORKLOAD.barkShare).describe('Share of lines that are barks (0..1).'),
  answerWords: byTier(z.number().min(4).max(60), DEFAULT_WORKLOAD.answerWords).describe(
    'Words of an answer.',
  ),
  repeats: share
    .default(DEFAULT_WORKLOAD.repeats)
    .describe(
      'Share of what players say that everybody says (0..1). Decides what the dialogue cache is worth.',
    ),
  repeatedQuestions: z.int().min(1).max(24).default(DEFAULT_WORKLOAD.repeatedQuestions),
  zipfQuestions: z.number().min(0).max(4).default(DEFAULT_WORKLOAD.zipfQuestions),
  turnsMean: z.number().min(1).max(50).default(DEFAULT_WORKLOAD.turnsMean),
  commonStories: share.default(DEFAULT_WORKLOAD.commonStories),
  ownStories: share
    .default(DEFAULT_WORKLOAD.ownStories)
    .describe('Share of talks with facts that nobody else has; none of them can be said again (0..1).'),
  turnsMax: z.int().min(1).max(50).default(DEFAULT_WORKLOAD.turnsMax),
  interruptions: share.default(DEFAULT_WORKLOAD.interruptions),
  ambientShare: share.default(DEFAULT_WORKLOAD.ambientShare),
  firstSentenceMs: byTier(z.number().min(10).max(60_000), DEFAULT_FIRST_SENTENCE_MS).describe(
    'Longest time to the first sentence, 95th percentile (ms).',
  ),
  engine: z
    .union([z.string(), ownClassSchema])
    .default('l4')
    .describe('A class of the list, or your own figures.'),
  usdPerEngineHour: usd.optional().describe('US dollars for an hour of one engine; default: the class.'),
  engineHoursPerDay: z
    .number()
    .gt(0)
    .max(24)
    .default(24)
    .describe('Hours a day for which engines are paid: 24 unless something turns them off.'),
  spare: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .describe('Engines beyond the load, so that some may die; default: one for each fifty, at least one.'),
  cache: z.boolean().default(true).describe('Whether lines may be said again from the dialogue cache.'),
  cloud: cloudSchema.optional(),
  warmUpS: z
    .number()
    .min(10)
    .max(3_600)
    .default(60)
    .describe(
      'Seconds at the mean load before a trial counts: engines are counted for caches as young as this.',
    ),
  settledS: z
    .number()
    .min(10)
    .max(86_400)
    .default(300)
    .describe('Seconds at the mean load before the figures are taken, with the engines that were found.'),
  burstS: z.number().min(10).max(3_600).default(30).describe('Seconds at the burst load, which count.'),
  cellPlayers: z
    .int()
    .min(10)
    .max(20_000)
    .default(1_000)
    .describe('More players than this are played as so many equal cells, one of them simulated.'),
  enginesMax: z.int().min(1).max(500).default(200).describe('Most engines of one cell that are tried.'),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31)
    .default(1),
});

export type PlanOptions = z.output<typeof planSchema>;

export interface PlanInput {
  readonly options: PlanOptions;
  readonly workload: Workload;
  readonly engineClass: EngineClass;
  readonly cloud: CloudChoice | null;
}

/** Throws `config_invalid` that names every wrong value. `from` is where it came from: a file, or the flags. */
export function readPlan(values: unknown, from: string): PlanInput {
  const parsed = planSchema.safeParse(values);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => faultOf(issue, values));
    throw new ServiceError(
      'config_invalid',
      faults.length === 1
        ? `${from}: ${faults[0]}`
        : `${from}:${faults.map((fault) => `\n  - ${fault}`).join('')}`,
    );
  }
  const options = parsed.data;
  return {
    options,
    workload: {
      ...options,
      tierShares: mapTiers(options.tierShares, (percent) => percent / 100),
    },
    engineClass: engineClassOf(options, from),
    cloud: options.cloud === undefined ? null : cloudOf(options.cloud),
  };
}

function engineClassOf({ engine, usdPerEngineHour }: PlanOptions, from: string): EngineClass {
  const known = ENGINE_CLASSES.find(({ name }) => name === engine);
  if (typeof engine === 'string' && known === undefined)
    throw new ServiceError(
      'config_invalid',
      `${from}: engine: is ${JSON.stringify(engine)}; expected one of ${ENGINE_CLASSES.map(({ name }) => name).join(', ')}, or your own figures as engine: {name, pace, maxInFlight, source} in a plan file. Without a row, because nothing that could be calculated with was published: ${LEFT_OUT.join('; ')}`,
    );
  const own = typeof engine === 'string' ? null : engine;
  const base: EngineClass =
    own === null
      ? (known as EngineClass)
      : {
          name: own.name,
          machine: own.name,
          model: own.model,
          pace: own.pace,
          maxInFlight: own.maxInFlight,
          usdPerHour: null,
          priceSource: 'not given',
          paceSource: own.source,
          origin: 'published',
        };
  if (usdPerEngineHour === undefined) return base;
  return { ...base, usdPerHour: usdPerEngineHour, priceSource: `given in ${from}` };
}

function cloudOf(cloud: NonNullable<PlanOptions['cloud']>): CloudChoice {
  const { model, inputUsd, cachedInputUsd, outputUsd, firstTokenMs } = cloud;
  const isDefault =
    model === DEFAULT_CLOUD_PRICE.model &&
    inputUsd === DEFAULT_CLOUD_PRICE.inputUsd &&
    outputUsd === DEFAULT_CLOUD_PRICE.outputUsd;
  return {
    model,
    firstTiers: cloud.first,
    belowTiers: cloud.below,
    price: { model, inputUsd, cachedInputUsd, outputUsd },
    priceSource: isDefault ? DEFAULT_CLOUD_PRICE_SOURCE : 'given',
    pace: { ...CLOUD_PACE, overheadMs: Math.max(0, firstTokenMs - CLOUD_PACE.stepMs) },
  };
}

function mapTiers<Value, Made>(
  values: Readonly<Record<'1' | '2' | '3' | '4', Value>>,
  make: (value: Value) => Made,
): ByTier<Made> {
  return { 1: make(values['1']), 2: make(values['2']), 3: make(values['3']), 4: make(values['4']) };
}

interface Issue {
  readonly code?: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
}

function faultOf(issue: Issue, values: unknown): string {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys')
    return `${path === '' ? '' : `${path}.`}${issue.keys?.join(', ')}: no such key; see greenroom plan --help, or docs/guides/plan.md`;
  const value = issue.path.reduce<unknown>(
    (node, key) => (node as Record<PropertyKey, unknown> | null | undefined)?.[key],
    values,
  );
  return `${path}: is ${JSON.stringify(value) ?? 'missing'}; ${expectedOf(issue.message)}`;
}
