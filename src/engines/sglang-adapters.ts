/**
 * SGLang's adapters (engines.md §4.5, its source of 2026-02 and later): loaded and unloaded by call, asked for behind the
 * base's name. Its cache is keyed by a number that each load draws, so a name is never answered from another's. One that was
 * unloaded comes back by itself when it is asked for: it remembers the path.
 */
import type { AdapterAddress, AdapterTraits, EngineAdapters } from '../core/adapter.ts';
import { adapterFailed, noRoom, refusedAdapter } from './adapter-errors.ts';
import { heldOf, isSameArtefact } from './adapter-list.ts';
import { asking, expect200, member, parseAnswer } from './chat-probe.ts';
import type { DriverParts } from './driver.ts';
import { jsonObject } from './reply-stream.ts';
import { listAdapters } from './vllm-adapters.ts';
import { errorText } from './wire-errors.ts';

const TRAITS: AdapterTraits = {
  loads: 'call',
  unloads: 'call',
  mixesInBatch: true,
  isCacheIsolated: true,
  stallsWhileLoading: true,
};

const MESSAGE_CHARACTERS_MAX = 400;
const HOW = 'start SGLang with --enable-lora, --max-lora-rank and --lora-target-modules';
/** "… is incompatible with the current LoRA memory pool configuration", "… doesn't support DoRA adapters", "dp_size must be 1". */
const FOR_GOOD =
  /incompatible|not enabled|enable-lora|support|dp_size|target.modules|shape|size mismatch|deserializ/i;
const ABSENT_FILES = /no such file|does not exist|not found|repo id|is not a local folder/i;
const FULL = /max_loaded_loras|pinned lora|out of memory/i;

/** `<base>:<adapter>` is split at the first colon, so a base with one is told apart by a field. */
export function addressAtSglang(
  { engineName }: AdapterAddress,
  model: string,
): Readonly<Record<string, string>> {
  return model.includes(':') ? { lora_path: engineName } : { model: `${model}:${engineName}` };
}

export function createSglangAdapters({
  name: engine,
  transport,
}: Pick<DriverParts<unknown>, 'name' | 'transport'>): EngineAdapters {
  const ask = asking(engine, transport);

  /** Null when it was done; else what it says, and the status. */
  const call = async (path: string, body: unknown, signal: AbortSignal) => {
    const { status, text } = await ask(path, signal, body);
    const answer = jsonObject(text) ?? {};
    if (status === 200 && answer['success'] !== false) return null;
    const { error_message: message } = answer;
    const said =
      typeof message === 'string' && message !== '' ? message : errorText(jsonObject(text) ?? text);
    return { status, said: said.replace(/\s+/g, ' ').trim().slice(0, MESSAGE_CHARACTERS_MAX) };
  };

  return {
    traits: TRAITS,
    capacity: async (signal) => {
      const path = '/server_info';
      const info = parseAnswer(engine, path, await expect200(engine, await ask(path, signal)));
      return {
        slots: countOf(member('max_loras_per_batch')(info)),
        rankMax: countOf(member('max_lora_rank')(info)),
      };
    },
    load: async (adapter, signal) => {
      const { engineName, path } = adapter;
      const trouble = { engine, adapter };
      const body = { lora_name: engineName, lora_path: path, pinned: false };
      const refused = await call('/load_lora_adapter', body, signal);
      if (refused === null) return;
      const { status, said } = refused;
      if (/already (?:loaded|exists)/i.test(said)) {
        const listed = await listAdapters(engine, ask, signal);
        const there = listed.find((each) => each.name === engineName);
        if (there === undefined || isSameArtefact(there.path, path)) return;
        throw adapterFailed(
          trouble,
          `is loaded there from ${there.path}, ours is ${path}; unload it there, or restart the engine`,
          true,
        );
      }
      if (status === 404) throw adapterFailed(trouble, `cannot be loaded by call; ${HOW}`, true);
      if (FULL.test(said)) throw noRoom(trouble, said);
      if (FOR_GOOD.test(said)) throw adapterFailed(trouble, `cannot be loaded: ${said}; ${HOW}`, true);
      if (ABSENT_FILES.test(said))
        throw adapterFailed(
          trouble,
          `is not at ${path} as the engine sees it (${said}); mount the adapters' folder there, or tell where it is mounted with artefactRoot`,
          false,
        );
      throw refusedAdapter(trouble, status, said);
    },
    unload: async (adapter, signal) => {
      const refused = await call('/unload_lora_adapter', { lora_name: adapter.engineName }, signal);
      if (refused === null || /does not exist|not loaded|not found/i.test(refused.said)) return;
      throw refusedAdapter({ engine, adapter }, refused.status, refused.said);
    },
    list: async (known, signal) => heldOf(known, await listAdapters(engine, ask, signal)),
  };
}

function countOf(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : null;
}
