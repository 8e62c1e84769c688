/** What CI runs is what README promises: the same two commands, and a script that a shell can read. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

const root = path.resolve(import.meta.dirname, '..');
const read = (name: string) => readFileSync(path.join(root, name), 'utf8');

test('CI runs the test command of README to the letter', () => {
  assert.match(read('.ci/run'), /^timeout .* bash -c 'npm ci && npm test'$/m);
  assert.match(read('README.md'), /^npm ci && npm test$/m);
  assert.match(read('README.md'), /^npm ci && npm start$/m);
});

test('the CI script may be executed and is good shell', (context) => {
  if (process.platform === 'win32') return context.skip('skipped: there is no bash');
  assert.ok((statSync(path.join(root, '.ci/run')).mode & 0o111) !== 0);
  const checked = spawnSync('bash', ['-n', path.join(root, '.ci/run')], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  assert.equal(checked.status, 0, checked.stderr);
});

test('every script of package.json starts a file that is there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  for (const [name, command] of Object.entries(scripts)) {
    const file = /^node (\S+)/.exec(command)?.[1];
    if (file !== undefined)
      assert.ok(existsSync(path.join(root, file)), `${name} runs ${file}, which is not there`);
  }
});
