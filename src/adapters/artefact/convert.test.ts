import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { GGUF_LIMITS, readGgufHeader } from '../../lib/gguf.ts';
import { planGguf } from '../../lib/gguf-write.ts';
import { realRuntime } from '../../runtime.ts';
import {
  hubConfig,
  type PeftFolderOptions,
  peftContent,
  SMOLLM2_BASE,
  safetensorsBytes,
  TINY_BASES,
  writePeftContent,
  writePeftFolder,
} from '../../testing/peft-folder.ts';
import { ARTEFACT_FILES, type WeightType } from './artefact.ts';
import { type BaseDescription, describeBase } from './base.ts';
import { modulesOf } from './modules.ts';
import { stageAdapter } from './stage.ts';

const idle = () => new AbortController().signal;

async function temporary(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-convert-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const stage = (from: string, root: string, base: BaseDescription) =>
  stageAdapter({ from, root, base, ...realRuntime }, idle());

/** One line a tensor: name, type, shape, SHA-256 of its weights. */
async function tensorsOf(path: string): Promise<{ lines: string[]; metadata: ReadonlyMap<string, unknown> }> {
  const { tensors, dataOffset, metadata } = await readGgufHeader(path, GGUF_LIMITS, idle());
  const bytes = await readFile(path);
  const lines = tensors.map((tensor) => {
    const from = dataOffset + tensor.offset;
    const digest = createHash('sha256')
      .update(bytes.subarray(from, from + tensor.bytes))
      .digest('hex');
    return `${tensor.name} ${tensor.type} ${tensor.shape.join('x')} ${digest}`;
  });
  return { lines: lines.sort(), metadata };
}

interface Reference {
  readonly cases: readonly {
    readonly name: string;
    readonly hubName?: string;
    readonly options: PeftFolderOptions;
    readonly metadata: Readonly<Record<string, unknown>>;
    readonly tensors: readonly string[];
  }[];
}

const fixture = join(import.meta.dirname, '../../../tests/fixtures/adapters-convert/reference.json');
const reference = JSON.parse(await readFile(fixture, 'utf8')) as Reference;

for (const { name, hubName, options, metadata, tensors } of reference.cases)
  test(`${name}: the GGUF file has, bit by bit, the weights of llama.cpp's own converter, and gives the same digest back`, async (context) => {
    const home = await temporary(context);
    await writeFile(
      join(home, 'config.json'),
      JSON.stringify(hubConfig(options.base ?? SMOLLM2_BASE, hubName)),
    );
    const base = await describeBase(home, idle());
    const from = await writePeftFolder(join(home, 'peft'), options);
    const artefact = await stage(from, join(home, 'adapters'), base);
    const gguf = join(home, 'adapters', artefact.digest, ARTEFACT_FILES.gguf);
    const converted = await tensorsOf(gguf);
    assert.deepEqual(converted.lines, tensors);
    for (const [key, value] of Object.entries(metadata))
      assert.equal(converted.metadata.get(key), value, key);
    // PEFT → GGUF → PEFT, into another root: the files themselves are the same.
    const back = await stage(gguf, join(home, 'again'), base);
    assert.deepEqual(back, { ...artefact, baseModelNameOrPath: null });
    for (const file of [ARTEFACT_FILES.config, ARTEFACT_FILES.weights, ARTEFACT_FILES.gguf])
      assert.ok(
        (await readFile(join(home, 'adapters', artefact.digest, file))).equals(
          await readFile(join(home, 'again', back.digest, file)),
        ),
        file,
      );
  });

test('any adapter keeps its digest from PEFT to GGUF and back, from its own folder, and under another order of tensors', async (context) => {
  const home = await temporary(context);
  let run = 0;
  const property = fc.asyncProperty(
    fc.constantFrom(...Object.values(TINY_BASES)),
    fc.integer({ min: 1, max: 9 }),
    fc.constantFrom<WeightType>('F32', 'F16', 'BF16'),
    fc.double({ min: 0.01, max: 512, noNaN: true }),
    fc.infiniteStream(fc.boolean()),
    fc.constantFrom<readonly number[] | null>(null, [0], [1]),
    fc.boolean(),
    async (base, rank, type, alpha, coins, layers, isStabilised) => {
      run += 1;
      const names = modulesOf(base.architecture).map(({ name }) => name);
      const chosen = names.filter(() => coins.next().value === true);
      const targets = chosen.length > 0 ? chosen : names.slice(1, 2);
      const content = peftContent({
        seed: run,
        base,
        rank,
        type,
        alpha,
        targets,
        ...(layers === null ? {} : { layers }),
        config: { use_rslora: isStabilised, layers_to_transform: layers },
      });
      if (layers !== null && targets.every((name) => name === 'embed_tokens' || name === 'lm_head'))
        content.config['layers_to_transform'] = null;
      const root = join(home, 'adapters');
      const artefact = await stage(await writePeftContent(join(home, `${run}`), content), root, base);
      const folder = join(root, artefact.digest);
      for (const from of [join(folder, ARTEFACT_FILES.gguf), folder, join(folder, ARTEFACT_FILES.weights)])
        assert.equal((await stage(from, root, base)).digest, artefact.digest);
      content.tensors.reverse();
      const reversed = await writePeftContent(join(home, `${run} reversed`), content);
      assert.equal((await stage(reversed, root, base)).digest, artefact.digest);
    },
  );
  await fc.assert(property, { numRuns: 25 });
});

test('a rank-stabilised adapter is written as the plain one that speaks alike', async (context) => {
  const home = await temporary(context);
  const base = TINY_BASES.llama;
  const options = { seed: 1, base, rank: 4 };
  const plain = await writePeftFolder(join(home, 'plain'), { ...options, alpha: 16 });
  const stabilised = await writePeftFolder(join(home, 'stabilised'), {
    ...options,
    alpha: 8,
    config: { use_rslora: true },
  });
  const artefact = await stage(plain, home, base);
  assert.equal(artefact.alpha, 16);
  assert.equal((await stage(stabilised, home, base)).digest, artefact.digest);
});

test('a GGUF adapter without alpha has the scale 1, as llama.cpp takes it', async (context) => {
  const home = await temporary(context);
  const base = TINY_BASES.qwen2;
  const path = join(home, 'lich.gguf');
  const shape = { type: 'F32' } as const;
  const tensors = [0, 1].flatMap((layer) => [
    { ...shape, name: `blk.${layer}.attn_q.weight.lora_a`, shape: [32, 3] },
    { ...shape, name: `blk.${layer}.attn_q.weight.lora_b`, shape: [3, 32] },
  ]);
  const metadata = new Map([
    ['general.architecture', { type: 'string', value: 'qwen2' }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['adapter.type', { type: 'string', value: 'lora' }],
  ] as const);
  const plan = planGguf(metadata, tensors);
  const weights = plan.tensors.map(({ bytes, padding }) => new Uint8Array(bytes + padding));
  await writeFile(path, Buffer.concat([plan.header, ...weights]));
  const artefact = await stage(path, home, base);
  assert.deepEqual([artefact.rank, artefact.alpha], [3, 3]);
});

test('Gemma 3 with eyes: the names of both libraries are those of its text model', async (context) => {
  const home = await temporary(context);
  const base = TINY_BASES.gemma3;
  const options = { seed: 1, base, targets: ['q_proj'] };
  const plain = await stage(await writePeftFolder(join(home, 'plain'), options), home, base);
  for (const deeper of ['model.language_model.layers.', 'language_model.model.layers.']) {
    const content = peftContent(options);
    const tensors = content.tensors.map((tensor) => ({
      ...tensor,
      name: tensor.name.replace('model.model.layers.', `model.${deeper}`),
    }));
    const from = await writePeftContent(join(home, deeper), { ...content, tensors });
    assert.equal((await stage(from, home, base)).digest, plain.digest, deeper);
  }
});

test('weights in a file of some other name beside their configuration are read, too', async (context) => {
  const home = await temporary(context);
  const options = { seed: 1, base: TINY_BASES.llama };
  const from = await writePeftFolder(join(home, 'lich'), options);
  const { digest } = await stage(from, home, TINY_BASES.llama);
  await writeFile(join(from, 'lich v7.safetensors'), safetensorsBytes(peftContent(options).tensors));
  assert.equal((await stage(join(from, 'lich v7.safetensors'), home, TINY_BASES.llama)).digest, digest);
});
