import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ByteSource, GgufLimits } from './gguf.ts';
import { GGUF_LIMITS, GgufError, parseGgufHeader, readGgufHeader } from './gguf.ts';
import type { GgufField, GgufPlannedTensor } from './gguf-write.ts';
import { planGguf, planRetyped } from './gguf-write.ts';

const alive = new AbortController().signal;

const METADATA = new Map<string, GgufField>([
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['general.type', { type: 'string', value: 'adapter' }],
  ['adapter.lora.alpha', { type: 'f32', value: 16 }],
  ['llama.block_count', { type: 'u32', value: 30 }],
  ['general.size', { type: 'u64', value: 2 ** 40 }],
  ['general.quantised', { type: 'bool', value: true }],
  ['general.tags', { type: 'strings', value: ['lora', 'vampire 🦇', ''] }],
]);
const TENSORS: readonly GgufPlannedTensor[] = [
  { name: 'blk.0.attn_q.weight.lora_a', shape: [6, 2], type: 'F32' },
  { name: 'blk.0.attn_q.weight.lora_b', shape: [2, 6], type: 'F16' },
  { name: 'output_norm.weight', shape: [5], type: 'F32' },
];

function fileOf(
  metadata: ReadonlyMap<string, GgufField> = METADATA,
  tensors: readonly GgufPlannedTensor[] = TENSORS,
): Buffer {
  const plan = planGguf(metadata, tensors);
  const weights = plan.tensors.map(({ bytes, padding }) => Buffer.alloc(bytes + padding, 7));
  return Buffer.concat([plan.header, ...weights]);
}

/** Counts what was asked for, and gives at most `atOnce` bytes a call. */
function sourceOf(bytes: Uint8Array, atOnce = Number.POSITIVE_INFINITY): ByteSource & { asked: number } {
  return {
    asked: 0,
    read(buffer, offset, length, position) {
      const slice = bytes.subarray(position, position + Math.min(length, atOnce));
      buffer.set(slice, offset);
      this.asked += slice.length;
      return Promise.resolve({ bytesRead: slice.length });
    },
  };
}

const parse = (bytes: Uint8Array, limits: Partial<GgufLimits> = {}) =>
  parseGgufHeader(sourceOf(bytes), bytes.length, { ...GGUF_LIMITS, ...limits }, alive);

describe('the header of a GGUF file', () => {
  it('is read as it was written, with where each tensor lies', async () => {
    const bytes = fileOf();
    const header = await parse(bytes);
    assert.equal(header.version, 3);
    assert.equal(header.metadata.get('general.architecture'), 'llama');
    assert.equal(header.metadata.get('adapter.lora.alpha'), 16);
    assert.equal(header.metadata.get('general.size'), 2 ** 40);
    assert.equal(header.metadata.get('general.quantised'), true);
    assert.equal(header.metadataTypes.get('adapter.lora.alpha'), 'f32');
    assert.deepEqual(header.metadata.get('general.tags'), { length: 3, items: ['lora', 'vampire 🦇', ''] });
    assert.deepEqual(
      header.tensors.map(({ name, shape, type, offset, bytes: size }) => [name, shape, type, offset, size]),
      [
        ['blk.0.attn_q.weight.lora_a', [6, 2], 'F32', 0, 48],
        ['blk.0.attn_q.weight.lora_b', [2, 6], 'F16', 64, 24],
        ['output_norm.weight', [5], 'F32', 96, 20],
      ],
    );
    assert.equal(header.dataOffset % 32, 0);
    assert.equal(header.dataOffset, planGguf(METADATA, TENSORS).header.length);
  });

  it('with other types for its tensors is as long, and says where they lie then', async () => {
    const bytes = fileOf();
    const source = await parse(bytes);
    const typeOf = ({ name }: { readonly name: string }) => (name.endsWith('lora_a') ? 'F16' : 'F32');
    const plan = planRetyped(source, bytes, typeOf);
    const weights = plan.tensors.map(({ bytes: size, padding }) => Buffer.alloc(size + padding));
    const header = await parse(Buffer.concat([plan.header, ...weights]));
    assert.deepEqual(header.metadata, source.metadata);
    assert.equal(header.dataOffset, source.dataOffset);
    assert.deepEqual(
      header.tensors.map(({ name, shape, type, offset, bytes: size }) => [name, shape, type, offset, size]),
      [
        ['blk.0.attn_q.weight.lora_a', [6, 2], 'F16', 0, 24],
        ['blk.0.attn_q.weight.lora_b', [2, 6], 'F32', 32, 48],
        ['output_norm.weight', [5], 'F32', 96, 20],
      ],
    );
    assert.deepEqual(bytes, fileOf(), 'what it was made of is not changed');
    assert.deepEqual(planRetyped({ ...source, alignment: 64 }, bytes, typeOf).tensors, [
      { bytes: 24, padding: 40 },
      { bytes: 48, padding: 16 },
      { bytes: 20, padding: 44 },
    ]);
  });

  it('is the same whatever pieces it arrives in', async () => {
    const bytes = fileOf();
    const whole = await parse(bytes);
    for (const atOnce of [1, 3, 7])
      assert.deepEqual(
        await parseGgufHeader(sourceOf(bytes, atOnce), bytes.length, GGUF_LIMITS, alive),
        whole,
      );
  });

  it('reads back whatever was written', async () => {
    const name = fc.string({ minLength: 1, maxLength: 15 });
    const tensor = fc.record({
      shape: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
      type: fc.constantFrom('F32' as const, 'F16' as const),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.string({ minLength: 1, maxLength: 20 }),
          fc.string({ unit: 'grapheme', maxLength: 20 }),
        ),
        fc.uniqueArray(name, { maxLength: 6 }),
        fc.array(tensor, { minLength: 6, maxLength: 6 }),
        async (texts, names, shapes) => {
          const metadata = new Map(
            Object.entries(texts).map(([key, value]): [string, GgufField] => [
              key,
              { type: 'string', value },
            ]),
          );
          metadata.delete('general.alignment');
          const tensors = names.map((each, index) => ({
            name: each,
            shape: shapes[index]?.shape ?? [1],
            type: shapes[index]?.type ?? ('F32' as const),
          }));
          const header = await parse(fileOf(metadata, tensors));
          assert.deepEqual(
            [...header.metadata],
            [...metadata].map(([key, field]) => [key, field.value]),
          );
          assert.deepEqual(
            header.tensors.map((each) => ({ name: each.name, shape: each.shape, type: each.type })),
            tensors,
          );
        },
      ),
      { numRuns: 50 },
    );
  });

  it('cut off at any byte is refused', async () => {
    const bytes = fileOf(METADATA, TENSORS.slice(0, 2));
    // The last tensor's padding is not needed.
    const end = bytes.length - 8;
    for (let length = 0; length < end; length++)
      await assert.rejects(parse(bytes.subarray(0, length)), GgufError, `cut at ${length}`);
    await parse(bytes.subarray(0, end));
  });

  it('with any byte changed is read or refused by name, and never asks for more than the limits', async () => {
    const bytes = fileOf();
    const headerBytes = planGguf(METADATA, TENSORS).header.length;
    for (let at = 0; at < headerBytes; at++)
      for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff, (bytes[at] ?? 0) ^ 0x08]) {
        const changed = Uint8Array.from(bytes);
        changed[at] = value;
        const source = sourceOf(changed);
        await parseGgufHeader(source, changed.length, GGUF_LIMITS, alive).catch((error: unknown) =>
          assert.ok(error instanceof GgufError, `byte ${at} = ${value}: ${String(error)}`),
        );
        assert.ok(source.asked <= 4 * bytes.length);
      }
  });

  it('over a limit is refused before it is read', async () => {
    const bytes = fileOf();
    await assert.rejects(parse(bytes, { headerBytesMax: 100 }), /header is over 100 bytes/);
    await assert.rejects(parse(bytes, { metadataMax: 6 }), /7 metadata entries; at most 6/);
    await assert.rejects(parse(bytes, { tensorsMax: 2 }), /3 tensors; at most 2/);
    await assert.rejects(parse(bytes, { stringBytesMax: 8 }), /has 20 bytes; at most 8/);
    const { metadata } = await parse(bytes, { arrayItemsKept: 2 });
    assert.deepEqual(metadata.get('general.tags'), { length: 3, items: null });
  });

  const field = (key: string, value: GgufField) => new Map([...METADATA, [key, value]]);
  const refusals: readonly (readonly [string, Buffer, RegExp])[] = [
    ['a page of HTML', Buffer.from('<!doctype html><title>404</title>'), /does not begin with GGUF/],
    ['another version', patched(4, 9), /GGUF version 9/],
    ['big endian', patched(4, 0, 0, 0, 3), /version 50331648/],
    ['an odd alignment', fileOf(field('general.alignment', { type: 'u32', value: 33 })), /alignment is 33/],
    ['no alignment', fileOf(field('general.alignment', { type: 'u32', value: 0 })), /alignment is 0/],
    ['an empty key', fileOf(field('', { type: 'bool', value: true })), /key is empty/],
    [
      'an alignment of another type',
      fileOf(field('general.alignment', { type: 'u64', value: 32 })),
      /not typed u32/,
    ],
    [
      'two tensors of one name',
      fileOf(METADATA, [...TENSORS.slice(0, 1), ...TENSORS.slice(0, 1)]),
      /stands there twice/,
    ],
    ['a long name', fileOf(METADATA, [{ name: 'x'.repeat(64), shape: [1], type: 'F32' }]), /64 bytes/],
    ['no dimension', fileOf(METADATA, [{ name: 'x', shape: [], type: 'F32' }]), /0 dimensions/],
    ['five dimensions', fileOf(METADATA, [{ name: 'x', shape: [1, 1, 1, 1, 1], type: 'F32' }]), /5 dim/],
    ['an empty tensor', fileOf(METADATA, [{ name: 'x', shape: [0, 4], type: 'F32' }]), /shape 0 × 4/],
  ];
  function patched(at: number, ...values: number[]): Buffer {
    const bytes = fileOf();
    bytes.set(values, at);
    return bytes;
  }
  for (const [name, bytes, message] of refusals)
    it(`with ${name} is refused`, () => assert.rejects(parse(bytes), message));

  it('is read from a file; a folder is none, and nobody waits once aborted', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'gguf-'));
    try {
      const file = path.join(folder, 'a.gguf');
      await writeFile(file, fileOf());
      assert.equal((await readGgufHeader(file, GGUF_LIMITS, alive)).tensors.length, 3);
      await assert.rejects(readGgufHeader(folder, GGUF_LIMITS, alive), GgufError);
      await assert.rejects(readGgufHeader(path.join(folder, 'none'), GGUF_LIMITS, alive), { code: 'ENOENT' });
      const gone = AbortSignal.abort(new Error('gone'));
      await assert.rejects(readGgufHeader(file, GGUF_LIMITS, gone), /gone/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
