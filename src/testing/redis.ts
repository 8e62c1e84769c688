/**
 * A real Valkey or Redis for tests: a private server of the installed binary in a temporary folder, reached through a
 * Unix socket in it, so that no port can be taken twice. It keeps nothing on disk: each start is an empty one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';

export const REDIS_MISSING =
  'skipped: neither valkey-server nor redis-server is installed, install with: apt-get install redis-server';

const BINARIES = ['valkey-server', 'redis-server'];
const START_TIMEOUT_MS = 30_000;

export interface TestRedis extends AsyncDisposable {
  /** `unix:///…/redis.sock` */
  readonly url: string;
  readonly power: RedisPower;
  /** One command of a client of its own, as somebody else who uses the server. */
  command(name: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown>;
}

export interface RedisPower {
  /** Killed, as by the system: nothing is said to the clients. */
  off(): Promise<void>;
  /** Started again, empty. */
  on(): Promise<void>;
  /** The process stands still: connections stay open and nobody answers. */
  stall(): void;
  resume(): void;
}

export interface TestRedisOptions {
  /** Arguments of the server: `['--maxmemory', '2mb']`. */
  readonly settings?: readonly string[];
  /** False: made and not started; `power.on` does. */
  readonly isStarted?: boolean;
}

/** Resolves to null when there is no server on this machine: skip with REDIS_MISSING. */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis | null> {
  const binary = BINARIES.map(findBinary).find((found) => found !== null);
  if (binary === undefined || binary === null) return null;
  const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-redis-'));
  const socket = path.join(folder, 'redis.sock');
  const server = new PrivateServer(binary, folder, socket, options.settings ?? []);
  try {
    if (options.isStarted !== false) await server.on();
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    url: `unix://${socket}`,
    power: server,
    async command(name, ...args) {
      const client = new Redis({ path: socket, protocol: 2, lazyConnect: true, retryStrategy: () => null });
      client.on('error', () => {});
      try {
        await client.connect();
        return await client.call(name, ...args);
      } finally {
        client.disconnect();
      }
    },
    [Symbol.asyncDispose]: async () => {
      await server.off();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

class PrivateServer implements RedisPower {
  readonly #binary: string;
  readonly #folder: string;
  readonly #socket: string;
  readonly #settings: readonly string[];
  #child: ChildProcess | null = null;

  constructor(binary: string, folder: string, socket: string, settings: readonly string[]) {
    this.#binary = binary;
    this.#folder = folder;
    this.#socket = socket;
    this.#settings = settings;
  }

  async on(): Promise<void> {
    const fixed = ['--port', '0', '--unixsocket', this.#socket, '--save', '', '--appendonly', 'no'];
    const child = spawn(this.#binary, [...fixed, '--dir', this.#folder, ...this.#settings], {
      cwd: this.#folder,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child = child;
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
    });
    for (const deadlineMs = performance.now() + START_TIMEOUT_MS; ; ) {
      if (child.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`the server did not start: ${said}`);
      if (await answers(this.#socket)) return;
      await delay(10);
    }
  }

  async off(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  stall(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }
}

/** Whether a PING is answered, be it with a refusal. */
function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection({ path: socket });
    const end = (isAnswered: boolean) => {
      connection.destroy();
      resolve(isAnswered);
    };
    connection.once('error', () => end(false));
    connection.once('data', () => end(true));
    connection.write('PING\r\n');
  });
}

function findBinary(name: string): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter).concat('/usr/bin', '/usr/sbin')) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Looked for in the next folder.
    }
  }
  return null;
}
