/** The guide "add an engine", followed: its files typed into a fresh folder, held to their types, and run. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { DriverDefinition } from '../src/engines/driver.ts';
import { DRIVERS } from '../src/engines/index.ts';
import { openBefore } from '../src/testing/chat-doubles.ts';
import { COMMON_WIRE } from '../src/testing/wires/chat-wire.ts';
import { metrics, page, tokenize } from '../src/testing/wires/pages.ts';

const root = path.resolve(import.meta.dirname, '..');
const guide = readFileSync(path.join(root, 'docs/guides/add-an-engine.md'), 'utf8');
const LIMIT_MS = 120_000;

/** The files of the guide: each block of TypeScript, under the name that the text before it saves it as. */
function filesOf(markdown: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const block of markdown.matchAll(/^```ts\n([\s\S]*?)^```$/gm)) {
    const saved = [...markdown.slice(0, block.index).matchAll(/Save this as\s+`([\w.-]+\.ts)`/g)].at(-1)?.[1];
    const name = `src/engines/${saved}`;
    assert.ok(saved !== undefined && !files.has(name), `the block after ${name} has no name of its own`);
    files.set(name, block[1] ?? '');
  }
  return files;
}

/** A folder that has all of ours, and room for the guide's files between them. */
async function typed(context: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'greenroom-engine-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const link = (name: string) => symlink(path.join(root, name), path.join(folder, name));
  await mkdir(path.join(folder, 'src/engines'), { recursive: true });
  await Promise.all(['node_modules', 'package.json'].map(link));
  for (const name of await readdir(path.join(root, 'src')))
    if (name !== 'engines') await link(path.join('src', name));
  for (const name of await readdir(path.join(root, 'src/engines')))
    await link(path.join('src/engines', name));
  for (const [name, text] of filesOf(guide)) await writeFile(path.join(folder, name), text);
  return folder;
}

const isWindows = process.platform === 'win32' ? 'skipped: symbolic links need rights there' : false;

test('the guide has two files, and the driver has under 60 lines', () => {
  const files = filesOf(guide);
  assert.deepEqual([...files.keys()], ['src/engines/lorekeeper.ts', 'src/engines/lorekeeper.test.ts']);
  assert.ok((files.get('src/engines/lorekeeper.ts') ?? '').split('\n').length < 60);
});

test('the driver of the guide reaches its engine', { skip: isWindows }, async (context) => {
  const folder = await typed(context);
  const file = path.join(folder, 'src/engines/lorekeeper.ts');
  const { lorekeeper } = (await import(pathToFileURL(file).href)) as { lorekeeper: DriverDefinition };
  assert.equal(lorekeeper.kind, 'lorekeeper');
  assert.equal(lorekeeper.kind in DRIVERS, false, 'the guide adds an engine that is not there yet');
  await using opened = await openBefore(
    {
      ...COMMON_WIRE,
      title: 'Lorekeeper',
      card: ({ model }) => ({ id: model }),
      routes: (state) => ({
        'GET /version': page({ version: '2.1' }),
        'GET /metrics': metrics(state, 'lorekeeper_running', 'lorekeeper_waiting'),
        'POST /count': tokenize('text', (count) => ({ tokens: count })),
      }),
    },
    lorekeeper,
  );
  const signal = new AbortController().signal;
  assert.equal(await opened.probe.version(signal), '2.1');
  assert.deepEqual(await opened.probe.load(signal), { running: 0, waiting: 0 });
  assert.equal(await opened.counter.count('one two three', signal), 3);
});

test('the files of the guide have the right types', {
  skip: isWindows,
  timeout: LIMIT_MS,
}, async (context) => {
  const folder = await typed(context);
  const project = {
    extends: path.join(root, 'tsconfig.json'),
    compilerOptions: { noEmit: true, preserveSymlinks: false },
    files: [...filesOf(guide).keys()],
    include: [],
  };
  await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify(project));
  const compiler = path.join(root, 'node_modules/.bin/tsc');
  const { stdout } = await promisify(execFile)(compiler, ['--project', folder], {
    timeout: LIMIT_MS,
    cwd: folder,
  }).catch((error: Error & { stdout?: string }) => ({ stdout: error.stdout ?? error.message }));
  // Our own files are held to their types elsewhere.
  assert.deepEqual(
    stdout.split('\n').filter((line) => line.includes('lorekeeper')),
    [],
  );
});

test('the test of the guide passes', { skip: isWindows, timeout: LIMIT_MS }, async (context) => {
  const folder = await typed(context);
  const { NODE_TEST_CONTEXT: _ours, ...environment } = process.env;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--test', '--test-reporter=tap', path.join(folder, 'src/engines/lorekeeper.test.ts')],
    { cwd: folder, env: environment, timeout: LIMIT_MS },
  ).catch((error: Error & { stdout?: string }) => assert.fail(error.stdout ?? error.message));
  assert.match(stdout, /ok \d+ - Lorekeeper behind a double is an engine/);
  assert.match(stdout, /^# fail 0$/m);
});
