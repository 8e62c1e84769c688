/**
 * DeepSeek's own API (engines.md §10.5): thinks unless told not to, keeps a connection awake with comments while it
 * queues, counts cache hits in fields of its own, and knows JSON but no schema.
 */
import { z } from 'zod';
import { bearer, createChatDriver } from './chat-driver.ts';
import { defineDriver } from './driver.ts';
import { JSON_OBJECT } from './openai-compatible.ts';

export const deepseek = defineDriver({
  kind: 'deepseek',
  title: 'DeepSeek API; looked at in its documentation of 2026-11',
  defaultBaseUrl: 'https://api.deepseek.com',
  isPaid: true,
  options: z.strictObject({
    continuesAssistant: z
      .boolean()
      .default(false)
      .describe(
        'Whether a broken line goes on natively: their beta "chat prefix completion", which needs baseUrl https://api.deepseek.com/beta.',
      ),
  }),
  headers: bearer,
  create: (parts) =>
    createChatDriver(parts, {
      kind: 'deepseek',
      dialect: {
        continuesAssistant: parts.options.continuesAssistant,
        continuation: { body: {}, message: { prefix: true } },
        honoursPriority: false,
        reportsRunningUsage: false,
        chatPath: '/chat/completions',
        // No seed in its documentation.
        sampling: { temperature: 'temperature', topP: 'top_p' },
        structuredOutput: JSON_OBJECT,
        stopsMax: 16,
        body: { thinking: { type: 'disabled' } },
      },
      questions: { modelsPath: '/models' },
    }),
});
