import assert from 'node:assert/strict';
import { open, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { ServiceError } from '../../core/errors.ts';
import { type ArtefactBench, artefactBench } from '../../testing/artefact-bench.ts';
import { peftContent, safetensorsBytes, TINY_BASES, writePeftFolder } from '../../testing/peft-folder.ts';
import { ARTEFACT_FILES } from './artefact.ts';

const base = TINY_BASES.llama;

/** Every beginning of the file, then every byte of its header with one bit the other way. */
async function fuzz(
  on: ArtefactBench,
  from: string,
  path: string,
  headerBytes: number,
  canFlip: (digest: string, at: number) => boolean,
): Promise<void> {
  const whole = await readFile(path);
  const expect = async (what: string, allowed: (digest: string) => boolean) => {
    try {
      const digest = await on.stage(from);
      await rm(join(on.root, digest), { recursive: true });
      assert.ok(allowed(digest), `${what} was taken`);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw new Error(`${what}: ${String(error)}`, { cause: error });
      assert.ok(['adapter_invalid', 'adapter_incompatible'].includes(error.code), `${what}: ${error.code}`);
      assert.ok(error.message.length < 1_000, `${what}: a message of ${error.message.length} characters`);
    }
  };
  for (let length = whole.length - 1; length >= 0; length--) {
    // The weights' own bytes are all alike to the reader; a few cuts there are as good as each.
    if (length > headerBytes && length % 61 !== 0 && whole.length - length > 8) continue;
    await truncate(path, length);
    await expect(`cut to ${length} bytes`, () => false);
    if (length % 64 === 0) await writeFile(path, whole);
  }
  await writeFile(path, whole);
  const handle = await open(path, 'r+');
  try {
    for (let at = 0; at < headerBytes; at++) {
      const byte = whole[at] ?? 0;
      await handle.write(Buffer.of(byte ^ (1 << (at % 8))), 0, 1, at);
      await expect(`byte ${at} flipped`, (digest) => canFlip(digest, at));
      await handle.write(Buffer.of(byte), 0, 1, at);
    }
  } finally {
    await handle.close();
  }
}

test('a safetensors file that is cut or flipped anywhere is refused, or is another adapter', async (context) => {
  const on = await artefactBench(context);
  const options = { seed: 1, base, targets: ['q_proj'], rank: 2 };
  const from = await writePeftFolder(join(on.home, 'lich'), options);
  const digest = await on.stage(from);
  await rm(join(on.root, digest), { recursive: true });
  const { tensors } = peftContent(options);
  const whole = safetensorsBytes(tensors);
  const headerBytes = whole.length - tensors.reduce((sum, { data }) => sum + data.length, 0);
  // Flips in __metadata__ say nothing; one that turns F32 into another type has other sizes and is refused.
  const metadataEnd = whole.indexOf('},') + 1;
  await fuzz(on, from, join(from, ARTEFACT_FILES.weights), headerBytes, (found, at) =>
    at < metadataEnd || whole[at] === 0x20 ? found === digest : found !== digest,
  );
});

test('a GGUF file that is cut or flipped anywhere is refused, or is another adapter', async (context) => {
  const on = await artefactBench(context);
  const options = { seed: 1, base, targets: ['q_proj'], rank: 2 };
  const digest = await on.stage(await writePeftFolder(join(on.home, 'lich'), options));
  const path = join(on.home, 'lich.gguf');
  await rename(join(on.root, digest, ARTEFACT_FILES.gguf), path);
  await rm(join(on.root, digest), { recursive: true });
  const headerBytes =
    (await readFile(path)).length -
    peftContent(options).tensors.reduce((sum, { data }) => sum + data.length, 0);
  await fuzz(on, path, path, headerBytes, () => true);
});

test('a configuration that is cut or flipped anywhere never does harm', async (context) => {
  const on = await artefactBench(context);
  const from = await writePeftFolder(join(on.home, 'lich'), { seed: 1, base, targets: ['q_proj'], rank: 2 });
  const path = join(from, ARTEFACT_FILES.config);
  // The last byte is a line's end.
  const bytes = (await readFile(path)).length;
  await writeFile(path, (await readFile(path)).subarray(0, bytes - 1));
  await fuzz(on, from, path, bytes - 1, () => true);
});
