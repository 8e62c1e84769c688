/**
 * `npm test`: every test of the tree, or those whose path contains an argument: `npm test -- embedded`.
 * Runs node:test with a bounded number of files at once; heavy parts that are missing say so and how to install them.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';

const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const flags = process.argv.slice(2).filter((argument) => argument.startsWith('-'));
const files = globSync([
  'src/**/*.test.ts',
  'tests/**/*.test.ts',
  'bench/**/*.test.ts',
  'scripts/**/*.test.ts',
])
  .sort()
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
if (files.length === 0) {
  console.error(`no test file matches: ${wanted.join(' ')}`);
  process.exit(2);
}
const child = spawn(
  process.execPath,
  ['--test', '--test-concurrency=2', '--test-timeout=180000', '--test-reporter=spec', ...flags, ...files],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
