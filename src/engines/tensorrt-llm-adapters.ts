/**
 * trtllm-serve's adapters (engines.md §7.4): there is nothing to load, list or unload them by. A request carries name, number
 * and path, and the first one reads the files; so a load here is a request of one token, and which are there is what we
 * asked for since the server was last seen gone. The number is the identity inside the engine.
 */
import type { AdapterAddress, AdapterTraits, EngineAdapters } from '../core/adapter.ts';
import { adapterFailed, noRoom, refusedAdapter } from './adapter-errors.ts';
import { asking } from './chat-probe.ts';
import type { DriverParts } from './driver.ts';
import { jsonObject } from './reply-stream.ts';
import { errorText } from './wire-errors.ts';

const TRAITS: AdapterTraits = {
  loads: 'first-use',
  unloads: 'never',
  mixesInBatch: true,
  // By the number, which we never use for other weights.
  isCacheIsolated: true,
  stallsWhileLoading: true,
};

const MESSAGE_CHARACTERS_MAX = 400;
const FOR_GOOD = /rank|target.module|lora_config|extra_forbidden|not support|not enabled|size|shape/i;
const FULL = /out of memory|cache is full|max_loras|not enough (?:space|memory)/i;

export function addressAtTensorrtLlm({ engineName, number, path }: AdapterAddress) {
  return { lora_request: { lora_name: engineName, lora_int_id: number, lora_path: path } };
}

export function createTensorrtLlmAdapters({
  name: engine,
  model,
  transport,
}: Pick<DriverParts<unknown>, 'name' | 'model' | 'transport'>): EngineAdapters {
  const ask = asking(engine, transport);
  /** Engine names that a request was answered for. */
  const used = new Set<string>();
  return {
    traits: TRAITS,
    capacity: async (signal) => {
      signal.throwIfAborted();
      return { slots: null, rankMax: null };
    },
    load: async (adapter, signal) => {
      const trouble = { engine, adapter };
      const { status, text } = await ask('/v1/chat/completions', signal, {
        model,
        messages: [{ role: 'user', content: 'Hi' }],
        max_tokens: 1,
        temperature: 0,
        ...addressAtTensorrtLlm(adapter),
      });
      if (status === 200) {
        used.add(adapter.engineName);
        return;
      }
      const said = errorText(jsonObject(text) ?? text)
        .replace(/\s+/g, ' ')
        .trim()
        .slice(0, MESSAGE_CHARACTERS_MAX);
      if (/does not exist|no such file|not found/i.test(said))
        throw adapterFailed(
          trouble,
          `is not at ${adapter.path} as the engine sees it (${said}); mount the adapters' folder there, or tell where it is mounted with artefactRoot`,
          false,
        );
      if (FULL.test(said)) throw noRoom(trouble, said);
      if (FOR_GOOD.test(said))
        throw adapterFailed(
          trouble,
          `cannot be used: ${said}; see lora_config (lora_target_modules, max_lora_rank) of its configuration`,
          true,
        );
      throw refusedAdapter(trouble, status, said);
    },
    unload: async ({ engineName }, signal) => {
      signal.throwIfAborted();
      used.delete(engineName);
    },
    list: async (known, signal) => {
      try {
        await ask('/health', signal);
      } catch (error) {
        // Whoever comes back may be another process, which has read nothing yet.
        if (!signal.aborted) used.clear();
        throw error;
      }
      const held = known.map(({ engineName }) => engineName).filter((name) => used.has(name));
      return { held, stale: [], foreign: 0 };
    },
  };
}
