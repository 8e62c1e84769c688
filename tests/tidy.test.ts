/** The code's own habits, checked: one door to time, chance and environment; small files; a header and a test for each. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { codeOnly, importsOf, root, type SourceFile, sourceFiles, withoutComments } from './source-tree.ts';

const FILE_BYTES_MAX = 1_500_000;

const all = sourceFiles('{src,tests,bench,scripts}/**/*.ts');
const source = all.filter((file) => file.path.startsWith('src/') && !file.isTest);
const shipped = source.filter((file) => !file.path.startsWith('src/testing/'));

/** What only `src/runtime.ts` may touch, so that a test or the simulator can put another world in its place. */
const REAL_WORLD: readonly (readonly [string, RegExp])[] = [
  ['Date.now', /\bDate\.now\b/],
  ['new Date()', /\bnew Date\(\s*\)/],
  ['performance.now', /\bperformance\.(?:now|timeOrigin)\b/],
  ['process.hrtime', /\bprocess\.(?:hrtime|uptime)\b/],
  ['Math.random', /\bMath\.random\b/],
  ['a timer', /(?<![.\w$])(?:setTimeout|setInterval)\s*\(|\bAbortSignal\.timeout\b/],
  ['process.env', /\bprocess\.env\b/],
  ['global fetch', /(?<![.\w$])fetch\s*\(|\bglobalThis\.fetch\b/],
];

test('time, chance, environment and fetch come from the runtime', () => {
  const broken: string[] = [];
  for (const file of shipped) {
    if (file.path === 'src/runtime.ts') continue;
    const code = codeOnly(file.text);
    for (const [name, pattern] of REAL_WORLD) {
      const found = pattern.exec(code);
      if (found === null) continue;
      const line = code.slice(0, found.index).split('\n').length;
      broken.push(`${file.path}:${line} uses ${name}; take it from core/runtime.ts`);
    }
    if (/from 'node:timers/.test(withoutComments(file.text))) broken.push(`${file.path} imports node:timers`);
  }
  assert.deepEqual(broken, []);
});

test('only the command line and the entry read arguments and write to the terminal', () => {
  const broken = shipped
    .filter((file) => !/^src\/(?:cli\/|main\.ts)/.test(file.path))
    .filter((file) => /\bprocess\.argv\b|\bconsole\.(?:log|info)\b/.test(codeOnly(file.text)))
    // Programs of their own: the child that the supervisor starts.
    .filter((file) => file.path !== 'src/embedded/child.ts')
    .map((file) => file.path);
  assert.deepEqual(broken, []);
});

test('a file opens with what it is and why', () => {
  const broken = all
    .filter((file) => !(file.isTest && file.path.startsWith('src/')))
    .filter((file) => !/^(?:#!.*\n)?\/(?:\*\*|\/)/.test(file.text))
    .map((file) => file.path);
  assert.deepEqual(broken, [], 'open with two to six lines of comment');
});

test('no file is called utils, helpers, common, misc or manager', () => {
  const broken = sourceFiles('{src,tests,bench,scripts,console/src}/**/*.{ts,tsx}')
    .map((file) => file.path)
    .filter((each) => /(?:^|[/-])(?:utils?|helpers?|common|misc|manager)(?:[/.-]|$)/.test(each));
  assert.deepEqual(broken, [], 'find the noun');
});

test('no file in git is over 1.5 MB', (context) => {
  const listing = spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8', timeout: 30_000 });
  if (listing.status !== 0) {
    context.skip('skipped: this is no git checkout');
    return;
  }
  const large = listing.stdout
    .split('\0')
    .filter((file) => file !== '' && existsSync(path.join(root, file)))
    .map((file) => ({ file, bytes: statSync(path.join(root, file)).size }))
    .filter(({ bytes }) => bytes > FILE_BYTES_MAX);
  assert.deepEqual(large, []);
});

/** Files that run as a process of their own, and the test that runs them. */
const RUN_BY: Readonly<Record<string, string>> = {
  'src/main.ts': 'tests/cast-cli.test.ts',
  'src/cli/cast.ts': 'tests/cast-cli.test.ts',
  'src/cli/doctor.ts': 'tests/models-cli.test.ts',
  'src/cli/doctor-checks.ts': 'src/cli/doctor-checks.test.ts',
  'src/cli/models.ts': 'tests/models-cli.test.ts',
  'src/cli/index.ts': 'tests/cast-cli.test.ts',
  'src/cli/engine.ts': 'tests/engine-wire.test.ts',
  'src/embedded/child.ts': 'tests/engine-wire.test.ts',
  'src/app.ts': 'tests/cli-talk.test.ts',
  'src/hosts/index.ts': 'tests/cli-talk.test.ts',
  'src/cast/views.ts': 'tests/cli-talk.test.ts',
  'src/adapters/open.ts': 'tests/adapters.test.ts',
  'src/adapters/declared.ts': 'tests/adapters.test.ts',
  'src/hosts/known-bases.ts': 'tests/adapters.test.ts',
};

/** Nothing of it is left to run once the types are gone. */
function isPureTypes(file: SourceFile): boolean {
  return (
    withoutComments(stripTypeScriptTypes(file.text))
      .replace(/^import[^;]*;$/gm, '')
      .trim() === ''
  );
}

test('every file of src is imported by a test, or by a tested neighbour of its folder, or is a noun of core', () => {
  const byPath = new Map(all.map((file) => [file.path, file]));
  const tested = new Set<string>();
  const visit = (file: string) => {
    if (tested.has(file)) return;
    tested.add(file);
    const found = byPath.get(file);
    if (found === undefined || !file.startsWith('src/')) return;
    // The nouns of core are tested by whoever uses them.
    for (const next of importsOf(found).files)
      if (path.posix.dirname(next) === path.posix.dirname(file) || next.startsWith('src/core/')) visit(next);
  };
  for (const file of all.filter((each) => each.isTest)) importsOf(file).files.forEach(visit);
  // What a test borrows from tests/ or src/testing counts for the test.
  for (const file of all.filter((each) => /^(?:tests|src\/testing)\//.test(each.path) && !each.isTest))
    importsOf(file).files.forEach(visit);
  for (const [file, by] of Object.entries(RUN_BY)) {
    assert.ok(existsSync(path.join(root, by)), `${by} is to run ${file}, and is not there`);
    visit(file);
  }
  const broken = shipped
    .filter((file) => !tested.has(file.path) && !isPureTypes(file))
    .map((file) => file.path);
  assert.deepEqual(broken, [], 'write name.test.ts beside it, or name the test that runs it in RUN_BY');
});
