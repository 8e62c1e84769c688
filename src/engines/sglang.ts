/**
 * SGLang (engines.md §4): vLLM's extras with the priority the other way round, errors in the flat shape, and a full queue
 * that answers a stream with 200 and gives up in it.
 */
import { z } from 'zod';
import { COMMON_SAMPLING } from './chat-dialect.ts';
import { bearer, createChatDriver, thinking, thinkingBody } from './chat-driver.ts';
import { gauges, member } from './chat-probe.ts';
import { defineDriver } from './driver.ts';
import { addressAtSglang, createSglangAdapters } from './sglang-adapters.ts';
import { TOKENIZE } from './token-counter.ts';

export const sglang = defineDriver({
  kind: 'sglang',
  title: 'SGLang, from 0.5 on; looked at in the source of 2026-02',
  defaultBaseUrl: 'http://127.0.0.1:30000',
  isPaid: false,
  options: z.strictObject({ thinking }),
  headers: bearer,
  create: (parts) =>
    createChatDriver(parts, {
      kind: 'sglang',
      dialect: {
        continuesAssistant: true,
        continuation: { body: { continue_final_message: true }, message: {} },
        honoursPriority: true,
        // The larger goes first, with `--enable-priority-scheduling`: the opposite of vLLM (engines.md §4.6).
        priorities: { interactive: 10, ambient: 0 },
        reportsRunningUsage: true,
        sampling: { ...COMMON_SAMPLING, minP: 'min_p', repetitionPenalty: 'repetition_penalty' },
        body: thinkingBody(parts.options.thinking),
        addressing: addressAtSglang,
      },
      adapters: createSglangAdapters(parts),
      questions: {
        modelsPath: '/v1/models',
        version: { path: '/server_info', read: member('version') },
        livePath: '/model_info',
        // Generates one token; 503 while it starts, stops, or does not answer.
        ready: '/health_generate',
        // Only with `--enable-metrics`.
        load: [gauges('/metrics', 'sglang:num_running_reqs', 'sglang:num_queue_reqs')],
      },
      // Older versions do not know it: then the estimate holds.
      tokenize: TOKENIZE,
    }),
});
