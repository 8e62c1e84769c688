import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { type GgufField, planGguf } from '../../lib/gguf-write.ts';
import { cacheDirectory, modelPaths } from '../../models/cache.ts';
import { DEFAULT_MODEL, findModel } from '../../models/catalogue.ts';
import { realRuntime } from '../../runtime.ts';
import { hubConfig, SMOLLM2_BASE, TINY_BASES } from '../../testing/peft-folder.ts';
import { type BaseDescription, describeBase } from './base.ts';
import { checkCompatible, type Fitted } from './compatible.ts';

const idle = () => new AbortController().signal;

async function temporary(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-base-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The header of a base as llama.cpp's converter writes it; the weights are a few zeros. */
function baseGguf(base: BaseDescription, extra: readonly (readonly [string, GgufField])[] = []): Uint8Array {
  const { architecture } = base;
  const number = (key: string, value: number) =>
    [`${architecture}.${key}`, { type: 'u32', value } as GgufField] as const;
  const metadata = new Map<string, GgufField>([
    ['general.architecture', { type: 'string', value: architecture }],
    number('block_count', base.layers),
    number('embedding_length', base.hiddenSize),
    number('feed_forward_length', base.feedForwardSize),
    number('attention.head_count', base.heads),
    number('attention.head_count_kv', base.keyValueHeads),
    number('attention.key_length', base.headSize),
    ...extra,
  ]);
  const shape = [base.hiddenSize, base.vocabularySize];
  const names = ['token_embd.weight', ...(base.tiesEmbeddings ? [] : ['output.weight'])];
  const plan = planGguf(
    metadata,
    names.map((name) => ({ name, shape, type: 'F32' })),
  );
  const weights = plan.tensors.map(({ bytes, padding }) => new Uint8Array(bytes + padding));
  return Buffer.concat([plan.header, ...weights]);
}

test('a folder and a GGUF file of the same model give the same description', async (context) => {
  const home = await temporary(context);
  for (const base of Object.values(TINY_BASES)) {
    await writeFile(join(home, 'config.json'), JSON.stringify(hubConfig(base)));
    await writeFile(join(home, 'base.gguf'), baseGguf(base));
    assert.deepEqual(await describeBase(home, idle()), base);
    assert.deepEqual(await describeBase(join(home, 'config.json'), idle()), base);
    assert.deepEqual(await describeBase(join(home, 'base.gguf'), idle()), base);
  }
});

test('the model that a fresh clone starts with is described as it is', async (context) => {
  const model = findModel(DEFAULT_MODEL);
  const { file } = modelPaths(cacheDirectory(realRuntime.environment), model);
  if (!existsSync(file))
    return context.skip(`${model.fileName} is not in the cache; greenroom models pull gets it`);
  assert.deepEqual(await describeBase(file, idle()), SMOLLM2_BASE);
});

test('what config.json may leave out has the default of its library', async (context) => {
  const home = await temporary(context);
  const write = (config: Record<string, unknown>) =>
    writeFile(join(home, 'config.json'), JSON.stringify(config));
  const { head_dim: _, num_key_value_heads: __, ...rest } = hubConfig(TINY_BASES.phi3);
  await write(rest);
  assert.deepEqual(await describeBase(home, idle()), TINY_BASES.phi3);
  // As Gemma 3 with eyes is published: the text model's sizes stand one level deeper, and only those that differ.
  await write({
    architectures: ['Gemma3ForConditionalGeneration'],
    text_config: { hidden_size: 2_560, intermediate_size: 10_240, num_hidden_layers: 34 },
  });
  assert.deepEqual(await describeBase(home, idle()), {
    architecture: 'gemma3',
    layers: 34,
    hiddenSize: 2_560,
    heads: 8,
    keyValueHeads: 4,
    headSize: 256,
    feedForwardSize: 10_240,
    vocabularySize: 262_208,
    tiesEmbeddings: true,
  });
});

test('what is no base model is refused with what is missing', async (context) => {
  const home = await temporary(context);
  const refused = (path: string, message: RegExp) =>
    assert.rejects(describeBase(path, idle()), { code: 'model_invalid', message });
  await refused(join(home, 'nowhere'), /cannot be read/);
  await refused(home, /config\.json cannot be read/);
  await writeFile(join(home, 'config.json'), '[1]');
  await refused(home, /no JSON object/);
  await writeFile(join(home, 'config.json'), '{"hidden_size": 1, "hidden_size": 2}');
  await refused(home, /stands there twice/);
  const { num_hidden_layers: _, ...rest } = hubConfig(TINY_BASES.llama);
  await writeFile(join(home, 'config.json'), JSON.stringify(rest));
  await refused(home, /no num_hidden_layers/);
  await writeFile(join(home, 'config.json'), JSON.stringify({ ...rest, architectures: 7 }));
  await refused(home, /names no architecture/);
  await writeFile(join(home, 'base.gguf'), 'GGML');
  await refused(join(home, 'base.gguf'), /is no GGUF model/);
  const empty = new Map<string, GgufField>([['general.architecture', { type: 'string', value: 'llama' }]]);
  await writeFile(join(home, 'base.gguf'), planGguf(empty, []).header);
  await refused(join(home, 'base.gguf'), /no llama\.embedding_length/);
  await mkdir(join(home, 'config.json.d'));
  await refused(join(home, 'config.json.d'), /cannot be read/);
});

test('the first mismatch between adapter and base is named, with both figures', () => {
  const adapter: Fitted = {
    architecture: 'llama',
    layers: 30,
    adaptedLayers: Array.from({ length: 30 }, (_, layer) => layer),
    heads: 9,
    keyValueHeads: 3,
    modules: [
      { name: 'q_proj', in: 576, out: 576, isPerLayer: true },
      { name: 'k_proj', in: 576, out: 192, isPerLayer: true },
    ],
  };
  checkCompatible(adapter, SMOLLM2_BASE);
  const whole = { name: 'embed_tokens', in: 49_153, out: 576, isPerLayer: false };
  const head = { name: 'lm_head', in: 576, out: 50_000, isPerLayer: false };
  const untied = { ...SMOLLM2_BASE, tiesEmbeddings: false };
  const table: readonly (readonly [Partial<Fitted>, BaseDescription, RegExp])[] = [
    [{ architecture: 'qwen2' }, SMOLLM2_BASE, /architecture "qwen2", the base is "llama"/],
    [{}, { ...SMOLLM2_BASE, layers: 24 }, /adapts layer 29, the base has 24 layers/],
    [{ layers: 24, adaptedLayers: [0] }, SMOLLM2_BASE, /for 24 layers, the base has 30/],
    [{ modules: [{ ...head, name: 'qkv_proj' }] }, SMOLLM2_BASE, /no module qkv_proj/],
    [
      {},
      { ...SMOLLM2_BASE, hiddenSize: 960 },
      /q_proj changes a matrix of 576 × 576, the base's is 576 × 960/,
    ],
    [
      {},
      { ...SMOLLM2_BASE, keyValueHeads: 9 },
      /k_proj changes a matrix of 192 × 576, the base's is 576 × 576/,
    ],
    [{ modules: [whole] }, SMOLLM2_BASE, /vocabulary of 49153, the base 49152/],
    [{ modules: [head] }, untied, /vocabulary of 50000, the base 49152/],
    [{ modules: [head] }, SMOLLM2_BASE, /adapts lm_head, and the base has none/],
    [
      {},
      { ...SMOLLM2_BASE, heads: 18, keyValueHeads: 6, headSize: 32 },
      /for 9 heads \(3 of keys\), the base has 18 \(6\)/,
    ],
  ];
  for (const [changed, base, message] of table)
    assert.throws(() => checkCompatible({ ...adapter, ...changed }, base), {
      code: 'adapter_incompatible',
      message,
    });
});
