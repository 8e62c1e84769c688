/**
 * vLLM's bytes, as its source writes them (0.29.0, 2026-08-17; engines.md §3): errors in a nested shape with the status
 * as code, a key that is refused with a plain text, running usage, an open last message.
 */
import { DOUBLE_KEY } from './chat-double.ts';
import { type ChatWire, COMMON_WIRE, WireFailure } from './chat-wire.ts';
import { metrics, page, tokenize, whileLoaded } from './pages.ts';

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
    max_model_len: 8_192,
    permission: [],
  }),
  openMessage: (body) => body['continue_final_message'] === true && body['add_generation_prompt'] === false,
  failure: (failure) =>
    failure.type === 'plain' ? { error: failure.message } : COMMON_WIRE.failure(failure),
  routes: (state) => ({
    'GET /health': whileLoaded(state, null),
    'GET /version': page({ version: '0.29.0' }),
    'GET /metrics': metrics(
      state,
      'vllm:num_requests_running',
      'vllm:num_requests_waiting',
      `{engine="0",model_name="${state.model}"}`,
    ),
    'POST /tokenize': tokenize('prompt', (count) => ({
      count,
      max_model_len: 8_192,
      tokens: [],
      token_strs: null,
    })),
    'POST /v1/completions': async ({ body, json, closed }) => {
      if (body['model'] !== state.model)
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
