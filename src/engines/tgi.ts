/**
 * Text Generation Inference (engines.md §8), which its makers only maintain: its chat endpoint, with the schema in a
 * field of its own name, four stop strings, and errors with `error_type`.
 */
import { z } from 'zod';
import { COMMON_SAMPLING } from './chat-dialect.ts';
import { bearer, createChatDriver } from './chat-driver.ts';
import { gauges, member } from './chat-probe.ts';
import { defineDriver } from './driver.ts';

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
  }),
  headers: bearer,
  create: (parts) =>
    createChatDriver(parts, {
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
      },
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
    }),
});
