import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type TestContext } from 'node:test';
import {
  GGUF_LIMITS,
  type GgufHeader,
  type GgufTensorType,
  ggufBlock,
  parseGgufHeader,
} from '../lib/gguf.ts';
import { type GgufField, planGguf, planRetyped } from '../lib/gguf-write.ts';
import { realRuntime } from '../runtime.ts';
import { cacheDirectory, type ModelPaths, modelPaths, removeModel } from './cache.ts';
import { DEFAULT_MODEL, findModel } from './catalogue.ts';
import type { ReadyModel } from './ensure.ts';
import {
  type CopyFile,
  FAST_WEIGHTS_BYTES_MAX,
  type FastWeightsOptions,
  fastWeights,
} from './fast-weights.ts';
import type { ModelProgress } from './progress.ts';
import { requantize } from './requantize.ts';

const idle = () => new AbortController().signal;
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const model = findModel(DEFAULT_MODEL);

const METADATA = new Map<string, GgufField>([
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['llama.block_count', { type: 'u32', value: 1 }],
  ['tokenizer.ggml.tokens', { type: 'strings', value: ['a', 'vampire 🦇', ''] }],
]);
/** The second is of several pieces, the last of a size that wants padding. */
const TENSORS: readonly (readonly [string, readonly number[], GgufTensorType])[] = [
  ['blk.0.attn_norm.weight', [33], 'F32'],
  ['blk.0.ffn_down.weight', [64, 20_000], 'Q4_1'],
  ['blk.0.attn_q.weight', [32, 3], 'Q4_1'],
  ['token_embd.weight', [32, 5], 'Q8_0'],
  ['blk.0.attn_v.weight', [96, 1], 'Q4_1'],
];

function sourceOf(bytes: Uint8Array) {
  return {
    read: (buffer: Uint8Array, offset: number, length: number, position: number) => {
      const slice = bytes.subarray(position, position + length);
      buffer.set(slice, offset);
      return Promise.resolve({ bytesRead: slice.length });
    },
  };
}

const headerOf = (bytes: Uint8Array): Promise<GgufHeader> =>
  parseGgufHeader(sourceOf(bytes), bytes.length, GGUF_LIMITS, idle());

/** Weights that do not repeat; those of Q4_1 are finite. */
function weightsOf(name: string, type: GgufTensorType, bytes: number): Buffer {
  const weights = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 32)
    weights.set(
      createHash('sha256')
        .update(`${name} ${at}`)
        .digest()
        .subarray(0, bytes - at),
      at,
    );
  if (type === 'Q4_1')
    for (let at = 0; at < bytes; at += 20) {
      weights.writeUInt16LE(weights.readUInt16LE(at) & 0x3fff, at);
      weights.writeUInt16LE(weights.readUInt16LE(at + 2) & 0xbfff, at + 2);
    }
  return weights;
}

async function ggufOf(
  tensors = TENSORS,
  metadata: ReadonlyMap<string, GgufField> = METADATA,
): Promise<Buffer> {
  // The writer knows floats only: rows as long in floats, given their types afterwards.
  const types = new Map(tensors.map(([name, , type]) => [name, type]));
  const floats = planGguf(
    metadata,
    tensors.map(([name, shape]) => ({ name, shape, type: 'F32' })),
  );
  const zeros = floats.tensors.map(({ bytes, padding }) => Buffer.alloc(bytes + padding));
  const plan = planRetyped(
    await headerOf(Buffer.concat([floats.header, ...zeros])),
    floats.header,
    ({ name }) => types.get(name) ?? 'F32',
  );
  return Buffer.concat([
    plan.header,
    ...plan.tensors.flatMap(({ bytes, padding }, index) => {
      const [name, , type] = tensors[index] ?? ['', [], 'F32'];
      return [weightsOf(name, type, bytes), Buffer.alloc(padding)];
    }),
  ]);
}

interface World {
  readonly paths: ModelPaths;
  readonly ready: ReadyModel;
  readonly notices: string[];
  readonly made: string[];
  readonly progress: ModelProgress[];
  run(more?: Partial<FastWeightsOptions>, signal?: AbortSignal): Promise<string>;
  files(): Promise<readonly string[]>;
}

const FILE = model.fileName;
const COPY = `${FILE}.q8_0.gguf`;

async function world(context: TestContext, content?: Buffer): Promise<World> {
  const cache = await mkdtemp(join(tmpdir(), 'greenroom-fast-'));
  context.after(() => rm(cache, { recursive: true, force: true }));
  const paths = modelPaths(cache, model);
  const bytes = content ?? (await ggufOf());
  await mkdir(paths.directory, { recursive: true });
  await writeFile(paths.file, bytes);
  const ready = { path: paths.file, sha256: digest(bytes), bytes: bytes.byteLength };
  const notices: string[] = [];
  const made: string[] = [];
  const progress: ModelProgress[] = [];
  return {
    paths,
    ready,
    notices,
    made,
    progress,
    run: (more = {}, signal = idle()) =>
      fastWeights(
        ready,
        {
          paths,
          clock: realRuntime.clock,
          onNotice: (message) => notices.push(message),
          onProgress: (each) => progress.push(each),
          create: (path) => {
            made.push(path);
            return open(path, 'wx');
          },
          ...more,
        },
        signal,
      ),
    files: async () => (await readdir(paths.directory)).sort(),
  };
}

/** A file whose writes first pass `before`, which hears how many bytes came until then. */
async function watched(path: string, before: (bytes: number) => void): Promise<CopyFile> {
  const handle = await open(path, 'wx');
  let bytes = 0;
  const write = ((chunk: Uint8Array, offset: number, length: number) => {
    before(bytes);
    bytes += length;
    return handle.write(chunk, offset, length);
  }) as CopyFile['write'];
  return { write, sync: () => handle.sync(), close: () => handle.close() };
}

const tensorBytes = (file: Buffer, header: GgufHeader, index: number): Buffer => {
  const { offset = 0, bytes = 0 } = header.tensors[index] ?? {};
  return file.subarray(header.dataOffset + offset, header.dataOffset + offset + bytes);
};

test('the copy is the model with its Q4_1 tensors as Q8_0, and nothing else changed', async (context) => {
  const { run, paths, notices, files, progress } = await world(context);
  assert.equal(await run(), paths.fast);
  assert.deepEqual(await files(), [FILE, COPY, `${COPY}.made.json`]);
  const [before, after] = await Promise.all([readFile(paths.file), readFile(paths.fast)]);
  const [source, copy] = await Promise.all([headerOf(before), headerOf(after)]);
  assert.deepEqual(copy.metadata, source.metadata);
  assert.deepEqual(
    copy.tensors.map(({ name, shape, type }) => [name, shape, type]),
    TENSORS.map(([name, shape, type]) => [name, shape, type === 'Q4_1' ? 'Q8_0' : type]),
  );
  for (const [index, { type }] of source.tensors.entries()) {
    const weights = tensorBytes(before, source, index);
    const expected = Buffer.alloc((weights.byteLength / 20) * 34);
    if (type === 'Q4_1') requantize(weights, expected);
    assert.deepEqual(tensorBytes(after, copy, index), type === 'Q4_1' ? expected : weights);
  }
  assert.deepEqual(notices, []);
  assert.deepEqual([...new Set(progress.map(({ stage }) => stage))], ['rewriting']);
  assert.equal(progress.at(-1)?.receivedBytes, progress.at(-1)?.totalBytes);
});

test('the copy is made once: later starts read its record, even where nothing can be written', async (context) => {
  const { run, paths, made, notices } = await world(context);
  await run();
  const { ino, mtimeMs } = await stat(paths.fast);
  assert.equal(await run(), paths.fast);
  assert.equal(await run({ create: () => assert.fail('it is there') }), paths.fast);
  const later = await stat(paths.fast);
  assert.deepEqual([later.ino, later.mtimeMs], [ino, mtimeMs]);
  assert.equal(made.length, 1);
  assert.deepEqual(notices, []);
});

test('a copy that was touched, cut or made of another file is made again, the same to the byte', async (context) => {
  const { run, paths, made, ready } = await world(context);
  await run();
  const first = await readFile(paths.fast);
  await utimes(paths.fast, 1, 1);
  await run();
  assert.equal(made.length, 2);
  await writeFile(paths.fast, first.subarray(0, 1_000));
  await run();
  assert.equal(made.length, 3);
  assert.deepEqual(await readFile(paths.fast), first);
  // The model's own file was replaced, as a new Greenroom with other bytes of that name would.
  const other = await ggufOf(TENSORS.slice(2));
  await writeFile(ready.path, other);
  const options = { paths, clock: realRuntime.clock };
  const replaced = { ...ready, sha256: digest(other), bytes: other.byteLength };
  assert.equal(await fastWeights(replaced, options, idle()), paths.fast);
  assert.notDeepEqual(await readFile(paths.fast), first);
});

test('a file that the operator named has its copy in the cache, and the file stays where it is', async (context) => {
  const { paths, ready } = await world(context);
  const named = join(dirname(paths.directory), 'mine.gguf');
  await writeFile(named, await readFile(ready.path));
  await rm(paths.directory, { recursive: true });
  const options = { paths, clock: realRuntime.clock };
  assert.equal(await fastWeights({ ...ready, path: named }, options, idle()), paths.fast);
  assert.deepEqual(await readdir(dirname(paths.directory)), ['mine.gguf', 'models']);
});

test('what the CPU reads fast already, what is large and what comes in parts is loaded as it is', async (context) => {
  const others = await world(
    context,
    await ggufOf(TENSORS.map(([name, shape]) => [name, shape, shape[0] === 33 ? 'F32' : 'Q4_0'])),
  );
  assert.equal(await others.run(), others.paths.file);
  const split = await world(
    context,
    await ggufOf(TENSORS, new Map([...METADATA, ['split.count', { type: 'u32', value: 2 }]])),
  );
  assert.equal(await split.run(), split.paths.file);
  const { paths, ready, files } = await world(context);
  const large = { ...ready, bytes: FAST_WEIGHTS_BYTES_MAX + 1 };
  const onNotice = () => assert.fail('nothing is wrong');
  assert.equal(await fastWeights(large, { paths, clock: realRuntime.clock, onNotice }, idle()), paths.file);
  for (const { notices } of [others, split]) assert.deepEqual(notices, []);
  for (const each of [others.files, split.files, files]) assert.deepEqual(await each(), [FILE]);
});

test('an abort in the middle leaves nothing behind, and the next start begins anew', async (context) => {
  const { run, paths, files, notices } = await world(context);
  const leaving = new AbortController();
  const stopped = new Error('stopped');
  const create = (path: string) =>
    watched(path, (bytes) => {
      if (bytes > 500_000) leaving.abort(stopped);
    });
  await assert.rejects(run({ create }, leaving.signal), stopped);
  assert.deepEqual(await files(), [FILE]);
  await assert.rejects(run({}, leaving.signal), stopped);
  assert.deepEqual(notices, []);
  assert.equal(await run(), paths.fast);
});

test('a disk that fills up costs the copy, not the start', async (context) => {
  const { run, paths, files, notices } = await world(context);
  const create = (path: string) =>
    watched(path, (bytes) => {
      if (bytes > 500_000) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    });
  assert.equal(await run({ create }), paths.file);
  assert.deepEqual(await files(), [FILE]);
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? '', /could not be rewritten.*the disk is full.*GREENROOM_CACHE/);
  assert.equal(await run(), paths.fast);
});

test('a cache that cannot be written costs the copy, not the start', async (context) => {
  const { ready, paths } = await world(context);
  const notices: string[] = [];
  const path = await fastWeights(
    ready,
    {
      paths: modelPaths(paths.file, model),
      clock: realRuntime.clock,
      onNotice: (message) => notices.push(message),
    },
    idle(),
  );
  assert.equal(path, ready.path);
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? '', /could not be rewritten.*cannot be written \(ENOTDIR\)/);
});

test('weights that are no numbers, a damaged file and other bytes than the digest says are not copied', async (context) => {
  const whole = await ggufOf();
  const infinite = Buffer.from(whole);
  const header = await headerOf(whole);
  infinite.writeUInt16LE(0x7c00, header.dataOffset + (header.tensors[1]?.offset ?? 0) + 20 * 40 + 2);
  const cases: readonly (readonly [Buffer, string | null, RegExp])[] = [
    [infinite, null, /a block of its weights is no number/],
    [whole.subarray(0, whole.length - 1_000), null, /it is cut off/],
    [Buffer.from('GGUF, or so it says, and not one byte of it is'), null, /version/],
    [whole, '0'.repeat(64), /SHA-256 [0-9a-f]{64}, expected 0{64}/],
  ];
  for (const [content, sha256, reason] of cases) {
    const { paths, ready, files } = await world(context, content);
    const notices: string[] = [];
    const path = await fastWeights(
      { ...ready, ...(sha256 === null ? {} : { sha256 }) },
      { paths, clock: realRuntime.clock, onNotice: (message) => notices.push(message) },
      idle(),
    );
    assert.equal(path, paths.file);
    assert.match(notices.join('\n'), reason);
    assert.deepEqual(await files(), [FILE]);
  }
});

test('of several at once one writes and the others wait for it', async (context) => {
  const { run, paths, files } = await world(context);
  const waiting = Promise.withResolvers<void>();
  let made = 0;
  const options: Partial<FastWeightsOptions> = {
    onProgress: ({ stage }) => {
      if (stage === 'waiting') waiting.resolve();
    },
    create: async (path) => {
      made += 1;
      await waiting.promise;
      return open(path, 'wx');
    },
  };
  const all = await Promise.all([run(options), run(options), run(options)]);
  assert.deepEqual(all, [paths.fast, paths.fast, paths.fast]);
  assert.equal(made, 1);
  assert.deepEqual(await files(), [FILE, COPY, `${COPY}.made.json`]);
});

test('what a killed writer left goes with the next copy, and all of it with the model', async (context) => {
  const { run, paths, files } = await world(context);
  const left = `${paths.fast}.4194305.partial`;
  await writeFile(left, 'GGUF');
  await run();
  assert.deepEqual(await files(), [FILE, COPY, `${COPY}.made.json`]);
  await writeFile(left, 'GGUF');
  const { size } = await stat(paths.fast);
  assert.equal(await removeModel(paths), (await ggufOf()).byteLength + size + 4);
  assert.deepEqual(await files(), []);
});

test('the copy of the model that a fresh clone starts with is this one on every machine', async (context) => {
  const { file } = modelPaths(cacheDirectory(realRuntime.environment), model);
  if (!existsSync(file))
    return context.skip(`${model.fileName} is not in the cache; greenroom models pull gets it`);
  const { paths } = await world(context, Buffer.alloc(0));
  const onNotice = (message: string) => assert.fail(message);
  const ready = { path: file, sha256: model.sha256, bytes: model.bytes };
  assert.equal(await fastWeights(ready, { paths, clock: realRuntime.clock, onNotice }, idle()), paths.fast);
  const copy = await readFile(paths.fast);
  assert.equal(copy.byteLength, 144_811_072);
  assert.equal(digest(copy), 'd550527d238c6762479fa99d56939daa9cf1427a3a6cd7bf2c633869daef3d02');
  const [before, after] = await Promise.all([headerOf(await readFile(file)), headerOf(copy)]);
  assert.deepEqual(after.metadata, before.metadata);
  assert.deepEqual(
    after.tensors.map(({ name, shape, type }) => [name, shape, type]),
    before.tensors.map(({ name, shape, type }) => [name, shape, type === 'Q4_1' ? 'Q8_0' : type]),
  );
  assert.equal(before.tensors.filter(({ type }) => type === 'Q4_1').length, 210);
  assert.deepEqual([ggufBlock('Q4_1').bytes, ggufBlock('Q8_0').bytes], [20, 34]);
});
