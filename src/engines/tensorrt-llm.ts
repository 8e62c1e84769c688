/**
 * trtllm-serve (engines.md §7.1–7.3): the common dialect, strict. A field that it does not know is a 400, `strict` in a
 * response format included; a failure in a stream is a connection that breaks off. Triton's own backend is `triton-text`.
 */
import { z } from 'zod';
import { COMMON_SAMPLING } from './chat-dialect.ts';
import { bearer, createChatDriver, thinking, thinkingBody } from './chat-driver.ts';
import { gauges, member } from './chat-probe.ts';
import { defineDriver } from './driver.ts';
import { addressAtTensorrtLlm, createTensorrtLlmAdapters } from './tensorrt-llm-adapters.ts';

export const tensorrtLlm = defineDriver({
  kind: 'tensorrt-llm',
  title: 'TensorRT-LLM, trtllm-serve from 1.0 on; looked at in 1.3.0rc27 (2026-09)',
  defaultBaseUrl: 'http://127.0.0.1:8000',
  isPaid: false,
  options: z.strictObject({
    // Newer versions refuse a word that the model's template does not use.
    thinking: thinking.default('model'),
    sendsPriority: z
      .boolean()
      .default(false)
      .describe(
        'Whether it knows priority (1.3 on; older ones refuse it) and runs with scheduler_config.waiting_queue_policy=priority.',
      ),
  }),
  // It knows no keys; a proxy before it may.
  headers: bearer,
  create: (parts) =>
    createChatDriver(parts, {
      kind: 'tensorrt-llm',
      dialect: {
        continuesAssistant: false,
        honoursPriority: parts.options.sendsPriority,
        // 0 to 1, the larger first; 0.5 is its own default.
        ...(parts.options.sendsPriority ? { priorities: { interactive: 0.75, ambient: 0.25 } } : {}),
        reportsRunningUsage: true,
        sampling: { ...COMMON_SAMPLING, minP: 'min_p', repetitionPenalty: 'repetition_penalty' },
        structuredOutput: {
          level: 'schema',
          fields: (schema) => ({ response_format: { type: 'json', schema } }),
        },
        body: thinkingBody(parts.options.thinking),
        addressing: addressAtTensorrtLlm,
      },
      adapters: createTensorrtLlmAdapters(parts),
      questions: {
        modelsPath: '/v1/models',
        version: { path: '/version', read: member('version') },
        livePath: '/health',
        ready: '/health_generate',
        // Only with `return_perf_metrics: true`; its `/metrics` is something else, and reading that empties it.
        load: [gauges('/prometheus/metrics', 'trtllm_num_requests_running', 'trtllm_num_requests_waiting')],
      },
      // From 1.3 on, and for plain text only; it takes no further field.
      tokenize: {
        path: '/_internal/tokenize',
        body: (text) => ({ prompt: text }),
        read: member('count'),
      },
    }),
});
