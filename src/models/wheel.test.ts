import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { ServiceError } from '../core/errors.ts';
import { readWheelMember } from './wheel.ts';

const CONTENT = Buffer.from('a model, or near enough. '.repeat(20));

/** Two files, the first stored and the second deflated, as wheels hold them. */
function archive(): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, method, data] of [
    ['small/__init__.py', 0, Buffer.from('pass')],
    ['small/model.gguf', 8, deflateRawSync(CONTENT)],
  ] as const) {
    const nameBytes = Buffer.from(name);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(method, 8);
    local.writeUInt16LE(nameBytes.length, 26);
    local.writeUInt16LE(3, 28);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(method, 10);
    central.writeUInt32LE(data.length, 20);
    central.writeUInt16LE(nameBytes.length, 28);
    central.writeUInt32LE(offset, 42);
    directory.push(central, nameBytes);
    const entry = Buffer.concat([local, nameBytes, Buffer.alloc(3), data]);
    parts.push(entry);
    offset += entry.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(2, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, listing, end]);
}

async function place(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-wheel-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'small.whl');
}

async function read(path: string, member: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readWheelMember(path, member)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('a stored and a deflated file come out as they went in', async (context) => {
  const path = await place(context);
  await writeFile(path, archive());
  assert.deepEqual(await read(path, 'small/model.gguf'), CONTENT);
  assert.equal((await read(path, 'small/__init__.py')).toString(), 'pass');
  await assert.rejects(read(path, 'small/other'), /does not hold small\/other/);
});

test('an archive that is cut anywhere is refused in words, never taken for whole', async (context) => {
  const path = await place(context);
  const whole = archive();
  for (let cut = 0; cut < whole.length; cut += 1) {
    await writeFile(path, whole.subarray(0, cut));
    await assert.rejects(
      read(path, 'small/model.gguf'),
      (error) => error instanceof ServiceError && error.code === 'model_invalid',
      `cut at ${cut}`,
    );
  }
});

test('any flipped byte gives the same content, other content or a refusal, and always an end', async (context) => {
  const path = await place(context);
  const whole = archive();
  for (let at = 0; at < whole.length; at += 1) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] ?? 0) ^ 0xff;
    await writeFile(path, damaged);
    try {
      await read(path, 'small/model.gguf');
    } catch (error) {
      assert.ok(
        error instanceof ServiceError && error.code === 'model_invalid',
        `byte ${at}: ${String(error)}`,
      );
    }
  }
});

test('leaving in the middle closes the file', async (context) => {
  const path = await place(context);
  await writeFile(path, archive());
  for await (const chunk of readWheelMember(path, 'small/model.gguf')) {
    assert.ok(chunk.byteLength > 0);
    break;
  }
});
