/**
 * vLLM's adapters (engines.md §3.6; every answer below seen on a real 0.32.0, 2026-11-21): loaded and unloaded by call, with
 * a name for each version, because a name that is used again was answered from the old one's cache by versions before. A
 * load stops the lines that run for as long as it reads; an unload forgets the name, and the memory goes when it is needed.
 *
 * On the processor, and only there, a line of the base in one batch with an adapter's is spoken by an adapter (PR #48421,
 * open): that vLLM is for tests.
 */
import type { AdapterAddress, AdapterTraits, EngineAdapters } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import { adapterFailed, noRoom, refusedAdapter } from './adapter-errors.ts';
import { heldOf, isSameArtefact, type ListedAdapter } from './adapter-list.ts';
import { type Answer, type Ask, asking, expect200, member, parseAnswer } from './chat-probe.ts';
import type { DriverParts } from './driver.ts';
import { prometheusSamples } from './prometheus-text.ts';
import { errorText } from './wire-errors.ts';

const TRAITS: AdapterTraits = {
  loads: 'call',
  unloads: 'call',
  mixesInBatch: true,
  isCacheIsolated: true,
  stallsWhileLoading: true,
};

const LOAD_PATH = '/v1/load_lora_adapter';
const UNLOAD_PATH = '/v1/unload_lora_adapter';
const ROUTES_OFF =
  'cannot be loaded or unloaded, because the server has no such route; start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1';

/**
 * What no second try changes: "LoRA rank 64 is greater than max_lora_rank 32", "expected target modules in …", "Error while
 * deserializing header", "… does not support LoRA yet", "LoRA is not enabled".
 */
const FOR_GOOD =
  /max_lora_rank|target modules|target_modules|deserializ|unsupported|not support|not enabled|shape|size mismatch|dora|modules_to_save/i;

export function createVllmAdapters({
  name: engine,
  transport,
}: Pick<DriverParts<unknown>, 'name' | 'transport'>): EngineAdapters {
  const ask = asking(engine, transport);
  return {
    traits: TRAITS,
    capacity: async (signal) => {
      const answer = await ask('/metrics', signal);
      return { slots: answer.status === 200 ? slotsOf(answer.text) : null, rankMax: null };
    },
    load: async (adapter, signal) => {
      const { engineName, path } = adapter;
      const answer = await ask(LOAD_PATH, signal, { lora_name: engineName, lora_path: path });
      if (answer.status !== 200) await loadRefused(engine, ask, adapter, answer, signal);
    },
    unload: async (adapter, signal) => {
      const answer = await ask(UNLOAD_PATH, signal, { lora_name: adapter.engineName });
      if (answer.status === 200) return;
      const { text, isRoute } = readRefusal(answer);
      if (isRoute) throw adapterFailed({ engine, adapter }, ROUTES_OFF, true);
      if (answer.status === 404) return;
      // Versions differ in how they say that it was never there.
      const listed = answer.status === 400 ? await listAdapters(engine, ask, signal) : null;
      if (listed !== null && !listed.some((each) => each.name === adapter.engineName)) return;
      throw refusedAdapter({ engine, adapter }, answer.status, text);
    },
    list: async (known, signal) => heldOf(known, await listAdapters(engine, ask, signal)),
  };
}

async function loadRefused(
  engine: string,
  ask: Ask,
  adapter: AdapterAddress,
  answer: Answer,
  signal: AbortSignal,
): Promise<void> {
  const trouble = { engine, adapter };
  const { text, isRoute } = readRefusal(answer);
  if (isRoute) throw adapterFailed(trouble, ROUTES_OFF, true);
  if (answer.status === 400) {
    // Another gateway was quicker: what comes of it is seen at the next try.
    if (/being loaded/i.test(text)) throw adapterFailed(trouble, `is not there yet: ${text}`, false);
    // "has already been loaded", whatever is behind the name.
    const there = (await listAdapters(engine, ask, signal)).find((each) => each.name === adapter.engineName);
    if (there !== undefined && isSameArtefact(there.path, adapter.path)) return;
    if (there !== undefined)
      throw adapterFailed(
        trouble,
        `is loaded there from ${there.path}, ours is ${adapter.path}; unload it there, or restart the engine`,
        true,
      );
    throw adapterFailed(trouble, `was refused: ${text}`, true);
  }
  if (answer.status === 404)
    throw adapterFailed(
      trouble,
      `is not at ${adapter.path} as the engine sees it (${text}); mount the adapters' folder there, or tell where it is mounted with artefactRoot`,
      false,
    );
  if (answer.status === 507) throw noRoom(trouble, text);
  // `greenroom engine` says with 409 that it does not fit its base.
  if (answer.status === 409 || FOR_GOOD.test(text))
    throw adapterFailed(trouble, `cannot be loaded: ${text}`, true);
  throw refusedAdapter(trouble, answer.status, text);
}

/** Cards with a parent; also SGLang's. */
export async function listAdapters(
  engine: string,
  ask: Ask,
  signal: AbortSignal,
): Promise<readonly ListedAdapter[]> {
  const path = '/v1/models';
  const cards = member('data')(parseAnswer(engine, path, await expect200(engine, await ask(path, signal))));
  // A page of somebody in between is no list of nothing.
  if (!Array.isArray(cards))
    throw new ServiceError(
      'engine_error',
      `${engine}: ${path} gave no list of models; expected {"data": […]}`,
      {
        details: { engine },
      },
    );
  return cards.flatMap((card: unknown) => {
    const { id, root, parent } = (card ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof id !== 'string' || typeof parent !== 'string' || parent === '') return [];
    return [{ name: id, path: typeof root === 'string' && root !== '' ? root : null }];
  });
}

/**
 * The slots of a batch: more may be loaded, and then wait for each other. There is a series for every set of adapters that
 * ever ran, with the time as its value.
 */
function slotsOf(page: string): number | null {
  let latest: { readonly value: number; readonly labels: Readonly<Record<string, string>> } | null = null;
  for (const sample of prometheusSamples(page, 'vllm:lora_requests_info'))
    if (latest === null || sample.value > latest.value) latest = sample;
  const label = latest?.labels['max_lora'];
  return label !== undefined && /^[1-9]\d{0,8}$/.test(label) ? Number(label) : null;
}

const TEXT_CHARACTERS_MAX = 400;

/** How servers and proxies say that there is no such route; an adapter that is not there is told with a sentence. */
const NO_ROUTE = /^(?:|\{"detail":"Not Found"\}|not found\.?|404 page not found|(?:route|cannot) .{0,80})$/i;

function readRefusal({ status, text }: Answer): { readonly text: string; readonly isRoute: boolean } {
  let said = text;
  try {
    said = errorText(JSON.parse(text));
  } catch {
    // A proxy's page, or nothing.
  }
  const line = said.replace(/\s+/g, ' ').trim().slice(0, TEXT_CHARACTERS_MAX);
  return { text: line, isRoute: status === 405 || (status === 404 && NO_ROUTE.test(line)) };
}
