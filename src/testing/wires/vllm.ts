/**
 * vLLM's bytes, as its source writes them (0.29.0, 2026-08-17; engines.md §3): errors in a nested shape with the status
 * as code, a key that is refused with a plain text, running usage, an open last message. What it refuses of a body is as
 * a real 0.32.0 did on 2026-11-21.
 */
import { DOUBLE_KEY } from './chat-double.ts';
import { type Body, type ChatWire, COMMON_WIRE, WireFailure } from './chat-wire.ts';
import { metrics, page, tokenize, whileLoaded } from './pages.ts';

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
  openMessage: (body) => body['continue_final_message'] === true && body['add_generation_prompt'] === false,
  refuses,
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
      max_model_len: CONTEXT_TOKENS,
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
