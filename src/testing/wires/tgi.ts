/**
 * Text Generation Inference's bytes, as its documentation and source write them (3.3.7; engines.md §8): errors with a
 * type beside them, no space after `data:`, a finish reason of its own, four stop strings.
 */
import { type Body, type ChatWire, COMMON_WIRE, WireFailure } from './chat-wire.ts';
import { metrics, page, tokenize, whileLoaded } from './pages.ts';

const UNHEALTHY = new WireFailure(503, 'healthcheck', 'unhealthy');

export const TGI_WIRE: ChatWire = {
  ...COMMON_WIRE,
  title: 'TGI 3.3.7',
  card: ({ model }) => ({ id: model, object: 'model', created: 0, owned_by: model }),
  // It serves its model whatever it is called; another name would be an adapter.
  checksModel: true,
  addressed: ({ model }, { adapters }) => (adapters.held.has(String(model)) ? String(model) : null),
  structureOf: (body) => {
    if (Array.isArray(body['stop']) && body['stop'].length > 4)
      throw new WireFailure(422, 'validation', '`stop_sequences` may not be more than 4');
    const format = body['response_format'] as Body | undefined;
    if (format === undefined) return null;
    if (format['type'] === 'json' && typeof format['value'] === 'object') return format['value'] as Body;
    throw new WireFailure(422, 'validation', 'response_format: missing field `value`');
  },
  failure: ({ message, type }) => ({ error: message, error_type: type }),
  notLoaded: new WireFailure(424, 'generation', 'Request failed during generation: Server error'),
  stopReason: 'stop_sequence',
  frame: (json) => `data:${json}\n\n`,
  chunkFields: { system_fingerprint: '3.3.7-native' },
  usage: ({ prompt, completion }) => ({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  }),
  routes: (state) => ({
    'GET /health': whileLoaded(state, UNHEALTHY),
    'GET /info': page({ model_id: state.model, version: '3.3.7', max_stop_sequences: 4 }),
    'GET /metrics': metrics(state, 'tgi_batch_current_size', 'tgi_queue_size'),
    'POST /tokenize': tokenize('inputs', (count) =>
      Array.from({ length: count }, (_, id) => ({ id, text: 'x', start: id, stop: id + 1 })),
    ),
  }),
};
