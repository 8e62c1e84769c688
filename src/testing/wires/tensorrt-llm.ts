/**
 * trtllm-serve's bytes, as its source writes them (1.3.0rc27, 2026-09; engines.md §7): a field that it does not know is a
 * 400 with a text, inside a response format too; frames have a stray space before their end.
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

const FORMAT_FIELDS = ['type', 'schema', 'json_schema', 'regex', 'ebnf', 'format'];

/** The first use reads the files; from then on the number is what counts, whatever name comes with it. */
async function addressed(body: Body, { adapters }: DoubleState): Promise<string | null> {
  const asked = body['lora_request'] as
    | { readonly lora_name?: unknown; readonly lora_int_id?: unknown; readonly lora_path?: unknown }
    | undefined;
  if (asked === undefined) return null;
  const { lora_name: name, lora_int_id: id, lora_path: path } = asked;
  const there = [...adapters.held].find(([, each]) => each.id === id);
  if (there !== undefined) return there[0];
  const file = await adapters.read(String(path));
  if (file === null)
    throw new WireFailure(400, 'BadRequestError', `lora_path (${String(path)}) does not exist.`);
  if (file.rank > adapters.rankMax)
    throw new WireFailure(
      400,
      'BadRequestError',
      `Adapter size ${file.rank} exceeds max_lora_rank ${adapters.rankMax}`,
    );
  adapters.hold(String(name), String(path), Number(id));
  return String(name);
}

export const TENSORRT_LLM_WIRE: ChatWire = {
  ...COMMON_WIRE,
  title: 'trtllm-serve 1.3.0rc27',
  card: ({ model }) => ({ id: model, object: 'model', created: 1_790_000_000, owned_by: 'tensorrt_llm' }),
  fields: [
    ...['messages', 'model', 'max_tokens', 'max_completion_tokens', 'n', 'presence_penalty', 'seed', 'stop'],
    ...['frequency_penalty', 'logit_bias', 'logprobs', 'top_logprobs', 'response_format', 'stream', 'user'],
    ...['stream_options', 'temperature', 'top_p', 'tools', 'tool_choice', 'top_k', 'min_p', 'ignore_eos'],
    ...['repetition_penalty', 'add_generation_prompt', 'chat_template_kwargs', 'lora_request', 'cache_salt'],
  ],
  addressed,
  structureOf: (body) => {
    const format = (body['response_format'] ?? null) as Body | null;
    if (format === null) return null;
    const unknown = Object.keys(format).filter((key) => !FORMAT_FIELDS.includes(key));
    if (unknown.length > 0)
      throw new WireFailure(
        400,
        'plain',
        `[{'type': 'extra_forbidden', 'loc': ('body', 'response_format', '${unknown[0]}')}]`,
      );
    if (format['type'] !== 'json') return null;
    if (typeof format['schema'] === 'object' && format['schema'] !== null) return format['schema'] as Body;
    throw new WireFailure(400, 'BadRequestError', 'The schema field is required for response_format json.');
  },
  // Validation answers with a text, everything else flat.
  failure: (failure) =>
    failure.type === 'plain' || failure.type === 'invalid_request_error'
      ? { error: failure.message }
      : flatFailure(failure),
  notLoaded: new WireFailure(503, 'ServiceUnavailable', 'The executor is not ready.'),
  frame: (json) => `data: ${json} \n\n`,
  routes: (state) => ({
    'GET /health': whileLoaded(state, null),
    'GET /version': page({ version: '1.3.0rc27' }),
    'GET /health_generate': whileLoaded(state, TENSORRT_LLM_WIRE.notLoaded),
    'GET /prometheus/metrics': metrics(
      state,
      'trtllm_num_requests_running',
      'trtllm_num_requests_waiting',
      `{engine_type="pytorch",model_name="${state.model}"}`,
    ),
    'POST /_internal/tokenize': tokenize('prompt', (count) => ({ count, tokens: [] })),
  }),
};
