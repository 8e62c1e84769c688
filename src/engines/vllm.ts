/**
 * vLLM's wire (engines.md §3), which `greenroom engine` and llm-d's simulator speak too: chat completions with vLLM's
 * extra fields, running usage, and going on from an open assistant message.
 */
import { z } from 'zod';
import { COMMON_SAMPLING, type Dialect, NAMED_AS_MODEL } from './chat-dialect.ts';
import { bearer, createChatDriver, thinking, thinkingBody } from './chat-driver.ts';
import { expect200, gauges, member } from './chat-probe.ts';
import { defineDriver } from './driver.ts';
import { TOKENIZE } from './token-counter.ts';
import { createVllmAdapters } from './vllm-adapters.ts';

const DIALECT: Dialect = {
  continuesAssistant: true,
  honoursPriority: true,
  // 0.32 refuses more with 400 `too_long`; seen on the real server.
  stopsMax: 4,
  // Ascending; only honoured with `--scheduling-policy priority` (engines.md §3.3).
  priorities: { interactive: 0, ambient: 10 },
  reportsRunningUsage: true,
  sampling: { ...COMMON_SAMPLING, minP: 'min_p', repetitionPenalty: 'repetition_penalty' },
  addressing: NAMED_AS_MODEL,
};

export const vllm = defineDriver({
  kind: 'vllm',
  title: 'vLLM, from 0.12 on; looked at in 0.29 (2026-08). `greenroom engine` speaks its wire',
  defaultBaseUrl: 'http://127.0.0.1:8000',
  isPaid: false,
  options: z.strictObject({ thinking }),
  headers: bearer,
  create: (parts) =>
    createChatDriver(parts, {
      kind: 'vllm',
      dialect: { ...DIALECT, body: thinkingBody(parts.options.thinking) },
      questions: {
        modelsPath: '/v1/models',
        version: { path: '/version', read: member('version') },
        livePath: '/health',
        // `/health` stays 200 over a hung engine; one token proves that it generates (engines.md §3.1).
        ready: async (ask, model, signal) => {
          const body = { model, prompt: 'Hi', max_tokens: 1, temperature: 0 };
          await expect200(parts.name, await ask('/v1/completions', signal, body));
        },
        load: [gauges('/metrics', 'vllm:num_requests_running', 'vllm:num_requests_waiting')],
      },
      tokenize: TOKENIZE,
      adapters: createVllmAdapters(parts),
    }),
});
