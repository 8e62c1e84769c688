import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ErrorCode } from '../core/errors.ts';
import { ServiceError } from '../core/errors.ts';
import type { GgufField } from '../lib/gguf-write.ts';
import { planGguf } from '../lib/gguf-write.ts';
import type { BaseShape, LoraContent, LoraFileOptions, LoraTensor } from '../testing/lora-file.ts';
import { ggufBytes, LORA_TARGETS, loraContent } from '../testing/lora-file.ts';
import { checkAdapterFile, readBaseTensors } from './adapter-file.ts';

const alive = new AbortController().signal;
const SMALL: BaseShape = { architecture: 'llama', layers: 2, hidden: 8, keyValue: 4, feedForward: 16 };
const BASE = {
  architecture: 'llama',
  shapes: new Map<string, readonly number[]>([
    ['token_embd.weight', [8, 100]],
    ...[0, 1].flatMap((layer): [string, number[]][] => [
      [`blk.${layer}.attn_norm.weight`, [8]],
      [`blk.${layer}.attn_q.weight`, [8, 8]],
      [`blk.${layer}.attn_k.weight`, [8, 4]],
      [`blk.${layer}.attn_v.weight`, [8, 4]],
      [`blk.${layer}.attn_output.weight`, [8, 8]],
      [`blk.${layer}.ffn_gate.weight`, [8, 16]],
      [`blk.${layer}.ffn_up.weight`, [8, 16]],
      [`blk.${layer}.ffn_down.weight`, [16, 8]],
    ]),
  ]),
};

const small = (options: Partial<LoraFileOptions> = {}) =>
  loraContent({ seed: 1, rank: 2, base: SMALL, ...options });
const tensor = (name: string, shape: readonly number[]): LoraTensor => ({
  name,
  shape,
  type: 'F32',
  data: new Uint8Array(shape.reduce((product, length) => product * length, 4)),
});
const pair = (target: string, a: readonly number[], b: readonly number[]) => [
  tensor(`${target}.lora_a`, a),
  tensor(`${target}.lora_b`, b),
];
const withField = (key: string, field: GgufField): LoraContent => {
  const content = small();
  content.metadata.set(key, field);
  return content;
};
const withTensors = (...tensors: readonly LoraTensor[]): LoraContent => ({
  metadata: small().metadata,
  tensors: [...tensors],
});
const without = (content: LoraContent, gone: string): LoraContent => ({
  metadata: new Map([...content.metadata].filter(([key]) => key !== gone)),
  tensors: content.tensors.filter(({ name }) => name !== gone),
});
const poisoned = (type: 'F32' | 'F16', bytes: readonly number[]): LoraContent => {
  const content = small({ type });
  const data = content.tensors.at(-1)?.data;
  data?.set(bytes, data.length - bytes.length);
  return content;
};

describe('an adapter file, before llama.cpp sees it', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'adapter-file-'));
  });
  after(() => rm(folder, { recursive: true }));

  const check = async (bytes: Uint8Array, rankMax = 64) => {
    const file = path.join(folder, 'a.gguf');
    await writeFile(file, bytes);
    return await checkAdapterFile(file, BASE, rankMax, alive);
  };

  it('passes with its rank and the bytes of its weights, whatever its type and targets', async () => {
    for (const type of ['F32', 'F16'] as const) {
      const content = small({ type, targets: LORA_TARGETS, rank: 3 });
      const checked = await check(ggufBytes(content));
      assert.equal(checked.rank, 3);
      assert.equal(
        checked.bytes,
        content.tensors.reduce((sum, { data }) => sum + data.length, 0),
      );
    }
  });

  it('is found by its path or in its folder, and what is not there is not found', async () => {
    const home = path.join(folder, 'staged');
    await mkdir(home);
    await assert.rejects(checkAdapterFile(home, BASE, 64, alive), { code: 'not_found' });
    await writeFile(path.join(home, 'adapter.gguf'), ggufBytes(small()));
    assert.equal((await checkAdapterFile(home, BASE, 64, alive)).file, path.join(home, 'adapter.gguf'));
    await assert.rejects(checkAdapterFile(path.join(folder, 'no'), BASE, 64, alive), { code: 'not_found' });
  });

  const u32: GgufField = { type: 'u32', value: 4 };
  const text = (value: string): GgufField => ({ type: 'string', value });
  /** Those marked ended the process when llama.cpp was given them (3.22: a failed assert). */
  const refusals: readonly (readonly [string, LoraContent, ErrorCode, RegExp])[] = [
    ['a model', withField('general.type', text('model')), 'adapter_invalid', /general.type is "model"/],
    ['a type that is no text (ends the process)', withField('general.type', u32), 'adapter_invalid', /is 4;/],
    ['no type', without(small(), 'general.type'), 'adapter_invalid', /general.type is missing/],
    [
      'a control vector',
      withField('adapter.type', text('cvec')),
      'adapter_invalid',
      /adapter.type is "cvec"/,
    ],
    [
      'another architecture',
      withField('general.architecture', text('qwen2')),
      'adapter_incompatible',
      /is "qwen2"; this model is "llama"/,
    ],
    ['an integer alpha (ends the process)', withField('adapter.lora.alpha', u32), 'adapter_invalid', /alpha/],
    ['no alpha', without(small(), 'adapter.lora.alpha'), 'adapter_invalid', /alpha is missing/],
    [
      'an infinite alpha',
      withField('adapter.lora.alpha', { type: 'f32', value: Number.POSITIVE_INFINITY }),
      'adapter_invalid',
      /alpha is Infinity/,
    ],
    [
      'an activated LoRA',
      withField('adapter.alora.invocation_tokens', u32),
      'adapter_invalid',
      /activated LoRA/,
    ],
    ['no tensors', withTensors(), 'adapter_invalid', /no tensors/],
    ['a lonely lora_a', without(small(), 'blk.0.attn_q.weight.lora_b'), 'adapter_invalid', /lora_a alone/],
    ['a lonely lora_b', without(small(), 'blk.0.attn_q.weight.lora_a'), 'adapter_invalid', /lora_b alone/],
    [
      'a trained norm',
      withTensors(...small().tensors, tensor('blk.0.attn_norm.weight', [8])),
      'adapter_invalid',
      /left out in silence/,
    ],
    [
      'LoRA on a norm',
      withTensors(...pair('blk.0.attn_norm.weight', [8, 2], [2, 1])),
      'adapter_invalid',
      /no matrix/,
    ],
    [
      'LoRA on the embedding (ends the process)',
      withTensors(...pair('token_embd.weight', [2, 100], [2, 8])),
      'adapter_invalid',
      /token_embd/,
    ],
    [
      'more layers than the model',
      small({ base: { ...SMALL, layers: 3 } }),
      'adapter_incompatible',
      /no tensor "blk.2.attn_q.weight"/,
    ],
    [
      'a wider model',
      small({ base: { ...SMALL, hidden: 16 } }),
      'adapter_incompatible',
      /is 8 × 8 in this model; lora_a takes 16/,
    ],
    [
      'ranks that differ',
      withTensors(...pair('blk.0.attn_q.weight', [8, 2], [3, 8])),
      'adapter_invalid',
      /rank 2 and lora_b 3/,
    ],
    [
      'a third dimension (ends the process)',
      withTensors(...pair('blk.0.attn_q.weight', [8, 2, 2], [2, 8, 2])),
      'adapter_incompatible',
      /dimension 3/,
    ],
    ['rank 65', small({ rank: 65 }), 'adapter_invalid', /rank is 65; at most 64/],
    ['NaN in F32', poisoned('F32', [0, 0, 0xc0, 0x7f]), 'adapter_invalid', /no finite number/],
    ['infinity in F32', poisoned('F32', [0, 0, 0x80, 0xff]), 'adapter_invalid', /no finite number/],
    ['NaN in F16', poisoned('F16', [1, 0x7e]), 'adapter_invalid', /no finite number/],
    ['infinity in F16', poisoned('F16', [0, 0xfc]), 'adapter_invalid', /no finite number/],
  ];
  for (const [name, content, code, message] of refusals)
    it(`with ${name} is refused`, async () => {
      await assert.rejects(check(ggufBytes(content)), (error: unknown) => {
        assert.ok(error instanceof ServiceError);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        assert.match(error.message, /a\.gguf/);
        return true;
      });
    });

  it('that is no GGUF file is refused, and so is one cut off anywhere', async () => {
    const content = small();
    const bytes = ggufBytes(content);
    const padding = planGguf(content.metadata, content.tensors).tensors.at(-1)?.padding ?? 0;
    for (const bad of [Buffer.alloc(0), Buffer.from('PK\u0003\u0004'), Buffer.alloc(100)])
      await assert.rejects(check(bad), { code: 'adapter_invalid' });
    for (let length = 0; length < bytes.length - padding; length += 37)
      await assert.rejects(check(bytes.subarray(0, length)), { code: 'adapter_invalid' });
  });

  it('with any byte of its header changed passes or is refused by name', async () => {
    const content = small();
    const bytes = ggufBytes(content);
    const headerBytes = planGguf(content.metadata, content.tensors).header.length;
    for (let at = 0; at < headerBytes; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      await check(changed).catch((error: unknown) => {
        assert.ok(error instanceof ServiceError, `byte ${at}: ${String(error)}`);
        assert.match(error.code, /^adapter_(?:invalid|incompatible)$/, `byte ${at}: ${error.message}`);
      });
    }
  });

  it('is given up when nobody waits any more', async () => {
    const gone = AbortSignal.abort(new Error('gone'));
    await writeFile(path.join(folder, 'a.gguf'), ggufBytes(small()));
    await assert.rejects(checkAdapterFile(path.join(folder, 'a.gguf'), BASE, 64, gone), /gone/);
  });

  it('is measured against every part of a model that lies in several files', async () => {
    const part = async (index: number, shapes: readonly (readonly [string, readonly number[]])[]) => {
      const tensors = shapes.map(([name, shape]) => tensor(name, shape));
      const file = path.join(folder, `big-0000${index}-of-00002.gguf`);
      await writeFile(file, ggufBytes({ metadata: small().metadata, tensors }));
      return file;
    };
    const first = await part(1, [['blk.0.attn_q.weight', [8, 8]]]);
    await assert.rejects(readBaseTensors(first, alive), { code: 'model_invalid' });
    await part(2, [['blk.1.attn_q.weight', [8, 4]]]);
    const base = await readBaseTensors(first, alive);
    assert.deepEqual(
      [...base.shapes],
      [
        ['blk.0.attn_q.weight', [8, 8]],
        ['blk.1.attn_q.weight', [8, 4]],
      ],
    );
    assert.equal(base.architecture, 'llama');
  });
});
