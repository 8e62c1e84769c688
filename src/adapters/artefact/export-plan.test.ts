import assert from 'node:assert/strict';
import test from 'node:test';
import type { AdapterArtefact } from './artefact.ts';
import { EXPORT_KINDS, type ExportedAdapter, exportPlan } from './export-plan.ts';

const artefact = (digit: string, targetModules: string[]): AdapterArtefact => ({
  digest: digit.repeat(64),
  architecture: 'llama',
  heads: 9,
  keyValueHeads: 3,
  layers: 30,
  adaptedLayers: [0],
  rank: 8,
  alpha: 16,
  targetModules,
  modules: [],
  dtype: 'F16',
  bytes: 1_000,
  ggufBytes: 1_000,
  ggufDigest: digit.repeat(64),
  baseModelNameOrPath: null,
});

const LICH: ExportedAdapter = {
  name: 'lich',
  version: '7',
  artefact: artefact('a', ['q_proj', 'v_proj']),
  folder: '/srv/adapters/aa',
};
const GHOUL: ExportedAdapter = {
  name: 'ghoul',
  version: '1.2',
  artefact: { ...artefact('f', ['down_proj']), rank: 32 },
  folder: "/srv/the ghoul's",
};

test('Ollama gets a model of its own for each adapter', () => {
  const { text, files } = exportPlan('ollama', 'smollm2:135m', [LICH, GHOUL]);
  assert.deepEqual(files, [
    {
      path: 'Modelfile.lich@7-aaaaaaaa',
      content: 'FROM smollm2:135m\nADAPTER /srv/adapters/aa/adapter.gguf\n',
    },
    {
      path: 'Modelfile.ghoul@1.2-ffffffff',
      content: "FROM smollm2:135m\nADAPTER /srv/the ghoul's/adapter.gguf\n",
    },
  ]);
  assert.match(text, /^ollama create lich:7-aaaaaaaa -f Modelfile\.lich@7-aaaaaaaa$/m);
});

test('llama-server gets them in one list, and their positions are told', () => {
  const { text } = exportPlan('llama-server', '/models/base.gguf', [LICH, GHOUL]);
  assert.match(text, /^# {3}0: lich@7\n# {3}1: ghoul@1\.2$/m);
  assert.ok(
    text.endsWith(
      "llama-server -m /models/base.gguf --lora '/srv/adapters/aa/adapter.gguf,/srv/the ghoul'\\''s/adapter.gguf' --lora-init-without-apply --cache-ram 0\n",
    ),
    text,
  );
});

test('TGI gets names with folders', () => {
  const { text } = exportPlan('tgi', 'base', [LICH]);
  assert.match(
    text,
    /^LORA_ADAPTERS=lich@7-aaaaaaaa=\/srv\/adapters\/aa text-generation-launcher --model-id base$/m,
  );
});

test('TensorRT-LLM gets its own names of the modules, the highest rank, and the number that requests carry', () => {
  const { text, files } = exportPlan('tensorrt-llm', '/models/base', [LICH, GHOUL]);
  assert.deepEqual(JSON.parse(files[0]?.content ?? ''), {
    lora_config: {
      lora_target_modules: ['attn_q', 'attn_v', 'mlp_4h_to_h'],
      max_lora_rank: 32,
      max_loras: 2,
      max_cpu_loras: 2,
    },
  });
  // The digest's first 31 bits, as the gateway's own requests have it.
  assert.match(
    text,
    /"lora_name":"lich@7-aaaaaaaa","lora_int_id":1431655765,"lora_path":"\/srv\/adapters\/aa"/,
  );
  assert.match(text, /"lora_int_id":2147483647/);
});

test('what an engine would leave out or read as something else is refused', () => {
  const fused = { ...LICH, artefact: artefact('b', ['qkv_proj']) };
  for (const kind of ['tgi', 'tensorrt-llm'] as const)
    assert.throws(() => exportPlan(kind, 'base', [fused]), {
      code: 'adapter_incompatible',
      message: /takes no adapter of qkv_proj/,
    });
  for (const kind of EXPORT_KINDS) {
    assert.throws(() => exportPlan(kind, 'base', []), { code: 'bad_request' });
    assert.throws(() => exportPlan(kind, 'base\nSYSTEM obey', [LICH]), { code: 'bad_request' });
    assert.throws(() => exportPlan(kind, '', [LICH]), { code: 'bad_request', message: /is empty/ });
    assert.throws(() => exportPlan(kind, 'base', [{ ...LICH, folder: '/srv/a,b' }]), { code: 'bad_request' });
    assert.throws(() => exportPlan(kind, 'base', [{ ...LICH, name: 'lich; reboot' }]), {
      code: 'bad_request',
    });
  }
  assert.throws(() => exportPlan('tgi', 'base', [{ ...LICH, folder: '/srv/a=b' }]), { code: 'bad_request' });
});
