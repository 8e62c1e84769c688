/**
 * The gateway as its own process, as people start it: `greenroom serve` on a free port with the example cast, its engine
 * a small true server of this test. Nothing is fetched, nothing is kept.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { ChatReply, ChatServer } from '../src/testing/chat-server.ts';
import { startChatServer } from '../src/testing/chat-server.ts';

const root = path.resolve(import.meta.dirname, '..');

export interface RunningGateway extends AsyncDisposable {
  readonly url: string;
  readonly engine: ChatServer;
}

/** Resolves once the gateway has generated its warm-up line. `reply` is what the engine says to everything. */
export async function startGateway(reply: ChatReply): Promise<RunningGateway> {
  const engine = await startChatServer(reply);
  const folder = await mkdtemp(path.join(tmpdir(), 'greenroom-gateway-'));
  const config = path.join(folder, 'greenroom.json');
  await writeFile(
    config,
    JSON.stringify({
      cast: path.join(root, 'examples/body-broker/cast'),
      dataDirectory: path.join(folder, 'data'),
      engines: { local: { kind: 'vllm', baseUrl: engine.origin, model: 'm' } },
      tiers: { 1: { deadlineMs: 60_000 }, 2: { deadlineMs: 60_000 }, 3: { deadlineMs: 60_000 } },
    }),
  );
  const child = spawn(
    process.execPath,
    ['src/main.ts', 'serve', '--config', config, '--host', '127.0.0.1', '--port', '0'],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  child.stderr.resume();
  const stop = async () => {
    await end(child);
    await engine[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  };
  let url = '';
  for await (const line of createInterface({ input: child.stdout })) {
    url ||= /^listening on (\S+)/.exec(line)?.[1] ?? '';
    if (line.startsWith('ready:')) return { url, engine, [Symbol.asyncDispose]: stop };
  }
  await stop();
  throw new Error(`greenroom serve ended before it was ready (exit code ${child.exitCode})`);
}

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

/** One command line as a process; `input` is typed into it. */
export async function greenroom(
  parameters: readonly string[],
  { input = '', environment = {} }: { input?: string; environment?: Record<string, string> } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, ['src/main.ts', ...parameters], {
    cwd: root,
    env: { ...process.env, GREENROOM_KEY: '', PORT: '', ...environment },
    stdio: 'pipe',
    timeout: 60_000,
  });
  child.stdin.on('error', () => {}).end(input);
  const [out, error, [code]] = await Promise.all([
    child.stdout.setEncoding('utf8').reduce<string>((text, piece: string) => text + piece, ''),
    child.stderr.setEncoding('utf8').reduce<string>((text, piece: string) => text + piece, ''),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { code, out, error };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
