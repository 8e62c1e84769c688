/**
 * vLLM's bytes, as its source writes them (0.29.0, 2026-08-17; engines.md §3): errors in a nested shape with the status
 * as code, a key that is refused with a plain text, running usage, an open last message. What it refuses of a body is as
 * a real 0.32.0 did on 2026-11-21.
 */
import { DOUBLE_KEY } from './chat-double.ts';
import { type Body, type ChatWire, COMMON_WIRE, type DoubleState, WireFailure } from './chat-wire.ts';
import { page, tokenize, whileLoaded, writeMetrics } from './pages.ts';
import type { WireHandler } from './wire-server.ts';

const CONTEXT_TOKENS = 8_192;
const STOPS_MAX = 4;

function refuses(body: Body): WireFailure | null {
  const stops = [(body['stop'] ?? []) as string | readonly string[]].flat().length;
  if (stops > STOPS_MAX)
    return new WireFailure(
      400,
      'Bad Request',
      `1 validation error:\n  {'type': 'too_long', 'loc': 'body.stop', 'msg': 'List should have at most ${STOPS_MAX} items after validation, not ${stops}'}`,
      { param: 'body.stop' },
    );
  const wanted = Number(body['max_tokens'] ?? 1);
  if (wanted > CONTEXT_TOKENS)
    return new WireFailure(
      400,
      'BadRequestError',
      `max_tokens=${wanted} cannot be greater than max_model_len=${CONTEXT_TOKENS}. Please request fewer output tokens. (parameter=max_tokens, value=${wanted})`,
      { param: 'max_tokens' },
    );
  return null;
}

/** A series for each set of adapters that ran, the time as its value: the latest one counts. */
function loraInfo({ adapters }: DoubleState): string {
  const name = 'vllm:lora_requests_info';
  const series = (running: string, value: number) =>
    `${name}{max_lora="${adapters.slots}",running_lora_adapters="${running}",waiting_lora_adapters="${running}"} ${value}e+09\n`;
  const ran = adapters.spoken.map((each, index) => series(each, 1.795 + index / 1_000));
  return `# HELP ${name} Running stats on lora requests.\n# TYPE ${name} gauge\n${ran.join('')}${series('', 1.796)}`;
}

/** As its router does: without the environment variable the routes are not there. */
function adapterRoute(state: DoubleState, work: (body: Body) => Promise<string>): WireHandler {
  return async ({ body, response, json }) => {
    if (!state.adapters.takesCalls) return json(404, { detail: 'Not Found' });
    const said = await work(body);
    response.writeHead(200, {});
    response.end(said);
  };
}

function loadAdapter(state: DoubleState): WireHandler {
  return adapterRoute(state, async ({ lora_name: name, lora_path: path }) => {
    if (typeof name !== 'string' || typeof path !== 'string' || name === '' || path === '')
      throw new WireFailure(400, 'InvalidUserInput', "Both 'lora_name' and 'lora_path' must be provided.");
    if (state.adapters.held.has(name))
      throw new WireFailure(
        400,
        'InvalidUserInput',
        `The lora adapter '${name}' has already been loaded. If you want to load the adapter in place, set 'load_inplace' to True.`,
      );
    const file = await state.adapters.read(path);
    if (file === null)
      throw new WireFailure(404, 'NotFoundError', `Loading lora ${name} failed: No adapter found for <path>`);
    const { rankMax } = state.adapters;
    if (file.rank > rankMax)
      throw new WireFailure(
        500,
        'InternalServerError',
        `Call to add_lora method failed: Worker failed with error 'LoRA rank ${file.rank} is greater than max_lora_rank ${rankMax}.', please check the stack trace above for the root cause`,
      );
    state.adapters.hold(name, path);
    return `Success: LoRA adapter '${name}' added successfully.`;
  });
}

function unloadAdapter(state: DoubleState): WireHandler {
  return adapterRoute(state, async ({ lora_name: name }) => {
    if (typeof name !== 'string' || !state.adapters.held.has(name))
      throw new WireFailure(404, 'NotFoundError', `The lora adapter '${String(name)}' cannot be found.`);
    state.adapters.drop(name);
    return `Success: LoRA adapter '${name}' removed successfully.`;
  });
}

export const VLLM_WIRE: ChatWire = {
  ...COMMON_WIRE,
  title: 'vLLM 0.29.0 of 2026-08-17',
  unauthorized: ({ authorization }) =>
    authorization === undefined || authorization === `Bearer ${DOUBLE_KEY}`
      ? null
      : new WireFailure(401, 'plain', 'Unauthorized'),
  card: ({ model }) => ({
    id: model,
    object: 'model',
    created: 1_790_000_000,
    owned_by: 'vllm',
    root: model,
    parent: null,
    max_model_len: CONTEXT_TOKENS,
    permission: [],
  }),
  adapterCards: (state) =>
    [...state.adapters.held].map(([name, { path }]) => ({
      ...VLLM_WIRE.card(state),
      id: name,
      root: path,
      parent: state.model,
      max_model_len: null,
    })),
  addressed: ({ model }, { adapters }) => (adapters.held.has(String(model)) ? String(model) : null),
  openMessage: (body) => body['continue_final_message'] === true && body['add_generation_prompt'] === false,
  refuses,
  failure: (failure) =>
    failure.type === 'plain' ? { error: failure.message } : COMMON_WIRE.failure(failure),
  routes: (state) => ({
    'GET /health': whileLoaded(state, null),
    'GET /version': page({ version: '0.29.0' }),
    'POST /v1/load_lora_adapter': loadAdapter(state),
    'POST /v1/unload_lora_adapter': unloadAdapter(state),
    'GET /metrics': async (exchange) =>
      writeMetrics(
        exchange,
        state,
        'vllm:num_requests_running',
        'vllm:num_requests_waiting',
        `{engine="0",model_name="${state.model}"}`,
        loraInfo(state),
      ),
    'POST /tokenize': tokenize('prompt', (count) => ({
      count,
      max_model_len: CONTEXT_TOKENS,
      tokens: [],
      token_strs: null,
    })),
    'POST /v1/completions': async ({ body, json, closed }) => {
      if (body['model'] !== state.model && !state.adapters.held.has(String(body['model'])))
        throw new WireFailure(
          404,
          'NotFoundError',
          `The model \`${String(body['model'])}\` does not exist.`,
          {
            param: 'model',
          },
        );
      if (!state.isLoaded) throw VLLM_WIRE.notLoaded;
      let text = '';
      for await (const piece of state.work.run(['wörd0 '], closed)) text += piece;
      json(200, {
        id: 'cmpl-1',
        object: 'text_completion',
        created: 1_790_000_000,
        model: state.model,
        choices: [{ index: 0, text, logprobs: null, finish_reason: 'length', stop_reason: null }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      });
    },
  }),
};
