/**
 * `npm test`: every test of the tree, or those whose path contains an argument: `npm test -- embedded`.
 * Runs node:test with a bounded number of files at once; heavy parts that are missing say so and how to install them.
 * The model that the engine's tests talk to is fetched first, once, as the first start would.
 */
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { terminalProgress } from '../src/cli/models.ts';
import { cacheDirectory } from '../src/models/cache.ts';
import { DEFAULT_MODEL } from '../src/models/catalogue.ts';
import { ensureModel } from '../src/models/ensure.ts';
import { realRuntime } from '../src/runtime.ts';

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
if (files.some((file) => readFileSync(file, 'utf8').includes('engine-harness'))) await fetchModel();
/** A file about a real engine takes both cores and minutes; it runs only when it is asked for. */
const isAskedForEngines = process.env['GREENROOM_REAL_ENGINES'] === '1';
const limits = isAskedForEngines
  ? ['--test-concurrency=1', '--test-timeout=900000']
  : ['--test-concurrency=2', '--test-timeout=180000', '--import=./scripts/file-limit.ts'];
const child = spawn(process.execPath, ['--test', ...limits, '--test-reporter=spec', ...flags, ...files], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));

/** Without the model the engine's tests are skipped, each saying so; the others run. */
async function fetchModel(): Promise<void> {
  const interrupt = new AbortController();
  const stop = () => interrupt.abort(new Error('interrupted'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  using display = terminalProgress(realRuntime);
  try {
    const { clock, environment } = realRuntime;
    const { onProgress, onNotice } = display;
    await ensureModel(
      DEFAULT_MODEL,
      { cacheDirectory: cacheDirectory(environment), environment, clock, onProgress, onNotice },
      interrupt.signal,
    );
  } catch (error) {
    display[Symbol.dispose]();
    if (interrupt.signal.aborted) process.exit(130);
    console.error(`${(error as Error).message}\nThe tests that need the model are skipped.\n`);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
