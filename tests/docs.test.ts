/** The documents are true: guides run as they stand, links lead somewhere, named files and commands exist. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { parse as parseYaml } from 'yaml';
import { configSchema } from '../src/config/schema.ts';
import { leftovers } from '../src/testing/leftovers.ts';
import { modelMissing } from './engine-harness.ts';
import { type GuideStep, guideSteps, missingLine, unlike } from './guide.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const documents = globSync(['*.md', 'docs/**/*.md'], { cwd: root }).sort();
const guides = documents.filter((file) => file.startsWith(`docs${path.sep}guides`));
const { scripts } = JSON.parse(read('package.json')) as { scripts: Readonly<Record<string, string>> };

/** The address as documents have it; in a test the service listens elsewhere. */
const WRITTEN_ADDRESS = '127.0.0.1:8080';
const STEP_LIMIT_MS = 90_000;

for (const file of guides) {
  const steps = guideSteps(read(file));
  const skip = process.platform === 'win32' ? 'skipped: there is no bash' : modelMissing;
  test(`${file} runs as it stands`, { skip, timeout: 170_000 }, async (context) => {
    assert.ok(steps.length > 0, 'a guide has steps');
    const left = leftovers(context);
    await follow(steps, await workplace(left), left);
  });
}

/** A clone in small: what the commands of a guide find, with a folder of its own to write into. */
async function workplace(left: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'greenroom-guide-'));
  left.defer(() => rm(folder, { recursive: true, force: true }));
  await mkdir(path.join(folder, 'data'));
  for (const name of await readdir(root)) {
    if (name === 'examples') await cp(path.join(root, name), path.join(folder, name), { recursive: true });
    else if (!name.startsWith('.')) await symlink(path.join(root, name), path.join(folder, name));
  }
  return folder;
}

async function follow(
  steps: readonly GuideStep[],
  folder: string,
  left: AsyncDisposableStack,
): Promise<void> {
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    PATH: `${path.join(root, 'node_modules', '.bin')}${path.delimiter}${process.env['PATH'] ?? ''}`,
    GREENROOM_DATA: path.join(folder, 'data'),
    HOST: '127.0.0.1',
    PORT: '0',
  };
  let address = WRITTEN_ADDRESS;
  let output = '';
  for (const step of steps) {
    const where = `line ${step.line}`;
    if (step.kind === 'file') {
      await writeFile(path.join(folder, step.path), step.content);
    } else if (step.kind === 'start') {
      const [program = '', ...parameters] = withoutNpm(step.command).split(/\s+/);
      const child = spawn(program, parameters, {
        cwd: folder,
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      left.defer(() => ended(child));
      address = await readyAddress(child);
      environment['PORT'] = address.split(':')[1];
    } else if (step.kind === 'run') {
      const command = withoutNpm(step.command).replaceAll(WRITTEN_ADDRESS, address);
      const ran = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', command], {
        cwd: folder,
        env: environment,
        timeout: STEP_LIMIT_MS,
      }).catch((error: Error & { stderr?: string }) => assert.fail(`${where}: ${error.message}`));
      output = ran.stdout;
    } else if (step.kind === 'like' && step.format === 'json') {
      assert.deepEqual(unlike(JSON.parse(step.content), JSON.parse(output)), [], `${where}: ${output}`);
    } else if (step.kind === 'like') {
      assert.equal(missingLine(step.content, output), null, `${where}: not in ${output}`);
    }
  }
}

/** `npm start` and `npm run NAME --` as package.json spells them, so that signals reach the program itself. */
function withoutNpm(command: string): string {
  const pattern = /^(env (?:\w+=\S+ )+)?npm (?:run (?:--silent |-s )?)?(\S+)(?: --(?= |$))?/gm;
  return command.replace(pattern, (whole, environment: string | undefined, name: string) => {
    const script = scripts[name];
    return script === undefined
      ? whole
      : `${environment ?? ''}${script.replace(/^node /, `${process.execPath} `)}`;
  });
}

/** Waits for the line that names the address, then for readiness; a process that ends before fails with what it said. */
async function readyAddress(child: ChildProcess): Promise<string> {
  let said = '';
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const hear = (chunk: Buffer) => {
    said += chunk.toString();
    const found = /listening on http:\/\/(127\.0\.0\.1:\d+)/.exec(said)?.[1];
    if (found !== undefined) resolve(found);
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  child.once('error', reject);
  child.once('close', (code) => reject(new Error(`the service ended with ${code}:\n${said}`)));
  const address = await promise;
  const endMs = performance.now() + STEP_LIMIT_MS;
  for (;;) {
    const reply = await fetch(`http://${address}/readyz`);
    const body = await reply.text();
    if (reply.ok) return address;
    if (performance.now() > endMs) throw new Error(`never ready: ${body}\n${said}`);
    // Asked again and again, gently: the machine is busy loading the model.
    await new Promise((next) => setTimeout(next, 200));
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await Promise.race([closed, new Promise((late) => setTimeout(late, 15_000).unref())]);
  child.kill('SIGKILL');
}

test('every link inside the documents leads to a file, and every anchor to a heading', () => {
  const broken: string[] = [];
  for (const file of documents) {
    for (const [, target = ''] of withoutFences(read(file)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [name = '', anchor] = target.split('#');
      const linked = name === '' ? file : path.join(path.dirname(file), name);
      if (!existsSync(path.join(root, linked))) broken.push(`${file}: ${target}`);
      else if (anchor !== undefined && !headings(read(linked)).has(anchor))
        broken.push(`${file}: ${target} has no such heading`);
    }
  }
  assert.deepEqual(broken, []);
});

test('every file that a document names in code is there', () => {
  const broken = documents
    .filter((file) => !file.startsWith(path.join('docs', 'reference')) && file !== 'CHANGELOG.md')
    .flatMap((file) =>
      [
        ...read(file).matchAll(/`((?:src|scripts|tests|bench|docs|examples|console|bin)\/[\w./-]+)`/g),
      ].flatMap(([, name = '']) =>
        existsSync(path.join(root, name)) ? [] : [`${file} names ${name}, which is not there`],
      ),
    );
  assert.deepEqual(broken, []);
});

test('every npm script that a document names is in package.json', () => {
  const broken = documents.flatMap((file) =>
    [...read(file).matchAll(/\bnpm run (?:--silent )?([a-z][\w:-]*)/g)].flatMap(([, name = '']) =>
      name in scripts ? [] : [`${file}: npm run ${name}`],
    ),
  );
  assert.deepEqual(broken, []);
});

test('every configuration that a document shows is a valid one', () => {
  const broken = documents.flatMap((file) =>
    [...read(file).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) => {
      const { error } = configSchema.safeParse(parseYaml(block));
      return error === undefined ? [] : [`${file}: ${error.message}`];
    }),
  );
  assert.deepEqual(broken, []);
});

test('a guide is read block by block, and a block of no known kind is an error', () => {
  const guide = [
    '```bash',
    'never run',
    '```',
    '```bash run',
    'echo one',
    '```',
    '```csv file=a/b.csv',
    'x,y',
    '```',
    '```json like',
    '{"a": 1}',
    '```',
  ].join('\n');
  assert.deepEqual(guideSteps(guide), [
    { kind: 'run', command: 'echo one', line: 4 },
    { kind: 'file', path: 'a/b.csv', content: 'x,y\n', line: 7 },
    { kind: 'like', format: 'json', content: '{"a": 1}\n', line: 10 },
  ]);
  assert.throws(() => guideSteps('```bash rnu\necho\n```'), /line 1: "bash rnu" is no kind of block/);
});

test('output is like what a guide shows when keys, types and the order of lines agree', () => {
  assert.deepEqual(unlike({ a: 'x', b: { c: 1 }, d: [] }, { a: 'y', b: { c: 2, e: 3 }, d: [1] }), []);
  assert.deepEqual(unlike({ a: 'x', b: { c: 1 } }, { b: { c: '2' } }), [
    '$.a is missing',
    '$.b.c is string, the guide shows number',
  ]);
  assert.equal(missingLine('one\n"a": …}\nlast', 'zero\none\n{"a": 5}\nlast\n'), null);
  assert.equal(missingLine('last\none', 'one\nlast'), 'one');
});

/** Fenced code holds brackets that are no links. */
function withoutFences(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '');
}

/** Anchors as the common hosts make them. */
function headings(markdown: string): ReadonlySet<string> {
  return new Set(
    [...markdown.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );
}
