/**
 * vLLM's wire, which `greenroom engine` speaks too: chat completions with vLLM's extra fields (engines.md §3.3).
 */
import { z } from 'zod';
import type { Engine } from '../core/engine.ts';
import type { Transport } from '../core/transport.ts';
import { createChatProbe, expect200 } from './chat-probe.ts';
import { defineDriver } from './driver.ts';
import { bearer, createOpenAiCompatible } from './openai-compatible.ts';
import { createTokenCounter } from './token-counter.ts';

export const vllm = defineDriver({
  kind: 'vllm',
  title: 'vLLM, from 0.12 on; looked at in 0.29 (2026-08). `greenroom engine` speaks its wire',
  defaultBaseUrl: 'http://127.0.0.1:8000',
  isPaid: false,
  options: z.strictObject({}),
  headers: bearer,
  create: ({ name, model, transport }) => ({
    engine: createVllm({ name, kind: 'vllm', transport }),
    probe: createChatProbe({
      name,
      model,
      transport,
      questions: {
        modelsPath: '/v1/models',
        version: { path: '/version', read: (answer) => (answer as { version?: unknown } | null)?.version },
        livePath: '/health',
        // `/health` stays 200 over a hung engine; one token proves that it generates (engines.md §3.1).
        ready: async (ask, served, signal) => {
          const body = { model: served, prompt: 'Hi', max_tokens: 1, temperature: 0 };
          await expect200(name, await ask('/v1/completions', signal, body));
        },
      },
    }),
    counter: createTokenCounter({ transport, model }),
  }),
});

/** vLLM orders by ascending priority; only honoured with `--scheduling-policy priority` (engines.md §3.3). */
const PRIORITY = { interactive: 0, ambient: 10 } as const;

/** `transport` is asked at each request: a supervised engine comes back on another port. */
export function createVllm(options: { name: string; kind: string; transport: () => Transport }): Engine {
  return createOpenAiCompatible({
    ...options,
    dialect: {
      continuesAssistant: true,
      honoursPriority: true,
      reportsRunningUsage: true,
      extraBody: (request) => ({
        priority: PRIORITY[request.priority],
        ...(request.minP === undefined ? {} : { min_p: request.minP }),
        ...(request.repetitionPenalty === undefined ? {} : { repetition_penalty: request.repetitionPenalty }),
      }),
    },
  });
}
