/** What the configuration can say about an Ollama engine, and the part of it that shapes Ollama's runner. */
import { z } from 'zod';

export const ollamaOptions = z.strictObject({
  numCtx: z
    .int()
    .min(256)
    .max(2_000_000)
    .default(4_096)
    .describe(
      'Context window in tokens, prompt and answer together; sent with every request. Other programs that use the same model with another value make Ollama reload it each time.',
    ),
  keepAlive: z
    .union([z.int().min(-1), z.string().regex(/^-?(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/)])
    .default(-1)
    .describe(
      'How long Ollama keeps the model in memory after a request: seconds, or a duration such as "30m"; -1: until it is stopped (`ollama stop`). With an end, the first player after a silence waits for a load.',
    ),
  numGpu: z
    .int()
    .min(0)
    .max(1_000)
    .optional()
    .describe('Layers on the GPU; left out, Ollama decides. 0: processor only.'),
  continuesAssistant: z
    .boolean()
    .default(false)
    .describe(
      "Whether the model's chat template leaves a last assistant message open, so that a broken line goes on natively. Those of Ollama's own library mostly do; check with `ollama show --template`: it must treat the last message apart.",
    ),
  allowPartialOffload: z
    .boolean()
    .default(false)
    .describe(
      'Whether the engine counts as ready when only a part of the model fits the GPU, which is several times slower.',
    ),
});

export type OllamaOptions = z.infer<typeof ollamaOptions>;

/** What shapes the runner: never different between two requests for a model, or the model is loaded anew. */
export function runnerOptions(options: OllamaOptions): Readonly<Record<string, number>> {
  return { num_ctx: options.numCtx, ...(options.numGpu === undefined ? {} : { num_gpu: options.numGpu }) };
}
