/**
 * Programs that the engine scripts run: a command of an installation, bounded in time and shown while it works, and a
 * server that is waited for until it generates. Invariant: neither outlives who started it (see guard.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

const LOG_CHARACTERS_MAX = 64_000;
const GUARD = path.join(import.meta.dirname, 'guard.ts');
const STOP_TIMEOUT_MS = 25_000;
const ASK_EVERY_MS = 250;

export interface Command {
  readonly program: string;
  readonly arguments: readonly string[];
  /** Added to the environment of this process; undefined takes a variable away. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly directory?: string;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  /** Hears each line of both outputs, whole and without its end; of a bar that is drawn over, each state. */
  readonly onLine?: (line: string) => void;
}

/** Runs to the end and gives what it said, its last 64,000 characters. Throws with the last lines when it fails. */
export async function runCommand(
  command: Command,
  options: CommandOptions,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  await using guarded = startGuarded(command, options.timeoutMs, options.onLine);
  const stop = () => void guarded[Symbol.asyncDispose]();
  signal.addEventListener('abort', stop, { once: true });
  const startedMs = performance.now();
  const code = await guarded.exited;
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (code === 0) return guarded.log();
  const isLate = performance.now() - startedMs >= options.timeoutMs;
  const why = isLate ? `took longer than ${options.timeoutMs / 1000} s` : `ended with ${code}`;
  throw new Error(
    `${[command.program, ...command.arguments].join(' ')} ${why}:\n${lastLines(guarded.log(), 15)}`,
  );
}

export interface RunningEngine extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  readonly port: number;
  /** The engine's own process, which leads a process group of the same number: to stop, suspend or kill it. */
  readonly pid: number;
  /** What it generated as proof that it is ready. */
  readonly proof: string;
  readonly startMs: number;
  /** Its last 64,000 characters of output. */
  log(): string;
  /** The exit code, once it ended, however that came. */
  readonly exited: Promise<number>;
}

export interface EngineStart {
  readonly name: string;
  readonly command: Command;
  readonly port: number;
  readonly startTimeoutMs: number;
  /** The engine is ended after this long whatever happens; for tests. At most 24 days, about 2^31 ms. */
  readonly lifeMs: number;
  /** Tries once to make the engine generate, and gives what it generated; throws while it cannot. */
  readonly ready: (origin: string, signal: AbortSignal) => Promise<string>;
  readonly onLine?: (line: string) => void;
}

/**
 * Starts a server and resolves once `ready` was answered. Throws with its last lines when it ends or is too slow, and
 * with the signal's reason when aborted; it is stopped by then. Dispose to stop it.
 */
export async function startEngine(start: EngineStart, signal: AbortSignal): Promise<RunningEngine> {
  signal.throwIfAborted();
  const startedMs = performance.now();
  const guarded = startGuarded(start.command, start.lifeMs, start.onLine);
  const origin = `http://127.0.0.1:${start.port}`;
  let isOver = false;
  void guarded.exited.then(() => {
    isOver = true;
  });
  let because = 'it was never asked';
  try {
    const pid = await guarded.pid;
    for (;;) {
      signal.throwIfAborted();
      try {
        const leftMs = Math.max(1, Math.round(start.startTimeoutMs - (performance.now() - startedMs)));
        const attempt = AbortSignal.any([signal, AbortSignal.timeout(leftMs)]);
        const proof = await start.ready(origin, attempt);
        const { exited, log } = guarded;
        const startMs = performance.now() - startedMs;
        const stop = () => guarded[Symbol.asyncDispose]();
        return { origin, port: start.port, pid, proof, startMs, log, exited, [Symbol.asyncDispose]: stop };
      } catch (error) {
        because = (error as Error).message;
      }
      if (isOver) throw new Error(`${start.name} ended with ${await guarded.exited} while it started`);
      if (performance.now() - startedMs > start.startTimeoutMs)
        throw new Error(
          `${start.name} generated nothing within ${start.startTimeoutMs / 1000} s: ${because}`,
        );
      await delay(ASK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  } catch (error) {
    await guarded[Symbol.asyncDispose]();
    signal.throwIfAborted();
    throw new Error(`${(error as Error).message}\n${lastLines(guarded.log(), 25)}`, { cause: error });
  }
}

/** A port of loopback that was free a moment ago, for programs that cannot say which one they took. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port on loopback');
  return address.port;
}

interface Guarded extends AsyncDisposable {
  readonly pid: Promise<number>;
  readonly exited: Promise<number>;
  readonly log: () => string;
}

function startGuarded(command: Command, lifeMs: number, onLine?: (line: string) => void): Guarded {
  // In a session of its own: a Ctrl-C of the terminal reaches the script, and the script says when the engine ends.
  const child = spawn(process.execPath, [GUARD, String(lifeMs), command.program, ...command.arguments], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...command.environment },
    ...(command.directory === undefined ? {} : { cwd: command.directory }),
  });
  let words = '';
  for (const output of [child.stdout, child.stderr] as (Readable | null)[]) {
    let rest = '';
    output?.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-LOG_CHARACTERS_MAX);
      const lines = (rest + text).slice(-LOG_CHARACTERS_MAX).split(/[\r\n]+/);
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') onLine?.(line.trimEnd());
    });
  }
  child.stdin?.on('error', () => {});
  const exited = ended(child);
  return {
    pid: enginePid(child),
    exited,
    log: () => words,
    [Symbol.asyncDispose]: async () => {
      child.stdin?.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (code) => resolve(code ?? 137));
  });
}

async function enginePid(child: ChildProcess): Promise<number> {
  const line = child.stdio[3] as Readable;
  for await (const chunk of line.setEncoding('utf8')) return Number.parseInt(String(chunk), 10);
  return 0;
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
