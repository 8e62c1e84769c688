/**
 * llama-server's bytes, as its source and README write them (builds of 2026-05 to 2026-09; engines.md §5): null as first
 * content, a comment as a sign of life, timings on the last chunk, 503 to everything while it loads, and a router that
 * lists models which are not loaded.
 */
import { type Body, type ChatWire, COMMON_WIRE, type DoubleState, WireFailure } from './chat-wire.ts';
import { metrics, page, tokenize, whileLoaded } from './pages.ts';

const LOADING = new WireFailure(503, 'unavailable_error', 'Loading model');

/**
 * By its place on the command line (b11434, as run in 2026-11): a body without a list, or with an empty one, gets all that the
 * server was started with at once, for which the first stands here; a place that is not there is nobody's.
 */
function addressed(body: Body, { adapters }: DoubleState): string | null {
  const names = [...adapters.held.keys()];
  const list = (body['lora'] ?? []) as readonly { readonly id: number; readonly scale: number }[];
  if (list.length === 0) return names[0] ?? null;
  const wanted = list.find(({ scale }) => scale > 0);
  return wanted === undefined ? null : (names[wanted.id] ?? null);
}

export const LLAMA_SERVER_WIRE: ChatWire = {
  ...COMMON_WIRE,
  title: 'llama-server of 2026-09, as a router',
  card: ({ model, isLoaded }) => ({
    id: model,
    object: 'model',
    created: 1_790_000_000,
    owned_by: 'llamacpp',
    status: { value: isLoaded ? 'loaded' : 'unloaded' },
  }),
  addressed,
  // #26207: only a prompt that is read anew is read under the adapter that was asked for.
  mixesCaches: (body) => body['cache_prompt'] !== false,
  // The last message of an assistant is left open, whatever the body says.
  openMessage: () => true,
  // b11434, as run in 2026-11: without vLLM's word for it the message comes again in the first chunk.
  echoesOpenMessage: (body) => body['continue_final_message'] !== true,
  failure: ({ status, message, type }) => ({ error: { code: status, message, type } }),
  notLoaded: LOADING,
  firstContent: null,
  comment: ':\n\n',
  chunkFields: { system_fingerprint: 'b6600-1a2b3c4d' },
  routes: (state) => ({
    'GET /health': whileLoaded(state, null, '{"status":"ok"}'),
    'GET /props': page({ total_slots: 4, build_info: 'b6600-1a2b3c4d', model_path: 'ghoul.gguf' }),
    'GET /metrics': metrics(state, 'llamacpp:requests_processing', 'llamacpp:requests_deferred'),
    'GET /slots': page([]),
    'GET /lora-adapters': async ({ json }) =>
      json(
        200,
        [...state.adapters.held.values()].map(({ path }, id) => ({
          id,
          path: `${path}/adapter.gguf`,
          scale: 1,
          task_name: '',
          prompt_prefix: '',
        })),
      ),
    'POST /tokenize': tokenize('content', (count) => ({ tokens: Array.from({ length: count }, () => 1) })),
  }),
};

/** Without `--metrics`: the page is refused, and only the slots tell what runs. */
export const LLAMA_SERVER_WITHOUT_METRICS: ChatWire = {
  ...LLAMA_SERVER_WIRE,
  title: 'llama-server of 2026-09, one model, without --metrics',
  checksModel: false,
  card: ({ model }) => ({ id: model, object: 'model', created: 1_790_000_000, owned_by: 'llamacpp' }),
  routes: (state) => ({
    ...LLAMA_SERVER_WIRE.routes(state),
    'GET /health': whileLoaded(state, LOADING, '{"status":"ok"}'),
    'GET /metrics': async () => {
      throw new WireFailure(501, 'not_supported_error', 'This server does not support metrics endpoint.');
    },
    'GET /slots': async ({ json }) =>
      json(
        200,
        Array.from({ length: 4 }, (_, id) => ({ id, n_ctx: 4_096, is_processing: id < state.work.running })),
      ),
  }),
};
