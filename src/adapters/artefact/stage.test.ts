import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { ServiceError } from '../../core/errors.ts';
import { realRuntime } from '../../runtime.ts';
import { TINY_BASES, writePeftFolder } from '../../testing/peft-folder.ts';
import { type AdapterArtefact, ARTEFACT_FILES } from './artefact.ts';
import { describeArtefact, readArtefact, verifyArtefact } from './describe.ts';
import { type StageOptions, stageAdapter } from './stage.ts';

const { clock, random } = realRuntime;
const idle = () => new AbortController().signal;

async function temporary(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-artefact-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const stage = (options: Omit<StageOptions, 'clock' | 'random' | 'base'> & Partial<StageOptions>) =>
  stageAdapter({ clock, random, base: TINY_BASES.llama, ...options }, idle());

const folderOf = (root: string, { digest }: AdapterArtefact) => join(root, digest);

test('a PEFT folder becomes a folder named by its digest, with both formats and a description', async (context) => {
  const home = await temporary(context);
  const root = join(home, 'adapters');
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama, alpha: 8 });
  const artefact = await stage({ from, root });
  assert.deepEqual(await readdir(root), ['.staging', artefact.digest].sort());
  assert.deepEqual(await readdir(join(root, '.staging')), []);
  const folder = folderOf(root, artefact);
  assert.deepEqual((await readdir(folder)).sort(), Object.values(ARTEFACT_FILES).sort());
  assert.deepEqual(await readArtefact(folder, idle()), artefact);
  assert.deepEqual(await describeArtefact(folder, idle()), artefact);
  assert.deepEqual(await verifyArtefact(folder, artefact.digest, idle()), artefact);
  const { digest, bytes, ggufBytes, ggufDigest, ...rest } = artefact;
  assert.equal(bytes, (await readFile(join(folder, ARTEFACT_FILES.weights))).length);
  assert.equal(ggufBytes, (await readFile(join(folder, ARTEFACT_FILES.gguf))).length);
  assert.match(`${digest} ${ggufDigest}`, /^[0-9a-f]{64} [0-9a-f]{64}$/);
  assert.deepEqual(rest, {
    architecture: 'llama',
    heads: 4,
    keyValueHeads: 2,
    layers: 2,
    adaptedLayers: [0, 1],
    rank: 4,
    alpha: 8,
    targetModules: ['q_proj', 'v_proj'],
    modules: [
      { name: 'q_proj', in: 32, out: 32, isPerLayer: true },
      { name: 'v_proj', in: 32, out: 16, isPerLayer: true },
    ],
    dtype: 'F32',
    baseModelNameOrPath: 'random/llama',
  });
});

test('the digest is what sha256sum of both canonical files gives', async (context) => {
  const home = await temporary(context);
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama });
  const { digest } = await stage({ from, root: home });
  const printed = execFileSync(
    'sh',
    ['-c', `sha256sum ${ARTEFACT_FILES.config} ${ARTEFACT_FILES.weights} | sha256sum`],
    { cwd: join(home, digest), encoding: 'utf8' },
  );
  assert.equal(printed.slice(0, 64), digest);
});

test('staging the same adapter again finds it, and another one is another folder', async (context) => {
  const home = await temporary(context);
  const root = join(home, 'adapters');
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama });
  const other = await writePeftFolder(join(home, 'ghoul'), { seed: 2, base: TINY_BASES.llama });
  const first = await stage({ from, root });
  const again = await Promise.all([stage({ from, root }), stage({ from, root }), stage({ from, root })]);
  for (const artefact of again) assert.deepEqual(artefact, first);
  const second = await stage({ from: other, root });
  assert.notEqual(second.digest, first.digest);
  assert.deepEqual(await readdir(root), ['.staging', first.digest, second.digest].sort());
});

test('a damaged folder of the same digest is replaced by a whole one', async (context) => {
  const home = await temporary(context);
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama });
  const artefact = await stage({ from, root: home });
  await writeFile(join(folderOf(home, artefact), ARTEFACT_FILES.gguf), 'GGUF');
  await assert.rejects(describeArtefact(folderOf(home, artefact), idle()), { code: 'digest_mismatch' });
  assert.deepEqual(await stage({ from, root: home }), artefact);
  assert.deepEqual(await describeArtefact(folderOf(home, artefact), idle()), artefact);
});

test('every file that was changed after staging is noticed', async (context) => {
  const home = await temporary(context);
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama });
  const artefact = await stage({ from, root: home });
  const folder = folderOf(home, artefact);
  for (const file of Object.values(ARTEFACT_FILES)) {
    const path = join(folder, file);
    const bytes = await readFile(path);
    const changed = Buffer.from(bytes);
    const at = file === ARTEFACT_FILES.description ? changed.indexOf('"rank": 4') + 8 : changed.length - 8;
    changed[at] = (changed[at] ?? 0) ^ 1;
    await writeFile(path, changed);
    await assert.rejects(verifyArtefact(folder, artefact.digest, idle()), { code: 'digest_mismatch' }, file);
    await writeFile(path, bytes);
  }
  await verifyArtefact(folder, artefact.digest, idle());
  await assert.rejects(verifyArtefact(folder, '0'.repeat(64), idle()), { code: 'digest_mismatch' });
});

test('a full disk leaves nothing half-made and says so', async (context) => {
  const home = await temporary(context);
  const root = join(home, 'adapters');
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama });
  for (const file of Object.values(ARTEFACT_FILES)) {
    // The kernel's own ENOSPC.
    const create = (path: string) => open(basename(path) === file ? '/dev/full' : path, 'w');
    await assert.rejects(stage({ from, root, create }), (error) => {
      assert.ok(error instanceof ServiceError);
      assert.equal(error.code, 'out_of_space');
      assert.match(error.message, /out of space.*adapters\.directory/);
      return true;
    });
    assert.deepEqual(await readdir(root), ['.staging']);
    assert.deepEqual(await readdir(join(root, '.staging')), []);
  }
});

test('an abort at any write leaves nothing behind', async (context) => {
  const home = await temporary(context);
  const root = join(home, 'adapters');
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama });
  for (const file of Object.values(ARTEFACT_FILES)) {
    const controller = new AbortController();
    const reason = new Error('enough');
    const create = (path: string) => {
      if (basename(path) === file) controller.abort(reason);
      return open(path, 'wx');
    };
    const options = { from, root, create, clock, random, base: TINY_BASES.llama };
    await assert.rejects(stageAdapter(options, controller.signal), reason);
    assert.deepEqual(await readdir(join(root, '.staging')), []);
    assert.deepEqual(await readdir(root), ['.staging']);
  }
});

test('a process killed in the middle of staging leaves nothing that is seen, and the next one clears it away', async (context) => {
  const home = await temporary(context);
  const root = join(home, 'adapters');
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama });
  const module = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
  const script = `
    import { open } from 'node:fs/promises';
    import { stageAdapter } from ${module('./stage.ts')};
    import { realRuntime } from ${module('../../runtime.ts')};
    const base = ${JSON.stringify(TINY_BASES.llama)};
    const create = async (path) => {
      if (!path.endsWith('.gguf')) return await open(path, 'wx');
      process.stdout.write('half-way');
      setInterval(() => {}, 1_000);
      return await new Promise(() => {});
    };
    const options = { from: ${JSON.stringify(from)}, root: ${JSON.stringify(root)}, base, create, ...realRuntime };
    await stageAdapter(options, new AbortController().signal);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  context.after(() => child.kill('SIGKILL'));
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  assert.equal(said.toString(), 'half-way');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual(await readdir(root), ['.staging']);
  const [left] = await readdir(join(root, '.staging'));
  assert.deepEqual((await readdir(join(root, '.staging', left ?? ''))).sort(), [
    ARTEFACT_FILES.config,
    ARTEFACT_FILES.weights,
  ]);
  const artefact = await stage({ from, root });
  assert.deepEqual(await readdir(join(root, '.staging')), []);
  assert.deepEqual(await describeArtefact(folderOf(root, artefact), idle()), artefact);
});

test('what a killed process left is swept, what a living one makes is not', async (context) => {
  const home = await temporary(context);
  const from = await writePeftFolder(join(home, 'lich'), { seed: 1, base: TINY_BASES.llama });
  let host = '';
  const create = async (path: string) => {
    host = path.split('/').at(-2)?.split('-')[0] ?? '';
    return await open(path, 'wx');
  };
  await stage({ from, root: home, create });
  const ended = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
  const left = [`${host}-${ended}-aa`, `${host}-${process.pid}-bb`];
  const kept = [`${host}-${process.ppid}-cc`, '00000000-1-dd'];
  for (const name of [...left, ...kept]) await mkdir(join(home, '.staging', name));
  await stage({ from, root: home });
  assert.deepEqual((await readdir(join(home, '.staging'))).sort(), kept.sort());
  // A day later nobody works in the folder of the other machine any more.
  const later = { nowMs: () => clock.nowMs() + 25 * 3_600_000 };
  await stage({ from, root: home, clock: later });
  assert.deepEqual(await readdir(join(home, '.staging')), kept.slice(1));
});
