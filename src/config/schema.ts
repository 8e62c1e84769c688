/**
 * The configuration: one strict schema, put together from the options that each part exports. Types, validation, the
 * JSON schema for editors and docs/reference/config.md all come from here. Defaults stand nowhere else.
 */

import { z } from 'zod';
import { adaptersOptionsSchema } from '../adapters/options.ts';
import { embeddingModelsSchema, pathsSchema, visionSchema } from '../api/short-work-options.ts';
import { lineLearningOptionsSchema } from '../cast/line-learning-options.ts';
import { voicesOptionsSchema } from '../dialogue/voices-options.ts';
import { embeddedOptionsSchema } from '../embedded/options.ts';
import type { DriverDefinition } from '../engines/driver.ts';
import { DRIVERS, type EngineKind } from '../engines/index.ts';
import { oipOptionsSchema } from '../engines/oip-options.ts';
import { jobsOptionsSchema } from '../jobs/options.ts';
import { recallOptionsSchema } from '../recall/options.ts';
import {
  breakerOptionsSchema,
  budgetOptionsSchema,
  canaryOptionsSchema,
  cooldownOptionsSchema,
  hedgingOptionsSchema,
  modelsSchema,
  paceOptionsSchema,
  poolsSchema,
} from '../routing/options.ts';
import { tiersSchema } from '../routing/tiers.ts';
import { spendingOptionsSchema } from '../spending/options.ts';
import { storeOptionsSchema } from '../store/store.ts';

const admission = {
  maxInFlight: z
    .int()
    .min(1)
    .max(10_000)
    .default(16)
    .describe('Requests under way at this engine at once; more wait in our queue.'),
  maxQueued: z
    .int()
    .min(0)
    .max(100_000)
    .default(128)
    .describe('Requests that may wait; the next goes down the ladder at once.'),
  maxPromptTokens: z
    .int()
    .min(1)
    .max(100_000_000)
    .optional()
    .describe('Prompt tokens under way at this engine at once; default: no limit but maxInFlight.'),
};

const version = {
  version: z
    .string()
    .regex(/^[\w.:-]{1,100}$/, 'letters, digits and . : _ -, at most 100')
    .optional()
    .describe('Version of the model, as players never see it: 2026-05. Requests pick it by x-model-version.'),
};

const adapters = {
  base: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Base model that its adapters were trained on; default: the name of the model. Engines of one base share adapters.',
    ),
  adapterBytesMax: z
    .int()
    .min(1)
    .optional()
    .describe('Bytes that adapters may take in its memory together; default: no limit but the slots.'),
};

const embeddedEngineSchema = z
  .strictObject({
    kind: z.literal('embedded'),
    model: z
      .string()
      .default('smollm2-135m-instruct-q4_1')
      .describe('A model of the catalogue (`greenroom models list`); fetched at the first start.'),
    file: z.string().optional().describe('A GGUF file to use instead, relative to this configuration file.'),
    fastWeights: z
      .boolean()
      .default(true)
      .describe(
        'Whether weights of a small model that the CPU reads slowly are rewritten once, in the cache, in a form that it reads fast (Q4_1 as Q8_0: prompts are read about twice as fast, half as much memory and disk again). A GPU takes the file as it is.',
      ),
    ...embeddedOptionsSchema.omit({ modelPath: true, modelName: true }).shape,
    ...version,
    ...adapters,
    ...admission,
  })
  .describe('llama.cpp in a child process of the gateway: the default, needs nothing else.');

/** What can be told of every engine that is a server of its own; a driver's own options stand beside these. */
const remoteEngineShape = {
  model: z.string().min(1).describe("The engine's own name for the model."),
  apiKeyEnv: z.string().optional().describe('Name of the environment variable that holds its API key.'),
  connections: z.int().min(1).max(4_096).default(64).describe('Most connections to it.'),
  connectTimeoutMs: z.int().min(1).max(60_000).default(1_000).describe('Milliseconds to connect.'),
  contextTokens: z
    .int()
    .min(64)
    .max(10_000_000)
    .optional()
    .describe('Tokens of prompt and answer together; default: what the engine says when it is asked.'),
  ...adapters,
  adapterSlots: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .describe('Adapters that may be resident at once; default: what the engine says, else 20.'),
  adapterRankMax: z
    .int()
    .min(1)
    .max(512)
    .optional()
    .describe('Highest rank that it was started for; default: what the engine says, else no limit.'),
  baseFiles: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder with the config.json of its base model, or its GGUF file, relative to this file: adapters are checked against it. Needed for adapters of a base that no embedded engine here runs.',
    ),
  artefactRoot: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Where this engine sees the folder of staged artefacts; default: where we see it, for an engine on this machine.',
    ),
  isPaid: z
    .boolean()
    .optional()
    .describe(
      'Whether its calls are held against spending; default: yes for clouds, no for servers of your own.',
    ),
};

const baseUrl = z
  .url({ protocol: /^https?$/ })
  .describe('Scheme, host, port and the path before /v1, if there is one: http://127.0.0.1:8000.');

/** One schema a driver: its kind, what every engine has, and its own options, all on one level. */
const remoteEngineSchemas = Object.values(DRIVERS).map((driver: DriverDefinition) =>
  z
    .strictObject({
      kind: z.literal(driver.kind as EngineKind),
      baseUrl: driver.defaultBaseUrl === null ? baseUrl : baseUrl.default(driver.defaultBaseUrl),
      ...version,
      ...remoteEngineShape,
      ...admission,
      ...driver.options.shape,
    })
    .describe(driver.title),
);

export const engineSchema = z.discriminatedUnion('kind', [embeddedEngineSchema, ...remoteEngineSchemas]);
export type EmbeddedEngineConfig = z.infer<typeof embeddedEngineSchema>;
/** The driver's own options are checked, and are read by the driver alone. */
export type RemoteEngineConfig = z.infer<
  z.ZodObject<
    typeof remoteEngineShape &
      typeof admission &
      typeof version & { kind: z.ZodLiteral<EngineKind>; baseUrl: z.ZodURL }
  >
>;
export type EngineConfig = EmbeddedEngineConfig | RemoteEngineConfig;

const limitsSchema = z
  .strictObject({
    bodyBytesMax: z
      .int()
      .min(1_024)
      .max(100_000_000)
      .default(262_144)
      .describe('Largest request body in bytes; larger: 413.'),
    headerBytesMax: z
      .int()
      .min(1_024)
      .max(1_000_000)
      .default(8_192)
      .describe('Largest request head in bytes; larger: 431.'),
    connectionsMax: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(4_096)
      .describe('Open connections; further ones are closed at once.'),
    requestsMax: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1_024)
      .describe('Requests being answered at once; one more: 503.'),
    requestTimeoutMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(10_000)
      .describe('Milliseconds for a request to arrive whole; slower: 408.'),
    heartbeatMs: z
      .int()
      .min(100)
      .max(60_000)
      .default(8_000)
      .describe(
        'Milliseconds of silence on a stream before a comment is sent. Unreal gives up after 30 s of silence.',
      ),
    playerCharsMax: z
      .int()
      .min(10)
      .max(2_000)
      .default(300)
      .describe("Characters of the player's words that enter the prompt."),
  })
  .prefault({})
  .describe('Limits at the doors.');

const engineName = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'lower-case letters, digits and -, at most 32');

export const configSchema = z.strictObject({
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on. Beyond loopback API keys are required. Environment: HOST.'),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(8080)
    .describe('Port to listen on; 0 takes a free one. Environment: PORT.'),
  cast: z.string().default('./cast').describe('Folder of the cast, relative to this file.'),
  dataDirectory: z
    .string()
    .optional()
    .describe(
      'Folder of the store, relative to this file; default: GREENROOM_DATA, else the user data folder.',
    ),
  engines: z
    .record(engineName, engineSchema)
    .default({ local: engineSchema.parse({ kind: 'embedded' }) })
    .describe('Engines by name; tiers name them as rungs. Written lines need no entry.'),
  pools: poolsSchema,
  models: modelsSchema,
  tiers: tiersSchema.prefault({}),
  routing: z
    .strictObject({
      budgets: budgetOptionsSchema.prefault({}),
      hedging: hedgingOptionsSchema.prefault({}),
      breaker: breakerOptionsSchema.prefault({}),
      cooldown: cooldownOptionsSchema.prefault({}),
      pace: paceOptionsSchema.prefault({}),
      canary: canaryOptionsSchema.prefault({}),
    })
    .prefault({})
    .describe('How engines are chosen, given up and tried again.'),
  spending: spendingOptionsSchema,
  jobs: jobsOptionsSchema.prefault({}).describe('Work that is answered later: POST /v1/jobs.'),
  tensorServers: z
    .record(engineName, oipOptionsSchema)
    .default({})
    .describe('Servers of tensors by name: embeddings and vision, in a lane of their own.'),
  embeddings: embeddingModelsSchema.describe('Embedding models on servers of tensors, by model name.'),
  vision: visionSchema,
  paths: pathsSchema.describe('Generic paths, each standing for one model.'),
  adapters: adaptersOptionsSchema
    .prefault({})
    .describe('LoRA adapters: where they are kept, how they come to engines.'),
  voices: voicesOptionsSchema,
  lineLearning: lineLearningOptionsSchema
    .prefault({})
    .describe('Generated lines that players heard often and well are offered for the written pool.'),
  recall: recallOptionsSchema.prefault({}).describe('The dialogue cache: lines that are said again.'),
  temperature: z
    .number()
    .min(0)
    .max(2)
    .default(0.7)
    .describe('Sampling temperature where neither the request nor the persona names one.'),
  limits: limitsSchema,
  store: storeOptionsSchema.prefault({}),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info')
        .describe('Least severe events that are written. Player text appears at no level.'),
      format: z.enum(['json', 'text']).default('text').describe('`json`: one object a line, for collectors.'),
    })
    .prefault({}),
  drainMs: z
    .int()
    .min(0)
    .max(600_000)
    .default(10_000)
    .describe('Milliseconds that running lines have to finish after SIGTERM.'),
});

export type Config = z.infer<typeof configSchema>;
