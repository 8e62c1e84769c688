import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import {
  CONFIG,
  emptyFolder,
  failure,
  fetchOptions,
  idle,
  OTHER_WEIGHTS,
  sha256Of,
  WEIGHTS,
} from '../../testing/raw-adapter.ts';
import { parseSource } from './address.ts';
import { fetchAdapter } from './fetch.ts';
import type { FetchProgress } from './fetched.ts';

async function peftFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'adapter_config.json'), CONFIG);
  await writeFile(join(folder, 'adapter_model.safetensors'), WEIGHTS);
}

test('of a folder as PEFT writes it, the two files that are the adapter are taken and nothing else', async (context) => {
  const folder = await emptyFolder(context);
  const from = join(folder, 'lich');
  const into = join(folder, 'into');
  await peftFolder(from);
  await mkdir(join(from, 'checkpoint-10'));
  for (const name of ['README.md', 'training_args.bin', 'adapter_model.bin', 'optimizer.pt'])
    await writeFile(join(from, name), 'x');
  const heard: FetchProgress[] = [];
  const fetched = await fetchAdapter(
    parseSource(from),
    fetchOptions(into, { onProgress: (progress) => heard.push(progress) }),
    idle(),
  );
  assert.deepEqual(fetched, {
    format: 'peft',
    path: into,
    files: [
      { name: 'adapter_config.json', bytes: CONFIG.length, sha256: sha256Of(CONFIG) },
      { name: 'adapter_model.safetensors', bytes: WEIGHTS.length, sha256: sha256Of(WEIGHTS) },
    ],
    source: { kind: 'local', address: from, revision: null, weightsSha256: sha256Of(WEIGHTS) },
  });
  assert.deepEqual((await readdir(into)).sort(), ['adapter_config.json', 'adapter_model.safetensors']);
  assert.deepEqual(await readFile(join(into, 'adapter_model.safetensors')), WEIGHTS);
  assert.equal(heard.at(-1)?.receivedBytes, WEIGHTS.length);
  // A second time into the same folder, with what was there in the way.
  assert.deepEqual(await fetchAdapter(parseSource(from), fetchOptions(into), idle()), fetched);
});

test('what was taken does not change when the folder it came from is written anew', async (context) => {
  const folder = await emptyFolder(context);
  const from = join(folder, 'lich');
  await peftFolder(from);
  const { path } = await fetchAdapter(parseSource(from), fetchOptions(join(folder, 'into')), idle());
  // As trainers do: a new file put in the place of the old one.
  spawnSync('mv', [join(from, 'adapter_config.json'), join(from, 'adapter_model.safetensors')]);
  assert.deepEqual(await readFile(join(path, 'adapter_model.safetensors')), WEIGHTS);
});

test('a single file is taken under its fixed name, a safetensors file with the config beside it', async (context) => {
  const folder = await emptyFolder(context);
  await writeFile(join(folder, 'Lich Q8.GGUF'), WEIGHTS);
  const gguf = await fetchAdapter(
    parseSource(`${join(folder, 'Lich Q8.GGUF')}#sha256=${sha256Of(WEIGHTS)}`),
    fetchOptions(join(folder, 'a')),
    idle(),
  );
  assert.equal(gguf.format, 'gguf');
  assert.equal(gguf.path, join(folder, 'a', 'adapter.gguf'));
  assert.deepEqual(await readFile(gguf.path), WEIGHTS);

  await writeFile(join(folder, 'lich.safetensors'), OTHER_WEIGHTS);
  const source = parseSource(join(folder, 'lich.safetensors'));
  const alone = await failure(fetchAdapter(source, fetchOptions(join(folder, 'b')), idle()));
  assert.equal(alone.code, 'adapter_invalid');
  assert.match(alone.message, /adapter_config\.json does not exist/);
  await writeFile(join(folder, 'adapter_config.json'), CONFIG);
  const peft = await fetchAdapter(source, fetchOptions(join(folder, 'b')), idle());
  assert.equal(peft.format, 'peft');
  assert.deepEqual(await readFile(join(peft.path, 'adapter_model.safetensors')), OTHER_WEIGHTS);

  // The folder of the other format leaves nothing of it behind.
  const again = await fetchAdapter(
    parseSource(join(folder, 'Lich Q8.GGUF')),
    fetchOptions(join(folder, 'b')),
    idle(),
  );
  assert.deepEqual(await readdir(join(folder, 'b')), ['adapter.gguf']);
  assert.equal(again.format, 'gguf');
});

const refusals: readonly {
  readonly name: string;
  readonly lay: (folder: string) => Promise<unknown>;
  readonly code?: string;
  readonly expected: RegExp;
}[] = [
  { name: 'no folder', lay: async () => {}, expected: /lich does not exist/ },
  { name: 'an empty folder', lay: (folder) => mkdir(folder), expected: /expected .*found no file/ },
  {
    name: 'only a pickle',
    lay: async (folder) => {
      await mkdir(folder);
      await writeFile(join(folder, 'adapter_config.json'), CONFIG);
      await writeFile(join(folder, 'adapter_model.bin'), WEIGHTS);
    },
    expected: /adapter_model\.bin, a pickle file.*safe_serialization/,
  },
  {
    name: 'no config',
    lay: async (folder) => {
      await mkdir(folder);
      await writeFile(join(folder, 'adapter_model.safetensors'), WEIGHTS);
    },
    expected: /adapter_config\.json is missing/,
  },
  {
    name: 'two GGUF files',
    lay: async (folder) => {
      await mkdir(folder);
      await writeFile(join(folder, 'a.gguf'), WEIGHTS);
      await writeFile(join(folder, 'b.gguf'), WEIGHTS);
    },
    expected: /2 \.gguf files; name the one .*"a\.gguf", "b\.gguf"/,
  },
  {
    name: 'a link out of the folder',
    lay: async (folder) => {
      await peftFolder(folder);
      await writeFile(`${folder}.secret`, 'the keys of the house');
      await symlink(`${folder}.secret`, join(folder, 'x.gguf'));
      await symlink('x.gguf', join(folder, 'y'));
      spawnSync('ln', ['-sfn', '../lich.secret', join(folder, 'adapter_config.json')]);
    },
    expected: /adapter_config\.json is a symbolic link to .*lich\.secret, outside the folder/,
  },
  {
    name: 'a link in circles',
    lay: async (folder) => {
      await mkdir(folder);
      await symlink('a.gguf', join(folder, 'a.gguf'));
    },
    expected: /symbolic link in circles/,
  },
  {
    name: 'a pipe that would never end',
    lay: async (folder) => {
      await mkdir(folder);
      assert.equal(spawnSync('mkfifo', [join(folder, 'a.gguf')]).status, 0);
    },
    expected: /a\.gguf is no regular file/,
  },
  {
    name: 'a config of a megabyte and more',
    lay: async (folder) => {
      await peftFolder(folder);
      await writeFile(join(folder, 'adapter_config.json'), Buffer.alloc(1_000_001));
    },
    expected: /1000001 bytes; at most 1000000/,
  },
  {
    name: 'a folder of a thousand files and more',
    lay: async (folder) => {
      await peftFolder(folder);
      for (let index = 0; index < 1_000; index++) await writeFile(join(folder, `${index}`), '');
    },
    expected: /more than 1000 files/,
  },
];

for (const { name, lay, expected } of refusals) {
  test(`a source with ${name} is refused with the reason, and nothing of it is taken`, async (context) => {
    const folder = await emptyFolder(context);
    await lay(join(folder, 'lich'));
    const into = join(folder, 'into');
    const error = await failure(fetchAdapter(parseSource(join(folder, 'lich')), fetchOptions(into), idle()));
    assert.equal(error.code, 'adapter_invalid');
    assert.match(error.message, expected);
    assert.deepEqual(await readdir(into), []);
  });
}

test('a link inside the folder is followed, and so is one that an operator names himself', async (context) => {
  const folder = await emptyFolder(context);
  await peftFolder(join(folder, 'lich'));
  spawnSync('mv', [join(folder, 'lich', 'adapter_model.safetensors'), join(folder, 'lich', 'blob')]);
  await symlink('blob', join(folder, 'lich', 'adapter_model.safetensors'));
  const fetched = await fetchAdapter(
    parseSource(join(folder, 'lich')),
    fetchOptions(join(folder, 'a')),
    idle(),
  );
  assert.equal((await stat(join(fetched.path, 'adapter_model.safetensors'))).size, WEIGHTS.length);
  await symlink(join(folder, 'lich', 'blob'), join(folder, 'newest.gguf'));
  const named = await fetchAdapter(
    parseSource(join(folder, 'newest.gguf')),
    fetchOptions(join(folder, 'b')),
    idle(),
  );
  assert.deepEqual(await readFile(named.path), WEIGHTS);
});

test('wrong bytes, two digests and a taken place are named; a stopped call says why it was stopped', async (context) => {
  const folder = await emptyFolder(context);
  await peftFolder(join(folder, 'lich'));
  const source = parseSource(join(folder, 'lich'));
  const into = join(folder, 'into');
  const wrong = await failure(
    fetchAdapter(source, fetchOptions(into, { expectedSha256: sha256Of(CONFIG) }), idle()),
  );
  assert.equal(wrong.code, 'digest_mismatch');
  assert.match(wrong.message, new RegExp(`has SHA-256 ${sha256Of(WEIGHTS)}, expected ${sha256Of(CONFIG)}`));
  const two = await failure(
    fetchAdapter(
      { ...source, sha256: sha256Of(WEIGHTS) },
      fetchOptions(into, { expectedSha256: sha256Of(CONFIG) }),
      idle(),
    ),
  );
  assert.equal(two.code, 'bad_request');
  const short = await failure(fetchAdapter(source, fetchOptions(into, { expectedSha256: 'ab' }), idle()));
  assert.match(short.message, /64 hexadecimal/);
  await writeFile(join(folder, 'taken'), '');
  const taken = await failure(fetchAdapter(source, fetchOptions(join(folder, 'taken')), idle()));
  assert.equal(taken.code, 'adapter_unavailable');
  assert.match(taken.message, /taken cannot be written/);
  const reason = new Error('enough');
  await assert.rejects(fetchAdapter(source, fetchOptions(into), AbortSignal.abort(reason)), reason);
});
