/**
 * llama-server's adapters (engines.md §5.5; seen on b11434, 2026-11-21): files on its command line, known by their place
 * there. So before each line of an adapter it is asked for the places, because a restart may have changed them; and every
 * request says all it wants, because one that says nothing, or an empty list, is spoken by all of them at once, also
 * with `--lora-init-without-apply`. An adapter that a list leaves out, or that is not there, has no part in it.
 *
 * Its caches know no adapters (#26207): what was read under one may be used under another, also by the base. With adapters
 * there, every prompt is read anew, unless the configuration vouches for the server (`adapterCache`).
 */
import { z } from 'zod';
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

/** The base alone. Servers without adapters take it, too. */
const NO_ADAPTER = [{ id: 0, scale: 0 }];

export const adapterCache = z
  .enum(['off', 'slot'])
  .default('off')
  .describe(
    'With adapters at the server: off reads every prompt anew, because its caches know no adapters. slot lets it use what a slot read before, which is right only with --cache-ram 0 and when nobody else asks it: seen to be so in b11434. Nothing to set without adapters.',
  );

export function createLlamaServerAdapters({
  name: engine,
  transport,
  options,
}: DriverParts<{ readonly adapterCache: z.infer<typeof adapterCache> }>): LlamaServerAdapters {
  const anew = options.adapterCache === 'off' ? { cache_prompt: false } : {};
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
      howToStart: ({ path }) => `--lora ${path}/${FILE} --cache-ram 0`,
    }),
    address: async ({ adapter }, signal) => {
      if (adapter === undefined) return { lora: NO_ADAPTER, ...(hasAny ? anew : {}) };
      const place = (await places(signal)).find((each) => isPlaceOf(each, adapter));
      if (place === undefined)
        throw new ServiceError('unknown_model', `${engine} was not started with ${adapter.engineName}`, {
          details: { engine, adapter: adapter.engineName },
        });
      return { lora: [{ id: place.id, scale: 1 }], ...anew };
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
