/**
 * llama-server's adapters (engines.md §5.5): files on its command line, known by their place there. So before each line
 * of an adapter it is asked for the places, because a restart may have changed them; and every request says all it wants,
 * because one that says nothing gets whatever the server was started with.
 *
 * Its caches know no adapters (#26207): what was read under one is used under another, also by the base. With adapters
 * there, every prompt is read anew (`cache_prompt: false`); slots pinned to adapters would keep the cache, but there are
 * mostly fewer slots than adapters. One server for each set of adapters is quicker.
 */
import type { AdapterAddress, EngineAdapters } from '../core/adapter.ts';
import type { GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { isSameArtefact } from './adapter-list.ts';
import { asking, expect200, parseAnswer } from './chat-probe.ts';
import type { DriverParts } from './driver.ts';
import { createStartedAdapters } from './started-adapters.ts';

const PATH = '/lora-adapters';
const FILE = 'adapter.gguf';

interface Place {
  readonly id: number;
  readonly path: string;
}

export interface LlamaServerAdapters {
  readonly adapters: EngineAdapters;
  /** The fields of one request. */
  readonly address: (
    request: GenerateRequest,
    signal: AbortSignal,
  ) => Promise<Readonly<Record<string, unknown>>>;
}

export function createLlamaServerAdapters({
  name: engine,
  transport,
}: Pick<DriverParts<unknown>, 'name' | 'transport'>): LlamaServerAdapters {
  const ask = asking(engine, transport);
  /** Whether it had any when it was last asked; whoever has never asked for one has none of their words in the cache. */
  let hasAny = false;

  const places = async (signal: AbortSignal): Promise<readonly Place[]> => {
    const answer = await expect200(engine, await ask(PATH, signal));
    const entries = parseAnswer(engine, PATH, answer);
    const found = Array.isArray(entries) ? entries.flatMap(readPlace) : [];
    hasAny = found.length > 0;
    return found;
  };

  return {
    adapters: createStartedAdapters({
      engine,
      traits: { mixesInBatch: false, isCacheIsolated: false },
      list: async (known, signal) => {
        const there = await places(signal);
        const held = known.filter((adapter) => there.some((place) => isPlaceOf(place, adapter)));
        return {
          held: held.map(({ engineName }) => engineName),
          stale: [],
          foreign: there.length - held.length,
        };
      },
      howToStart: ({ path }) => `--lora ${path}/${FILE} --lora-init-without-apply --cache-ram 0`,
    }),
    address: async ({ adapter }, signal) => {
      if (adapter === undefined) return { lora: [], ...(hasAny ? { cache_prompt: false } : {}) };
      const place = (await places(signal)).find((each) => isPlaceOf(each, adapter));
      if (place === undefined)
        throw new ServiceError('unknown_model', `${engine} was not started with ${adapter.engineName}`, {
          details: { engine, adapter: adapter.engineName },
        });
      return { lora: [{ id: place.id, scale: 1 }], cache_prompt: false };
    },
  };
}

function readPlace(entry: unknown): readonly Place[] {
  const { id, path } = (entry ?? {}) as Readonly<Record<string, unknown>>;
  return Number.isSafeInteger(id) && typeof path === 'string' ? [{ id: id as number, path }] : [];
}

/** A file of its own name may have been given as well as the one in the artefact's folder. */
function isPlaceOf(place: Place, adapter: AdapterAddress): boolean {
  const folder = place.path.replaceAll('\\', '/').replace(/\/[^/]*$/, '');
  return isSameArtefact(folder, adapter.path) && place.path.endsWith('.gguf');
}
