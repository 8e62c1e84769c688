/**
 * llama.cpp's llama-server (engines.md §5): goes on from a last assistant message by itself, tells its load by metrics or
 * slots, and answers 503 to everything while it loads. In router mode a model is listed long before it is loaded.
 */
import { z } from 'zod';
import type { EngineLoad } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { COMMON_SAMPLING } from './chat-dialect.ts';
import { bearer, createChatDriver, thinking, thinkingBody } from './chat-driver.ts';
import { type Ask, expect200, gauges, member } from './chat-probe.ts';
import { defineDriver } from './driver.ts';
import { adapterCache, createLlamaServerAdapters } from './llama-server-adapters.ts';

export const llamaServer = defineDriver({
  kind: 'llama-server',
  title: 'llama.cpp llama-server, single model or router; looked at in builds of 2026-05 to 2026-09',
  // The default port changed between builds; 8080 was it for longest.
  defaultBaseUrl: 'http://127.0.0.1:8080',
  isPaid: false,
  options: z.strictObject({ thinking, adapterCache }),
  headers: bearer,
  create: (parts) =>
    createChatDriver(parts, {
      kind: 'llama-server',
      dialect: {
        // It refuses an open message where the template may think: "prefill is incompatible with enable_thinking".
        continuesAssistant: parts.options.thinking === 'off',
        // It leaves a last message of the assistant open without being asked too, but then b11434 says that message
        // again in the first chunk; asked for in vLLM's words, as by default here, it goes on after it.
        honoursPriority: false,
        reportsRunningUsage: false,
        sampling: { ...COMMON_SAMPLING, minP: 'min_p', repetitionPenalty: 'repeat_penalty' },
        body: thinkingBody(parts.options.thinking),
      },
      questions: {
        modelsPath: '/v1/models',
        version: { path: '/props', read: member('build_info') },
        livePath: '/health',
        ready: (ask, model, signal) => requireLoaded(parts.name, ask, model, signal),
        load: [
          // Only with `--metrics`.
          gauges('/metrics', 'llamacpp:requests_processing', 'llamacpp:requests_deferred'),
          { path: '/slots', read: slotsLoad },
        ],
      },
      ...createLlamaServerAdapters(parts),
      tokenize: {
        path: '/tokenize',
        body: (text) => ({ content: text, add_special: false }),
        read: (answer) => {
          const tokens = member('tokens')(answer);
          return Array.isArray(tokens) ? tokens.length : null;
        },
      },
    }),
});

async function requireLoaded(name: string, ask: Ask, model: string, signal: AbortSignal): Promise<void> {
  await expect200(name, await ask('/health', signal));
  const list = await expect200(name, await ask('/v1/models', signal));
  const state = routerState(list.text, model);
  if (state === null || state === 'loaded') return;
  throw new ServiceError('not_ready', `${name}: the model ${model} is ${state}, expected loaded`, {
    details: { engine: name, model, state },
  });
}

/** What the router says of a model; null for a server of one model, which says nothing: it is healthy when it has it. */
function routerState(list: string, model: string): string | null {
  const cards = member('data')(parsed(list));
  if (!Array.isArray(cards)) return null;
  const states = cards.map((card: unknown) => ({
    id: member('id')(card),
    state: member('value')(member('status')(card)),
  }));
  if (!states.some(({ state }) => typeof state === 'string')) return null;
  const own = states.find(({ id }) => id === model)?.state;
  return typeof own === 'string' ? own : 'not listed';
}

/** Slots do not tell how many requests wait behind them. */
function slotsLoad(page: string): EngineLoad | null {
  const slots = parsed(page);
  if (!Array.isArray(slots)) return null;
  return {
    running: slots.filter((slot: unknown) => member('is_processing')(slot) === true).length,
    waiting: 0,
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
