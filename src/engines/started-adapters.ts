/**
 * Adapters of servers that get them when they start and never after: nothing is loaded or unloaded here, but what is not
 * there is refused with the very line that starts the server with it.
 */
import type { AdapterAddress, AdapterTraits, EngineAdapters, HeldAdapters } from '../core/adapter.ts';
import { adapterFailed } from './adapter-errors.ts';

export interface StartedAdapters {
  /** The engine's name in the configuration. */
  readonly engine: string;
  readonly traits: Pick<AdapterTraits, 'mixesInBatch' | 'isCacheIsolated'>;
  readonly list: (known: readonly AdapterAddress[], signal: AbortSignal) => Promise<HeldAdapters>;
  /** How a server gets this adapter; goes on behind "start it with". */
  readonly howToStart: (adapter: AdapterAddress) => string;
}

export function createStartedAdapters({ engine, traits, list, howToStart }: StartedAdapters): EngineAdapters {
  return {
    traits: { ...traits, loads: 'start', unloads: 'never', stallsWhileLoading: false },
    // What it was started with has its place.
    capacity: async (signal) => {
      signal.throwIfAborted();
      return { slots: null, rankMax: null };
    },
    load: async (adapter, signal) => {
      const { held } = await list([adapter], signal);
      if (held.includes(adapter.engineName)) return;
      throw adapterFailed(
        { engine, adapter },
        `is not there, and the server takes adapters only when it starts; start it with ${howToStart(adapter)}`,
        true,
      );
    },
    unload: async (_adapter, signal) => signal.throwIfAborted(),
    list,
  };
}
