/**
 * vLLM's wire, which `greenroom engine` speaks too: chat completions with vLLM's extra fields (engines.md §3.3).
 */
import type { Engine } from '../core/engine.ts';
import type { Transport } from '../core/transport.ts';
import { createOpenAiCompatible } from './openai-compatible.ts';

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
