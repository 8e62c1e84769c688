/**
 * What `npm run engines:<name>` has in common: install a pinned engine outside the tree, in steps that are shown, timed
 * and resumed, then start it on loopback and say its address once it generates. Tests use the same frame: `installed`
 * decides whether they run, `openEngine` starts the engine with a bounded life.
 *
 *     export const vllm: EngineScript = {…};
 *     if (import.meta.main) await runScript(vllm);
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { cacheDirectory } from '../../src/models/cache.ts';
import { takeFetchLock } from '../../src/models/fetch-lock.ts';
import { realRuntime } from '../../src/runtime.ts';
import { type Command, freePort, type RunningEngine, runCommand, startEngine } from './child.ts';

export type Flags = Readonly<Record<string, string | boolean | undefined>>;

export interface StepContext {
  /** Where this version of the engine belongs; it exists. */
  readonly folder: string;
  readonly signal: AbortSignal;
  /** A line below the step. */
  say(line: string): void;
  /** Runs a program to its end; what it says last is shown every few seconds. Throws when it fails. */
  run(command: Command, timeoutMs: number): Promise<string>;
}

export interface Step {
  /** Also its key: a step that ended well is not run again for the same version. */
  readonly title: string;
  /** What a person should expect: `about 130 MB, half a minute`. */
  readonly about?: string;
  readonly work: (context: StepContext) => Promise<void>;
}

export interface Installed {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  /** The program to run. */
  readonly program: string;
  readonly installedAt: string;
  readonly installSeconds: number;
}

/** What is installed in steps outside the tree: an engine, or what the trainer runs on. */
export interface Installation {
  /** Its folder under its shelf of the cache. */
  readonly name: string;
  readonly title: string;
  /** What is installed; another version gets a folder of its own. */
  readonly version: string;
  /** Download, disk and time of the whole installation, for people who wait. */
  readonly about: string;
  readonly steps: readonly Step[];
  /** The program inside the folder, relative; proof that it is there. */
  readonly program: string;
  /** The cache's folder that holds it; default `engines`. */
  readonly shelf?: string;
}

/** Its name is also the end of `npm run engines:<name>`. */
export interface EngineScript extends Installation {
  readonly flags?: NonNullable<ParseArgsConfig['options']>;
  /** Lines about the flags for `--help`. */
  readonly help?: readonly string[];
  /** How it is started; the frame adds nothing. */
  command(installed: Installed, port: number, flags: Flags): Command;
  /** Makes it generate once and gives the text; throws while it cannot. Not `/health` (engines.md §3.1). */
  ready(origin: string, signal: AbortSignal): Promise<string>;
  readonly startTimeoutMs: number;
}

const SHOW_EVERY_MS = 5_000;
/** setTimeout's own bound. */
const FOREVER_MS = 2 ** 31 - 1;

/** `<cache>/engines/<name>/<version>`; the cache is GREENROOM_CACHE, else `~/.cache/greenroom`. */
export function engineFolder(script: Pick<Installation, 'name' | 'version' | 'shelf'>): string {
  const shelf = script.shelf ?? 'engines';
  return path.join(cacheDirectory(realRuntime.environment), shelf, script.name, script.version);
}

/** What is installed of this engine in the pinned version, or null. */
export function installed(script: Installation): Installed | null {
  const folder = engineFolder(script);
  const record = readJson<Installed>(path.join(folder, 'installed.json'));
  const program = path.join(folder, script.program);
  if (record === null || record.version !== script.version || !existsSync(program)) return null;
  return { ...record, folder, program };
}

/** For `{ skip }` of a test: false when the engine is there, else why not and how to get it. */
export function skipUnlessInstalled(script: EngineScript): false | string {
  if (installed(script) !== null) return false;
  return `skipped: ${script.title} ${script.version} is not installed, install with: npm run engines:${script.name} -- --install-only`;
}

/** Installs what is missing; a second call finds it. Steps that ended well before an interruption are not run again. */
export async function install(
  script: Installation,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Installed> {
  const there = installed(script);
  if (there !== null) {
    say(`${script.title} ${there.version} is installed (${there.folder})`);
    return there;
  }
  const folder = engineFolder(script);
  mkdirSync(folder, { recursive: true });
  const isMissing = async () => installed(script) === null;
  await using lock = await takeFetchLock(
    path.join(folder, 'install.lock'),
    realRuntime.clock,
    isMissing,
    signal,
  );
  if (lock !== null) await installSteps(script, folder, say, signal);
  const done = installed(script);
  if (done === null)
    throw new Error(`${script.title}: every step ended well, but there is no ${script.program} in ${folder}`);
  say(`${script.title} ${done.version} is installed, ${done.installSeconds} s of work (${folder})`);
  return done;
}

async function installSteps(
  script: Installation,
  folder: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  say(`installing ${script.title} ${script.version}: ${script.about}`);
  const recordFile = path.join(folder, 'steps.json');
  const seconds: Record<string, number> = readJson<Record<string, number>>(recordFile) ?? {};
  for (const [index, step] of script.steps.entries()) {
    const head = `[${index + 1}/${script.steps.length}] ${step.title}`;
    if (seconds[step.title] !== undefined) {
      say(`${head}: done before`);
      continue;
    }
    say(step.about === undefined ? head : `${head} (${step.about})`);
    const startedMs = performance.now();
    await step.work({
      folder,
      signal,
      say: (line) => say(`      ${line}`),
      run: (command, timeoutMs) => runShown(command, timeoutMs, say, signal),
    });
    seconds[step.title] = Math.round((performance.now() - startedMs) / 1000);
    say(`      done in ${seconds[step.title]} s`);
    writeJson(recordFile, seconds);
  }
  const record = {
    name: script.name,
    version: script.version,
    installedAt: new Date().toISOString(),
    installSeconds: Object.values(seconds).reduce((sum, each) => sum + each, 0),
  };
  writeJson(path.join(folder, 'installed.json'), record);
}

/** A line every few seconds while a program works: how long it has been, and what it said last. */
async function runShown(
  command: Command,
  timeoutMs: number,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const startedMs = performance.now();
  let last = '';
  const show = setInterval(() => {
    say(`      ${Math.round((performance.now() - startedMs) / 1000)} s  ${last.trim().slice(0, 100)}`);
  }, SHOW_EVERY_MS);
  try {
    const onLine = (line: string) => {
      last = line;
    };
    return await runCommand(command, { timeoutMs, onLine }, signal);
  } finally {
    clearInterval(show);
  }
}

export interface OpenOptions {
  readonly flags?: Flags;
  /** Default: a free one. */
  readonly port?: number;
  /** The engine is ended after this long, whatever becomes of who started it. */
  readonly lifeMs: number;
  readonly onLine?: (line: string) => void;
}

/** Starts an installed engine; throws when it is not installed. Dispose to stop it. */
export async function openEngine(
  script: EngineScript,
  options: OpenOptions,
  signal: AbortSignal,
): Promise<RunningEngine> {
  const there = installed(script);
  if (there === null) throw new Error(skipUnlessInstalled(script) || 'not installed');
  const port = options.port ?? (await freePort());
  return await startEngine(
    {
      name: script.title,
      command: script.command(there, port, options.flags ?? {}),
      port,
      startTimeoutMs: script.startTimeoutMs,
      lifeMs: options.lifeMs,
      ready: (origin, attempt) => script.ready(origin, attempt),
      ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
    },
    signal,
  );
}

/** The whole of `npm run engines:<name>`: sets the exit code, ends with Ctrl-C. */
export async function runScript(script: EngineScript): Promise<void> {
  const interrupt = new AbortController();
  const stop = () => interrupt.abort(new Error('interrupted'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  const { signal } = interrupt;
  try {
    const flags = readFlags(script);
    if (flags === null) return;
    await install(script, (line) => console.log(line), signal);
    if (flags['install-only'] === true) return;
    const port = flags['port'] === undefined ? await freePort() : Number(flags['port']);
    const onLine = flags['quiet'] === true ? undefined : (line: string) => console.error(`  | ${line}`);
    console.log(`starting ${script.title} on port ${port}`);
    const lifeMs = FOREVER_MS;
    await using engine = await openEngine(
      script,
      { flags, port, lifeMs, ...(onLine === undefined ? {} : { onLine }) },
      signal,
    );
    console.log(`it generated: ${JSON.stringify(engine.proof.slice(0, 200))}`);
    console.log(`ready after ${(engine.startMs / 1000).toFixed(1)} s: ${engine.origin}  (stop with Ctrl-C)`);
    const stopped = new Promise<'stopped'>((resolve) => {
      signal.addEventListener('abort', () => resolve('stopped'), { once: true });
    });
    const end = await Promise.race([engine.exited, stopped]);
    if (end !== 'stopped') throw new Error(`${script.title} ended by itself with ${end}`);
    console.log(`stopping ${script.title}`);
  } catch (error) {
    if (!signal.aborted) console.error((error as Error).message);
    process.exitCode = signal.aborted ? 130 : 1;
  } finally {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, stop);
  }
}

function readFlags(script: EngineScript): Flags | null {
  const { values } = parseArgs({
    options: {
      'install-only': { type: 'boolean', default: false },
      port: { type: 'string' },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      ...script.flags,
    },
  });
  const flags = values as Flags;
  const port = flags['port'];
  if (port !== undefined && !(/^\d+$/.test(String(port)) && Number(port) > 0 && Number(port) < 65_536))
    throw new Error(`--port ${port} is no port; expected 1 to 65535, or no --port for a free one`);
  if (flags['help'] !== true) return flags;
  console.log(
    [
      `npm run engines:${script.name} -- [flags]: installs ${script.title} ${script.version} (${script.about}) and starts it.`,
      '  --install-only   install, and do not start',
      '  --port N         on 127.0.0.1; a free one when not given',
      '  --quiet          do not show what the engine says',
      ...(script.help ?? []),
    ].join('\n'),
  );
  return null;
}

function readJson<T>(file: string): T | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch {
    return null;
  }
}

/** Whole or not at all: a crash leaves the old file. */
function writeJson(file: string, value: unknown): void {
  const beside = `${file}.${process.pid}`;
  writeFileSync(beside, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(beside, file);
}
