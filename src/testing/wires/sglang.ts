/**
 * SGLang's bytes, as its source writes them (0.5, 2026-02-26; engines.md §4): flat errors, reasoning tokens at the top of
 * usage, cached tokens only where there are some.
 */
import { type ChatWire, COMMON_WIRE, flatFailure, WireFailure } from './chat-wire.ts';
import { metrics, page, tokenize, whileLoaded } from './pages.ts';

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
    'GET /server_info': page({ version: '0.5.9', model_path: state.model, tp_size: 1 }),
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
