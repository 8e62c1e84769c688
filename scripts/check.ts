/**
 * `npm run check`: all that CI checks, one step after another, every one of them also after a failure, then a table.
 * `npm run check -- types lint` runs only those; `--without tests` leaves some out. Exit code 1 when any failed.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

interface Step {
  readonly name: string;
  readonly what: string;
  /** Program and arguments; the program is looked up in node_modules/.bin first. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
  /** A file without which the step cannot run yet. */
  readonly needs?: string;
}

const MINUTE_MS = 60_000;
const LINTED = ['src', 'scripts', 'tests', 'bench'];

const STEPS: readonly Step[] = [
  {
    name: 'format',
    what: 'biome ci',
    command: ['biome', 'ci', '--colors=off', '.'],
    timeoutMs: 5 * MINUTE_MS,
  },
  {
    name: 'lint',
    what: 'oxlint with types',
    command: ['oxlint', '--type-aware', ...LINTED],
    timeoutMs: 5 * MINUTE_MS,
  },
  { name: 'types', what: 'tsc', command: ['tsc', '--noEmit'], timeoutMs: 10 * MINUTE_MS },
  {
    name: 'console',
    what: 'tsc in console/',
    command: ['tsc', '--noEmit', '-p', 'console'],
    timeoutMs: 10 * MINUTE_MS,
    needs: 'console/tsconfig.json',
  },
  {
    name: 'ladder',
    what: 'who imports whom',
    command: ['node', 'scripts/test.ts', 'tests/ladder'],
    timeoutMs: 5 * MINUTE_MS,
  },
  {
    name: 'tidy',
    what: 'habits of the tree, and the lock file',
    command: ['node', 'scripts/test.ts', 'tests/tidy', 'tests/lockfile'],
    timeoutMs: 5 * MINUTE_MS,
  },
  {
    name: 'docs',
    what: 'generated pages are fresh',
    command: ['node', 'scripts/docs.ts', '--check'],
    timeoutMs: 5 * MINUTE_MS,
    needs: 'scripts/docs.ts',
  },
  {
    name: 'bench tables',
    what: 'tables are of the result files',
    command: ['node', 'bench/readme.ts', '--check'],
    timeoutMs: 5 * MINUTE_MS,
    needs: 'bench/readme.ts',
  },
  { name: 'tests', what: 'npm test', command: ['node', 'scripts/test.ts'], timeoutMs: 45 * MINUTE_MS },
];

const root = path.resolve(import.meta.dirname, '..');
const given = process.argv.slice(2);
const without = given.indexOf('--without');
const leftOut = without === -1 ? [] : given.slice(without + 1);
const only = without === -1 ? given : given.slice(0, without);
const unknown = [...only, ...leftOut].filter((name) => !STEPS.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(
    `no step is called ${unknown.join(', ')}; there are: ${STEPS.map((step) => step.name).join(', ')}`,
  );
  process.exit(2);
}

const rows: { step: Step; outcome: string; seconds: number }[] = [];
for (const step of STEPS) {
  if (leftOut.includes(step.name) || (only.length > 0 && !only.includes(step.name))) continue;
  if (step.needs !== undefined && !existsSync(path.join(root, step.needs))) {
    rows.push({ step, outcome: `skipped: no ${step.needs}`, seconds: 0 });
    continue;
  }
  console.log(`\n── ${step.name}: ${step.command.join(' ')}`);
  const startedMs = performance.now();
  const outcome = await run(step);
  rows.push({ step, outcome, seconds: (performance.now() - startedMs) / 1000 });
  if (outcome === 'interrupted') break;
}

console.log('');
for (const { step, outcome, seconds } of rows)
  console.log(
    `${step.name.padEnd(8)}  ${step.what.padEnd(38)}  ${seconds.toFixed(1).padStart(7)} s  ${outcome}`,
  );
process.exit(rows.some(({ outcome }) => outcome !== 'ok' && !outcome.startsWith('skipped')) ? 1 : 0);

function run(step: Step): Promise<string> {
  const [program = '', ...parameters] = step.command;
  const binaries = path.join(root, 'node_modules', '.bin');
  return new Promise((resolve) => {
    const child = spawn(program, parameters, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, PATH: `${binaries}${path.delimiter}${process.env['PATH'] ?? ''}` },
      timeout: step.timeoutMs,
      shell: process.platform === 'win32',
    });
    let isInterrupted = false;
    const stop = () => {
      isInterrupted = true;
      child.kill('SIGTERM');
    };
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    const settle = (outcome: string) => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      resolve(isInterrupted ? 'interrupted' : outcome);
    };
    child.once('error', (error) => settle(`FAILED: ${error.message}; run npm ci`));
    child.once('close', (code, signal) =>
      settle(
        code === 0
          ? 'ok'
          : signal === null
            ? `FAILED (${code})`
            : `FAILED (${signal}, limit ${step.timeoutMs / MINUTE_MS} min)`,
      ),
    );
  });
}
