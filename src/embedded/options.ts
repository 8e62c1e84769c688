/** Options of the embedded engine: one schema for the configuration file, the command line and the child process. */
import { availableParallelism } from 'node:os';
import { z } from 'zod';

/** More context than this costs memory on every sequence and no NPC prompt needs it (design §5 token budgets). */
export const DEFAULT_CONTEXT_TOKENS_MAX = 2_048;

export const embeddedOptionsSchema = z.strictObject({
  modelPath: z.string().min(1).describe('Path of the GGUF file.'),
  modelName: z
    .string()
    .min(1)
    .max(200)
    .default('smollm2-135m-instruct')
    .describe('Name under which clients ask for the model.'),
  threads: z
    .int()
    .min(1)
    .max(512)
    .default(() => availableParallelism())
    .describe(
      'CPU threads that decode; default is every core. Leave one free where the game runs beside it.',
    ),
  sequences: z
    .int()
    .min(1)
    .max(64)
    .default(8)
    .describe('Lines generated at once. Each costs the memory of contextTokens; more wait in the queue.'),
  prefixSequences: z
    .int()
    .min(0)
    .max(32)
    .default(4)
    .describe(
      'Persona prefixes kept in sequences of their own, each at the memory of contextTokens. Only where there is no prefix store: prefixStoreBytesMax is 0, or the state of the model cannot be copied (sliding window, recurrent).',
    ),
  prefixStoreBytesMax: z
    .int()
    .min(0)
    .max(64_000_000_000)
    .default(256_000_000)
    .describe(
      'Bytes for copies of what prompts begin with: persona prefixes first, then conversations that had to leave their sequence; the one used longest ago goes first. The default model takes 23 kB a token, so the default holds 11,000 tokens. 0 keeps none.',
    ),
  prefixReuse: z
    .boolean()
    .default(true)
    .describe(
      'Whether prompts that begin alike share work. false evaluates every prompt whole: for measuring.',
    ),
  firstSentenceFirst: z
    .boolean()
    .default(true)
    .describe(
      'Lines that nobody has heard a sentence of go first, the shortest prompt before longer ones; while they do, others slow down to 6 tokens a second, which is more than speech needs. false serves by arrival.',
    ),
  contextTokens: z
    .int()
    .min(64)
    .max(131_072)
    .nullable()
    .default(null)
    .describe(
      `Longest prompt plus answer, in tokens; null is the model's train context, at most ${DEFAULT_CONTEXT_TOKENS_MAX}.`,
    ),
  prefillTokensPerStep: z
    .int()
    .min(16)
    .max(4_096)
    .default(256)
    .describe('Most prompt tokens evaluated in one step. Lower keeps running lines smoother.'),
  stepTargetMs: z
    .number()
    .min(5)
    .max(5_000)
    .default(90)
    .describe(
      'Prefill is cut so that a pass takes about this long (ms), or as long as 64 tokens take, up to 220 ms: bounds the gap between tokens of running lines and the time until the work of a client that hung up stops. Shorter is smoother and slower: each pass reads all weights.',
    ),
  queueMax: z
    .int()
    .min(0)
    .max(10_000)
    .default(64)
    .describe('Requests that may wait for a sequence; one more is answered 503.'),
  bodyBytesMax: z
    .int()
    .min(1_024)
    .max(100_000_000)
    .default(2_000_000)
    .describe('Largest request body in bytes; larger is answered 413.'),
  connectionsMax: z
    .int()
    .min(1)
    .max(65_536)
    .default(1_024)
    .describe('Most open connections; further ones are closed at once.'),
  adapterSlots: z
    .int()
    .min(0)
    .max(512)
    .default(20)
    .describe(
      'LoRA adapters in memory at once; one more is refused until another is unloaded. Each costs its weights and some MB of plan, and every change of adapter between two passes costs a little more with each. 0 takes none.',
    ),
  adapterRankMax: z
    .int()
    .min(1)
    .max(512)
    .default(64)
    .describe('Highest rank of an adapter; a larger one is refused. Weights and time grow with it.'),
  gpu: z
    .union([z.literal(false), z.enum(['auto', 'cuda', 'vulkan', 'metal'])])
    .default(false)
    .describe('GPU backend; needs its binary installed (README, GPU). false stays on the CPU.'),
});

export type EmbeddedOptions = z.output<typeof embeddedOptionsSchema>;
export type EmbeddedOptionsInput = z.input<typeof embeddedOptionsSchema>;
