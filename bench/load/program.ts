/** Programs that a bench starts: waited for until they answer, ended with it, and heard when they fail. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';

export interface Program extends AsyncDisposable {
  readonly origin: string;
  readonly child: ChildProcess;
}

export interface ProgramOptions {
  readonly name: string;
  /** What is started; without it the Node that runs the bench. */
  readonly command?: string;
  /** For Node: its own flags, the script, the script's arguments. */
  readonly arguments: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Where it will listen; without it, it is read from the line `listening on http://…` of the program. */
  readonly origin?: string;
  /** Asked until it answers 200. */
  readonly readyPath: string;
  readonly readyTimeoutMs: number;
}

const STOP_TIMEOUT_MS = 8_000;

/** Starts a program and resolves when the program serves. Throws with its last words when not. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const child = spawn(options.command ?? process.execPath, options.arguments, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.environment },
  });
  let words = '';
  let said: string | undefined;
  const hear = (text: string) => {
    words = (words + text).slice(-4_000);
    said ??= /listening on (http:\/\/[\w.[\]:]+)/.exec(words)?.[1];
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  child.stdin.on('error', () => undefined);
  // A command that is not there has an error and no exit.
  const ended = new Promise<void>((resolve) =>
    child.once('exit', () => resolve()).once('error', () => resolve()),
  );
  const stop = async () => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.stdin.end();
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  };
  const deadlineMs = performance.now() + options.readyTimeoutMs;
  for (;;) {
    const origin = options.origin ?? said;
    if (origin !== undefined && (await answers(`${origin}${options.readyPath}`)))
      return { origin, child, [Symbol.asyncDispose]: stop };
    const isOver = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    if (isOver || performance.now() > deadlineMs) {
      await stop();
      throw new Error(
        `${options.name} ${isOver ? `ended with ${child.exitCode ?? child.signalCode}` : 'was not ready in time'}: ${words}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const reply = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await reply.arrayBuffer();
    return reply.ok;
  } catch {
    return false;
  }
}

/** A port of loopback that was free a moment ago, for programs that cannot say which one they took. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
