/**
 * SGLang's bytes, as its source writes them (0.5, 2026-02-26; engines.md §4): flat errors, reasoning tokens at the top of
 * usage, cached tokens only where there are some.
 */
import {
  type Body,
  type ChatWire,
  COMMON_WIRE,
  type DoubleState,
  flatFailure,
  WireFailure,
} from './chat-wire.ts';
import { metrics, page, tokenize, whileLoaded } from './pages.ts';
import type { WireHandler } from './wire-server.ts';

/** Null when it went well; else what it says. */
async function load(state: DoubleState, name: string, path: string): Promise<string | null> {
  const { adapters } = state;
  if (!adapters.takesCalls) return 'LoRA is not enabled. Please set `--enable-lora` to enable LoRA.';
  if (adapters.held.has(name)) return `Failed to load LoRA adapter ${name} because it is already loaded`;
  const file = await adapters.read(path);
  if (file === null) return `[Errno 2] No such file or directory: '${path}/adapter_config.json'`;
  if (file.rank > adapters.rankMax)
    return `LoRA adapter ${name} with rank ${file.rank} is incompatible with the current LoRA memory pool configuration. Please ensure that the LoRA adapter's rank is within the configured \`--max-lora-rank\` and that the target modules are included in \`--lora-target-modules\`.`;
  adapters.hold(name, path);
  adapters.remembered.set(name, path);
  return null;
}

function adapterCall(state: DoubleState, work: (body: Body) => Promise<string | null>): WireHandler {
  return async ({ body, json }) => {
    const said = await work(body);
    const loaded = Object.fromEntries([...state.adapters.held].map(([name, { path }]) => [name, path]));
    json(said === null ? 200 : 400, { success: said === null, error_message: said, loaded_adapters: loaded });
  };
}

/** The suffix wins over the field. */
async function addressed(body: Body, state: DoubleState): Promise<string | null> {
  const model = String(body['model']);
  const colon = model.indexOf(':');
  const named = colon === -1 ? body['lora_path'] : model.slice(colon + 1);
  if (typeof named !== 'string') return null;
  if (state.adapters.held.has(named)) return named;
  const path = state.adapters.remembered.get(named);
  const failed =
    path === undefined
      ? `Got LoRA adapter that has never been loaded: ${named}\nAll loaded adapters: dict_keys([]).`
      : await load(state, named, path);
  if (failed !== null) throw new WireFailure(400, 'BadRequest', failed);
  return named;
}

export const SGLANG_WIRE: ChatWire = {
  ...COMMON_WIRE,
  title: 'SGLang of 2026-02-26',
  card: ({ model }) => ({
    id: model,
    object: 'model',
    created: 1_772_000_000,
    owned_by: 'sglang',
    root: model,
    parent: null,
    max_model_len: 8_192,
  }),
  adapterCards: (state) =>
    [...state.adapters.held].map(([name, { path }]) => ({
      ...SGLANG_WIRE.card(state),
      id: name,
      root: path,
      parent: state.model,
      max_model_len: null,
    })),
  addressed,
  openMessage: (body) => body['continue_final_message'] === true,
  failure: flatFailure,
  notLoaded: new WireFailure(503, 'ServiceUnavailable', 'The server is starting.'),
  usage: ({ prompt, cached, completion }) => ({
    prompt_tokens: prompt,
    total_tokens: prompt + completion,
    completion_tokens: completion,
    prompt_tokens_details: cached === 0 ? null : { cached_tokens: cached },
    reasoning_tokens: 0,
  }),
  routes: (state) => ({
    'GET /server_info': async ({ json }) =>
      json(200, {
        version: '0.5.9',
        model_path: state.model,
        tp_size: 1,
        max_loras_per_batch: state.adapters.slots,
        max_lora_rank: state.adapters.rankMax,
      }),
    'POST /load_lora_adapter': adapterCall(state, ({ lora_name, lora_path }) =>
      load(state, String(lora_name), String(lora_path)),
    ),
    'POST /unload_lora_adapter': adapterCall(state, async ({ lora_name: name }) => {
      if (!state.adapters.held.has(String(name)))
        return `LoRA with name ${String(name)} does not exist. Loaded LoRAs: dict_keys([])`;
      state.adapters.drop(String(name));
      return null;
    }),
    'GET /model_info': page({ model_path: state.model, is_generation: true }),
    'GET /health_generate': whileLoaded(state, SGLANG_WIRE.notLoaded),
    'GET /metrics': metrics(
      state,
      'sglang:num_running_reqs',
      'sglang:num_queue_reqs',
      `{model_name="${state.model}",tp_rank="0"}`,
    ),
    'POST /tokenize': tokenize('prompt', (count) => ({ tokens: [], count, max_model_len: 8_192 })),
  }),
};
