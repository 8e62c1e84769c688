/**
 * Text Generation Inference (engines.md §8), which its makers only maintain: its chat endpoint, with the schema in a
 * field of its own name, four stop strings, and errors with `error_type`.
 */
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import { COMMON_SAMPLING, NAMED_AS_MODEL } from './chat-dialect.ts';
import { bearer, createChatDriver } from './chat-driver.ts';
import { gauges, member } from './chat-probe.ts';
import { defineDriver } from './driver.ts';
import { createStartedAdapters } from './started-adapters.ts';

export const tgi = defineDriver({
  kind: 'tgi',
  title: 'Text Generation Inference, from 3.0 on; looked at in 3.3.7',
  defaultBaseUrl: 'http://127.0.0.1:3000',
  isPaid: false,
  options: z.strictObject({
    stopsMax: z
      .int()
      .min(0)
      .max(64)
      .default(4)
      .describe('The server’s --max-stop-sequences; further ones are cut on our side.'),
    adapters: z
      .array(z.string().min(1).max(200))
      .max(1_000)
      .default([])
      .describe(
        'The names in its LORA_ADAPTERS, such as lich@7-3fa9c1d2: it takes adapters only when it starts, does not list them, and answers as the base to a name that it does not know.',
      ),
  }),
  headers: bearer,
  create: (parts) => {
    const started = new Set(parts.options.adapters);
    return createChatDriver(parts, {
      kind: 'tgi',
      dialect: {
        continuesAssistant: false,
        honoursPriority: false,
        reportsRunningUsage: false,
        sampling: COMMON_SAMPLING,
        structuredOutput: {
          level: 'schema',
          fields: (schema) => ({ response_format: { type: 'json', value: schema } }),
        },
        stopsMax: parts.options.stopsMax,
        addressing: (adapter, model) => {
          if (started.has(adapter.engineName)) return NAMED_AS_MODEL(adapter, model);
          throw new ServiceError(
            'unknown_model',
            `${parts.name} was not started with ${adapter.engineName}, and would answer as the base`,
            { details: { engine: parts.name, adapter: adapter.engineName } },
          );
        },
      },
      adapters: createStartedAdapters({
        engine: parts.name,
        // With adapters its prefix cache is off (engines.md §8).
        traits: { mixesInBatch: true, isCacheIsolated: true },
        list: async (known, signal) => {
          signal.throwIfAborted();
          const held = known.map(({ engineName }) => engineName).filter((name) => started.has(name));
          return { held, stale: [], foreign: started.size - held.length };
        },
        howToStart: ({ engineName, path }) =>
          `LORA_ADAPTERS=${engineName}=${path} and name it in this engine's option adapters`,
      }),
      questions: {
        modelsPath: '/v1/models',
        version: { path: '/info', read: member('version') },
        livePath: '/health',
        // Its health check generates when nothing else did lately.
        ready: '/health',
        load: [gauges('/metrics', 'tgi_batch_current_size', 'tgi_queue_size')],
      },
      tokenize: {
        path: '/tokenize',
        body: (text) => ({ inputs: text, add_special_tokens: false }),
        read: (answer) => (Array.isArray(answer) ? answer.length : null),
      },
    });
  },
});
