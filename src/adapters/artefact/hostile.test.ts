import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { artefactBench, changedAdapter } from '../../testing/artefact-bench.ts';
import { type PeftContent, type PeftTensor, peftContent, TINY_BASES } from '../../testing/peft-folder.ts';
import { ARTEFACT_FILES, type ArtefactLimits } from './artefact.ts';

const base = TINY_BASES.llama;

const withConfig = (fields: Record<string, unknown>) => (content: PeftContent) => ({
  ...content,
  config: { ...content.config, ...fields },
});

const withTensors = (change: (tensors: PeftTensor[]) => PeftTensor[]) => (content: PeftContent) => ({
  ...content,
  tensors: change(content.tensors),
});

test('a configuration that means anything but a plain LoRA is refused by its field', async (context) => {
  const on = await artefactBench(context);
  const table: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ peft_type: 'LOHA' }, /peft_type "LOHA"; expected "LORA"/],
    [{ peft_type: undefined }, /peft_type nowhere/],
    [{ task_type: 'SEQ_CLS' }, /task_type "SEQ_CLS"/],
    [{ bias: 'all' }, /bias "all"; train with bias="none"/],
    [{ use_dora: true }, /use_dora true; .*use_dora=false/],
    [{ fan_in_fan_out: true }, /fan_in_fan_out true/],
    [{ modules_to_save: ['lm_head'] }, /modules_to_save \["lm_head"\]/],
    [{ lora_bias: true }, /lora_bias true/],
    [{ layer_replication: [[0, 1]] }, /layer_replication/],
    [{ trainable_token_indices: [1] }, /trainable_token_indices/],
    [{ alora_invocation_tokens: [1] }, /alora_invocation_tokens/],
    [{ target_parameters: ['experts.w'] }, /target_parameters/],
    [{ use_of_tomorrow: 3 }, /use_of_tomorrow 3; it is not known here/],
    [{ init_lora_weights: 'pissa_niter_16' }, /"pissa_niter_16", which changes the base's weights/],
    [{ rank_pattern: { q_proj: 8 } }, /rank_pattern 8 for "q_proj" and 4 for the rest/],
    [{ alpha_pattern: { '.*': 8 } }, /alpha_pattern 8/],
    [{ r: 0 }, /r 0; expected a whole number from 1/],
    [{ r: 512 }, /rank 512; at most 64/],
    [{ r: 8 }, /rank 4, adapter_config\.json 8/],
    [{ r: '4' }, /r "4"/],
    [{ lora_alpha: 0 }, /lora_alpha 0; expected a number above 0/],
    [{ lora_alpha: 1e300 }, /lora_alpha 1e\+300/],
    [{ use_rslora: 'yes' }, /use_rslora "yes"/],
    [{ target_modules: [] }, /target_modules \[\]/],
    [
      { target_modules: ['q_proj'] },
      /weights for model\.layers\.0\.self_attn\.v_proj, which is none of the target_modules/,
    ],
    [{ target_modules: ['q_proj', 'v_proj', 'o_proj'] }, /target module "o_proj" .* has no weights/],
    [{ target_modules: ['../../q_proj'] }, /expected a list/],
    [{ layers_to_transform: [0] }, /weights for layer 1, which layers_to_transform does not name/],
    [{ layers_to_transform: [0, 1, 2] }, /names layer 2, for which there are no weights/],
    [{ layers_to_transform: 'all' }, /layers_to_transform "all"/],
    [{ base_model_name_or_path: 7 }, /base_model_name_or_path 7/],
  ];
  for (const [fields, message] of table)
    await on.refused(await changedAdapter(on, withConfig(fields)), message);
});

test('what changes nothing in the meaning passes, and a pattern of target modules is not run', async (context) => {
  const on = await artefactBench(context);
  const plain = await on.stage(await changedAdapter(on, (content) => content));
  const fields = {
    lora_dropout: 0.1,
    megatron_core: 'megatron.core',
    revision: 'main',
    loftq_config: {},
    use_of_tomorrow: null,
    rank_pattern: { q_proj: 4 },
    target_modules: '((a+)+)+$',
    layers_to_transform: [1, 0],
  };
  assert.equal(await on.stage(await changedAdapter(on, withConfig(fields))), plain);
});

test('weights that do not belong together are refused by name', async (context) => {
  const on = await artefactBench(context);
  const zeros = (name: string, ...shape: number[]): PeftTensor => ({
    name: `base_model.model.${name}`,
    type: 'F32',
    shape,
    data: new Uint8Array(4 * shape.reduce((product, length) => product * length, 1)),
  });
  const add = (tensor: PeftTensor) => withTensors((tensors) => [...tensors, tensor]);
  const table: readonly (readonly [(content: PeftContent) => PeftContent, RegExp])[] = [
    [withTensors(() => []), /holds no weights/],
    [withTensors((tensors) => tensors.slice(1)), /no partner: half A of model\.layers\.0\.self_attn\.q_proj/],
    [withTensors((tensors) => tensors.slice(0, -1)), /no partner: half B/],
    [withTensors((tensors) => tensors.slice(2)), /layer 0 has no weights for the target module q_proj/],
    [add(zeros('model.norm.weight', 32)), /"base_model\.model\.model\.norm\.weight" is no LoRA weight/],
    [add(zeros('../../etc/passwd.lora_A.weight', 4, 32)), /is no LoRA weight/],
    [add(zeros('model.layers.00.self_attn.q_proj.lora_A.weight', 4, 32)), /is no LoRA weight/],
    [add(zeros('model.layers.0.self_attn.q_proj.lora_A.weight ', 4, 32)), /is no LoRA weight/],
    [add(zeros('model.layers.0.mlp.q_proj.lora_A.weight', 4, 32)), /is no LoRA weight/],
    [add(zeros('lm_head.lora_A.weight', 32)), /one dimension; expected two/],
    [
      withTensors((tensors) => [
        { ...zeros('x', 0, 32), name: tensors[0]?.name ?? '' },
        { ...zeros('x', 32, 0), name: tensors[1]?.name ?? '' },
        ...tensors.slice(2),
      ]),
      /0 × 32 and 32 × 0; expected a rank from 1/,
    ],
    [
      withTensors((tensors) => [{ ...zeros('x', 8, 16), name: tensors[0]?.name ?? '' }, ...tensors.slice(1)]),
      /has rank 8 and .* rank 4/,
    ],
    [
      withTensors((tensors) => [{ ...zeros('x', 4, 33), name: tensors[0]?.name ?? '' }, ...tensors.slice(1)]),
      /is 32 × 32 and in another layer 32 × 33/,
    ],
    [
      withTensors((tensors) =>
        tensors.map((tensor, index) =>
          index === 1 ? { ...tensor, type: 'F16', data: tensor.data.slice(tensor.data.length / 2) } : tensor,
        ),
      ),
      /is F16 and .* is F32; save all weights in one type/,
    ],
  ];
  for (const [change, message] of table) await on.refused(await changedAdapter(on, change), message);
});

test('an adapter for another base is refused before its weights are read', async (context) => {
  const on = await artefactBench(context);
  const write = (other: typeof base, options = {}) =>
    changedAdapter(on, (content) => content, { base: { ...base, ...other }, ...options });
  await on.refused(
    await write({ ...base, layers: 3 }),
    /adapts layer 2, the base has 2/,
    'adapter_incompatible',
  );
  await on.refused(
    await write({ ...base, layers: 1 }),
    /for 1 layers, the base has 2/,
    'adapter_incompatible',
  );
  await on.refused(
    await write({ ...base, hiddenSize: 64 }),
    /32 × 64, the base's is 32 × 32/,
    'adapter_incompatible',
  );
  const embedding = { targets: ['embed_tokens'] };
  await on.refused(
    await write({ ...base, vocabularySize: 65 }, embedding),
    /vocabulary of 65, the base 64/,
    'adapter_incompatible',
  );
});

test('infinite weights and such that are no number are found in every type', async (context) => {
  const on = await artefactBench(context);
  const bad = {
    F32: [0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001],
    F16: [0x7c00, 0xfc00, 0x7e01],
    BF16: [0x7f80, 0xff80, 0x7fc0],
  } as const;
  for (const type of ['F32', 'F16', 'BF16'] as const)
    for (const bits of bad[type])
      for (const which of [0, -1]) {
        const poison = withTensors((tensors) => {
          const { data } = tensors.at(which) ?? assert.fail();
          if (type === 'F32') new DataView(data.buffer).setUint32(data.length - 4, bits, true);
          else new DataView(data.buffer).setUint16(data.length - 2, bits, true);
          return tensors;
        });
        await on.refused(
          await changedAdapter(on, poison, { type }),
          /weight \d+ of base_model\.model\.\S+ is infinite or no number/,
        );
      }
});

test('limits are kept, and named', async (context) => {
  const on = await artefactBench(context);
  const from = await changedAdapter(on, (content) => content);
  const bytes = peftContent({ seed: 1, base }).tensors.reduce((sum, { data }) => sum + data.length, 0);
  const table: readonly (readonly [Partial<ArtefactLimits>, RegExp])[] = [
    [{ rankMax: 3 }, /rank 4; at most 3/],
    [{ bytesMax: bytes - 1 }, new RegExp(`${bytes} bytes; at most ${bytes - 1} `)],
    [{ headerBytesMax: 100 }, /header says it has \d+ bytes; at most 100/],
    [{ tensorsMax: 7 }, /8 tensors; at most 7/],
    [{ configBytesMax: 10 }, /bytes; at most 10 are read/],
    [{ filesMax: 1 }, /more than 1 files/],
  ];
  for (const [limits, message] of table) await on.refused(from, message, 'adapter_invalid', limits);
  await on.stage(from, { rankMax: 4, bytesMax: bytes, tensorsMax: 8, filesMax: 2 });
});

test('pickles are refused under any name, and nothing is unpacked', async (context) => {
  const on = await artefactBench(context);
  for (const name of ['adapter_model.bin', 'optimizer.PT', 'rng_state.pth', 'x.pkl', 'y.ckpt']) {
    const from = await changedAdapter(on, (content) => content);
    await writeFile(join(from, name), 'whatever');
    await on.refused(from, /is a pickle, which can run code/);
    await on.refused(join(from, name), /is a pickle/);
  }
  const magic: readonly (readonly [Buffer, RegExp])[] = [
    [Buffer.from([0x80, 2, 0x7d, 0x71, 0, 0x58, 1, 0, 0, 0]), /is a pickle/],
    [Buffer.from([0x80, 5, 0x95, 9, 8, 7, 6, 5]), /is a pickle/],
    [Buffer.from('PK\u0003\u0004archive/data.pkl'), /is a zip archive, as PyTorch packs its pickles/],
    [Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5]), /is a packed archive; unpack it/],
  ];
  for (const [bytes, message] of magic)
    for (const name of [ARTEFACT_FILES.weights, 'lich.gguf', 'README.md', 'lich']) {
      const from = await changedAdapter(on, (content) => content);
      await writeFile(join(from, name), bytes);
      await on.refused(from, message);
      await on.refused(join(from, name), message);
    }
});

test('links out of the folder, pipes and what is missing are refused; a link inside is followed', async (context) => {
  const on = await artefactBench(context);
  const outside = await changedAdapter(on, (content) => content);
  for (const file of [ARTEFACT_FILES.config, ARTEFACT_FILES.weights]) {
    const from = await changedAdapter(on, (content) => content);
    await rm(join(from, file));
    await on.refused(from, new RegExp(file));
    await symlink(join(outside, file), join(from, file));
    await on.refused(from, /is a link out of the folder/);
    await rm(join(from, file));
    await symlink(file, join(from, file));
    await on.refused(from, /is a link that leads nowhere/);
    await rm(join(from, file));
    execFileSync('mkfifo', [join(from, file)]);
    await on.refused(from, /is no regular file/);
  }
  await on.refused(join(on.home, 'nowhere'), /"nowhere" cannot be read: ENOENT/);
  await mkdir(join(on.home, 'empty'));
  await on.refused(join(on.home, 'empty'), /no adapter_model\.safetensors and no adapter_config\.json/);
  await writeFile(join(on.home, 'notes.txt'), 'hello');
  await on.refused(join(on.home, 'notes.txt'), /"notes\.txt" is no adapter/);
  const inside = await changedAdapter(on, (content) => content);
  await rename(join(inside, ARTEFACT_FILES.weights), join(inside, 'weights'));
  await symlink('weights', join(inside, ARTEFACT_FILES.weights));
  const digest = await on.stage(inside);
  // The operator's own link to the folder is theirs to make.
  await symlink(inside, join(on.home, 'lich'));
  assert.equal(await on.stage(join(on.home, 'lich')), digest);
});

/** A safetensors file with any header. */
function withHeader(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0)): Buffer {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

test('a safetensors header that lies is refused', async (context) => {
  const on = await artefactBench(context);
  const from = await changedAdapter(on, (content) => content);
  const path = join(from, ARTEFACT_FILES.weights);
  const tensor = (begin: unknown, end: unknown, shape: unknown = [2], type: unknown = 'F32') =>
    JSON.stringify({ dtype: type, shape, data_offsets: [begin, end] });
  const huge = Buffer.alloc(16);
  huge.writeBigUInt64LE(2n ** 63n);
  const data = new Uint8Array(16);
  const table: readonly (readonly [Uint8Array, RegExp])[] = [
    [Buffer.alloc(0), /0 bytes, too few/],
    [huge, /9223372036854775808 bytes; at most 4194304/],
    [withHeader('{}'.padEnd(1_000)).subarray(0, 500), /cut off: its header has 1000 bytes, the file 500/],
    [withHeader(' {}'), /does not begin with \{/],
    [withHeader('{"a":'), /cannot be read/],
    [withHeader(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])), /cannot be read/],
    [withHeader(`${'{"a":'.repeat(100)}1${'}'.repeat(100)}`), /nested deeper than 4/],
    [withHeader(`{"a":${tensor(0, 8)},"a":${tensor(0, 8)}}`, data.subarray(0, 8)), /"a" stands there twice/],
    [withHeader(`{"a":${tensor(0, 8)},"\\u0061":${tensor(8, 16)}}`, data), /"a" stands there twice/],
    [withHeader(`{"__proto__":${tensor(0, 8)}}`, data.subarray(0, 8)), /__proto__/],
    [
      withHeader(`{"a":${tensor(0, 8)},"b":${tensor(4, 12)}}`, data.subarray(0, 12)),
      /"b" overlaps .* 4 bytes/,
    ],
    [withHeader(`{"a":${tensor(0, 8)},"b":${tensor(0, 8)}}`, data.subarray(0, 8)), /overlaps/],
    [withHeader(`{"a":${tensor(8, 16)}}`, data), /8 bytes before tensor "a" belong to no tensor/],
    [withHeader(`{"a":${tensor(0, 8)}}`, data), /8 bytes after the last tensor/],
    [withHeader(`{"a":${tensor(0, 8)}}`, data.subarray(0, 7)), /cut off: \d+ bytes, but its tensors end at/],
    [withHeader(`{"a":${tensor(0, 9)}}`, data.subarray(0, 9)), /of 2 F32 has 9 bytes; expected 8/],
    [withHeader(`{"a":${tensor(8, 0)}}`, data), /has -8 bytes/],
    [withHeader(`{"a":${tensor(0, 8, [2 ** 40, 2 ** 40])}}`, data), /expected/],
    [withHeader(`{"a":${tensor(0, 8, [1, 1, 2])}}`, data), /not one or two whole numbers/],
    [withHeader(`{"a":${tensor(0, 8, [-2])}}`, data), /not one or two whole numbers/],
    [withHeader(`{"a":${tensor(0, 8, [2], 'F64')}}`, data), /type "F64"; expected F32, F16 or BF16/],
    [withHeader(`{"a":${tensor(0, 8, [2], 'toString')}}`, data), /type "toString"/],
    [withHeader(`{"a":${tensor(0.5, 8)}}`, data), /not two whole numbers/],
    [withHeader('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}', data), /unknown field "x"/],
    [withHeader('{"a":7}'), /no description/],
    [withHeader('{"__metadata__":{"a":7}}'), /"a" in __metadata__ is no text/],
    [withHeader('{"__metadata__":[]}'), /__metadata__/],
  ];
  for (const [bytes, message] of table) {
    await writeFile(path, bytes);
    await on.refused(from, message);
  }
});

test('a GGUF file that is no LoRA adapter is refused', async (context) => {
  const on = await artefactBench(context);
  const digest = await on.stage(await changedAdapter(on, (content) => content));
  const path = join(on.home, 'lich.gguf');
  await rename(join(on.root, digest, ARTEFACT_FILES.gguf), path);
  await rm(join(on.root, digest), { recursive: true });
  const whole = await readFile(path);
  const replace = async (from: string, to: string) => {
    const at = whole.indexOf(from);
    assert.ok(at > 0 && from.length === to.length, from);
    const bytes = Buffer.from(whole);
    bytes.write(to, at);
    await writeFile(path, bytes);
  };
  const table: readonly (readonly [string, string, RegExp, string?])[] = [
    ['adapter', 'imatrix', /general\.type "imatrix"; expected "adapter"/],
    ['lora', 'luna', /adapter\.type "luna"; expected "lora"/],
    ['llama', 'gemma', /architecture "gemma", the base is "llama"/, 'adapter_incompatible'],
    [
      'blk.0.attn_q.weight.lora_a',
      'blk.0.attn_x.weight.lora_a',
      /"blk\.0\.attn_x\.weight\.lora_a" is no LoRA weight/,
    ],
    ['blk.0.attn_q.weight.lora_a', 'blk.0.attn_q.weight.lora_b', /stands there twice/],
    ['blk.1.attn_q.weight.lora_a', '../../attn_q.weight.lora_a', /is no LoRA weight/],
    ['blk.1.attn_v.weight.lora_b', 'blk.9.attn_v.weight.lora_b', /no partner/],
  ];
  for (const [from, to, message, code] of table) {
    await replace(from, to);
    await on.refused(path, message, code);
  }
});
