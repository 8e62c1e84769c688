/**
 * OpenAI's bytes, and Azure's and DeepSeek's, as their API descriptions and SDKs have them (2026-08; DeepSeek's pages of
 * 2026-11; engines.md §10): keys, strict fields, usage null on every other chunk, usage within the finish chunk, a first
 * chunk without choices, comments while it queues.
 */
import { DOUBLE_KEY } from './chat-double.ts';
import {
  bearerOnly,
  type ChatWire,
  COMMON_WIRE,
  type WireFailure as Failure,
  WireFailure,
} from './chat-wire.ts';

const NO_KEY = new WireFailure(401, 'invalid_request_error', 'Incorrect API key provided.', {
  code: 'invalid_api_key',
});

/** The type of a refusal in OpenAI's words; codes are texts there, not numbers. */
function openaiFailure({ type, message, more }: Failure) {
  const code = type === 'NotFoundError' ? 'model_not_found' : null;
  return { error: { message, type: 'invalid_request_error', param: null, code, ...more } };
}

const FIELDS = [
  ...['messages', 'model', 'max_completion_tokens', 'frequency_penalty', 'logit_bias', 'logprobs', 'n'],
  ...['presence_penalty', 'prompt_cache_key', 'reasoning_effort', 'response_format', 'seed', 'service_tier'],
  ...['stop', 'store', 'stream', 'stream_options', 'temperature', 'tool_choice', 'tools', 'top_logprobs'],
  ...['top_p', 'user', 'verbosity', 'max_tokens', 'safety_identifier'],
];

export const OPENAI_WIRE: ChatWire = {
  ...COMMON_WIRE,
  title: 'OpenAI of 2026-08',
  card: ({ model }) => ({ id: model, object: 'model', created: 1_780_000_000, owned_by: 'openai' }),
  unauthorized: bearerOnly(DOUBLE_KEY, NO_KEY),
  fields: FIELDS,
  maxTokensField: 'max_completion_tokens',
  structureOf: (body) => {
    if (Array.isArray(body['stop']) && body['stop'].length > 4)
      throw new WireFailure(400, 'BadRequest', "Invalid 'stop': array too long. Expected maximum length 4", {
        code: 'array_above_max_length',
      });
    return COMMON_WIRE.structureOf(body);
  },
  failure: openaiFailure,
  notLoaded: new WireFailure(503, 'ServiceUnavailable', 'The engine is currently overloaded'),
  saysNullUsage: true,
  chunkFields: { service_tier: 'default', system_fingerprint: 'fp_1' },
  usage: ({ prompt, cached, completion }) => ({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached, cache_write_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }),
  routes: () => ({}),
};

export const AZURE_WIRE: ChatWire = {
  ...OPENAI_WIRE,
  title: 'Azure OpenAI, v1 API, 2026-08',
  apiPath: '/openai/v1',
  card: () => ({ id: 'gpt-5-mini-2025-08-07', object: 'model', created: 1_780_000_000, status: 'succeeded' }),
  unauthorized: (headers) =>
    headers['api-key'] === DOUBLE_KEY || headers['authorization'] === `Bearer ${DOUBLE_KEY}`
      ? null
      : new WireFailure(401, 'plain', 'Access denied due to invalid subscription key', { code: '401' }),
  head: [
    {
      choices: [],
      prompt_filter_results: [
        { prompt_index: 0, content_filter_results: { hate: { filtered: false, severity: 'safe' } } },
      ],
    },
  ],
};

/** DeepSeek deployed at Azure: its own model, the older name of the limit, schemas all the same. */
export const FOUNDRY_WIRE: ChatWire = {
  ...AZURE_WIRE,
  title: 'DeepSeek deployed at Azure Foundry, 2026-08',
  maxTokensField: 'max_tokens',
  fields: FIELDS.filter((field) => field !== 'max_completion_tokens' && field !== 'reasoning_effort'),
};

export const DEEPSEEK_WIRE: ChatWire = {
  ...OPENAI_WIRE,
  title: 'DeepSeek of 2026-11',
  apiPath: '',
  maxTokensField: 'max_tokens',
  fields: [
    ...['messages', 'model', 'thinking', 'frequency_penalty', 'max_tokens', 'presence_penalty', 'stop'],
    ...['response_format', 'stream', 'stream_options', 'temperature', 'top_p', 'tools', 'tool_choice'],
    ...['logprobs', 'top_logprobs'],
  ],
  card: ({ model }) => ({ id: model, object: 'model', owned_by: 'deepseek' }),
  openMessage: (_body, last) => (last as { prefix?: unknown }).prefix === true,
  structureOf: (body) => {
    if ((body['thinking'] as { type?: unknown } | undefined)?.type !== 'disabled')
      throw new WireFailure(400, 'invalid_request_error', 'this double does not think');
    const structure = COMMON_WIRE.structureOf(body);
    if (structure === null || structure === 'json') return structure;
    throw new WireFailure(400, 'invalid_request_error', 'This response_format type is unavailable now');
  },
  usagePlace: 'finish',
  comment: ': keep-alive\n\n: keep-alive\n\n',
  usage: ({ prompt, cached, completion }) => ({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_cache_hit_tokens: cached,
    prompt_cache_miss_tokens: prompt - cached,
    prompt_tokens_details: { cached_tokens: cached },
  }),
};

/** A server of nobody in particular, which takes only what all of them take. */
export const PLAIN_WIRE: ChatWire = {
  ...COMMON_WIRE,
  title: 'a plain server',
  card: ({ model }) => ({ id: model, object: 'model' }),
  fields: [
    ...['messages', 'model', 'stream', 'max_tokens', 'temperature', 'top_p', 'stop', 'seed', 'n'],
    ...['stream_options', 'response_format'],
  ],
  unauthorized: bearerOnly(DOUBLE_KEY, NO_KEY),
  routes: () => ({}),
};
