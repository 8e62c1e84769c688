import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AdapterAddress } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Transport, WireResponse } from '../core/transport.ts';
import { createSglangAdapters } from './sglang-adapters.ts';
import { createTensorrtLlmAdapters } from './tensorrt-llm-adapters.ts';
import { createVllmAdapters } from './vllm-adapters.ts';

const ADAPTER: AdapterAddress = {
  engineName: 'lich@7-3fa9c1d2',
  number: 7,
  path: '/adapters/3fa9c1d2',
  localPath: '/data/3fa9c1d2',
  rank: 8,
};
const never = new AbortController().signal;

const NO_MODELS = '{"object":"list","data":[]}';

/** Refuses every change, and lists nothing, or says `models`. */
function refusing(status: number, body: string, models = NO_MODELS): () => Transport {
  return () => ({
    exchange: async ({ path }): Promise<WireResponse> => ({
      status: path === '/v1/models' ? 200 : status,
      headers: {},
      body: (async function* () {
        yield Buffer.from(path === '/v1/models' ? models : body);
      })(),
    }),
    [Symbol.asyncDispose]: async () => {},
  });
}

const MAKERS = {
  vllm: createVllmAdapters,
  sglang: createSglangAdapters,
  'tensorrt-llm': createTensorrtLlmAdapters,
};

const nested = (message: string) => JSON.stringify({ error: { message, type: 'X', code: 400 } });
const flat = (message: string) => JSON.stringify({ object: 'error', message, code: 400 });
const told = (message: string) => JSON.stringify({ success: false, error_message: message });

/** engine, status, body → code and, of a failure, whether it is for good */
const REFUSALS: readonly (readonly [keyof typeof MAKERS, number, string, string, boolean?])[] = [
  ['vllm', 404, '{"detail":"Not Found"}', 'adapter_failed', true],
  ['vllm', 404, 'Route POST:/v1/load_lora_adapter not found', 'adapter_failed', true],
  ['vllm', 405, '', 'adapter_failed', true],
  ['vllm', 404, nested('Loading lora lich failed: No adapter found for <path>'), 'adapter_failed', false],
  [
    'vllm',
    400,
    nested("The lora adapter 'lich' is being loaded by another request."),
    'adapter_failed',
    false,
  ],
  ['vllm', 400, nested('its rank is 512; at most 64 is taken'), 'adapter_failed', true],
  ['vllm', 409, nested('this model has no tensor "blk.40.attn_q.weight"'), 'adapter_failed', true],
  [
    'vllm',
    500,
    nested("Worker failed with error 'LoRA rank 64 is greater than max_lora_rank 32.'"),
    'adapter_failed',
    true,
  ],
  [
    'vllm',
    500,
    nested("expected target modules in {'q_proj'} but received ['bogus']"),
    'adapter_failed',
    true,
  ],
  ['vllm', 500, nested('Error while deserializing header: invalid header length'), 'adapter_failed', true],
  ['vllm', 500, nested('EngineCore encountered an issue'), 'adapter_failed', false],
  ['vllm', 500, '<html>Bad things</html>', 'adapter_failed', false],
  ['vllm', 401, '{"error":"Unauthorized"}', 'adapter_failed', true],
  ['vllm', 503, nested('Loading model'), 'engine_unavailable'],
  ['vllm', 507, nested('all 5 slots are taken'), 'no_room'],
  ['sglang', 400, told('LoRA is not enabled. Please set `--enable-lora`.'), 'adapter_failed', true],
  [
    'sglang',
    400,
    told('LoRA adapter lich with rank 64 is incompatible with the pool'),
    'adapter_failed',
    true,
  ],
  ['sglang', 200, told("[Errno 2] No such file or directory: '/adapters'"), 'adapter_failed', false],
  ['sglang', 400, told('CUDA out of memory'), 'no_room'],
  ['sglang', 404, '{"detail":"Not Found"}', 'adapter_failed', true],
  ['sglang', 503, '', 'engine_unavailable'],
  ['tensorrt-llm', 400, flat('lora_path (/adapters) does not exist.'), 'adapter_failed', false],
  ['tensorrt-llm', 400, '{"error":"extra_forbidden: lora_request"}', 'adapter_failed', true],
  ['tensorrt-llm', 503, flat('The executor is not ready.'), 'engine_unavailable'],
];

describe('What a refusal of an adapter means', () => {
  for (const [kind, status, body, code, isPermanent] of REFUSALS)
    it(`${kind}'s ${status} with ${body.slice(0, 60)} is ${code}${isPermanent === true ? ' for good' : ''}`, async () => {
      const adapters = MAKERS[kind]({ name: 'tested', model: 'm', transport: refusing(status, body) });
      await assert.rejects(adapters.load(ADAPTER, never), (error) => {
        assert.ok(error instanceof ServiceError);
        assert.equal(error.code, code, error.message);
        assert.equal(error.details['isPermanent'], isPermanent);
        return true;
      });
    });

  it('an unload that no route is there for is refused, one of what is not there is done', async () => {
    const unload = (body: string) =>
      createVllmAdapters({ name: 'tested', transport: refusing(404, body) }).unload(ADAPTER, never);
    await assert.rejects(unload('{"detail":"Not Found"}'), /VLLM_ALLOW_RUNTIME_LORA_UPDATING=1/);
    await unload(nested("The lora adapter 'lich@7-3fa9c1d2' cannot be found."));
  });

  it('a long refusal is told in part', async () => {
    const transport = refusing(500, nested(`expected target modules ${'x'.repeat(9_000)}`));
    await assert.rejects(
      createVllmAdapters({ name: 'tested', transport }).load(ADAPTER, never),
      (error) => error instanceof ServiceError && error.message.length < 700,
    );
  });
});

for (const engine of ['vllm', 'sglang'] as const)
  it(`a page of a proxy is no list of nothing: ${engine} has lost no adapter by it`, async () => {
    for (const page of ['{"error":"upstream is away"}', '{"data":null}', '[]', '"busy"']) {
      const adapters = MAKERS[engine]({ name: 'gpu-1', transport: refusing(200, '', page) });
      await assert.rejects(adapters.list([ADAPTER], never), { code: 'engine_error' }, page);
    }
  });
