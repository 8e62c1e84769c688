/**
 * A real PostgreSQL for tests: the one that GREENROOM_TEST_DATABASE_URL names, else a private server of the installed
 * binaries in a temporary folder, reached through a Unix socket in it. Each test works in a schema of its own.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

export const POSTGRES_MISSING =
  'skipped: PostgreSQL is not installed, install with: apt-get install postgresql';

export interface TestPostgres extends AsyncDisposable {
  /** An address whose queries all go to a new, empty schema. */
  freshUrl(): Promise<string>;
  /** Stops and starts the server, to test what a client sees; absent on a server that is not ours. */
  readonly power?: { off(): Promise<void>; on(): Promise<void> };
}

/** Resolves to null when there is no PostgreSQL on this machine: skip with POSTGRES_MISSING. */
export async function startPostgres(): Promise<TestPostgres | null> {
  const given = process.env['GREENROOM_TEST_DATABASE_URL'];
  if (given !== undefined && given !== '') return shared(given);
  const binaries = globSync('/usr/lib/postgresql/*/bin').sort(byVersion).at(-1);
  if (binaries === undefined) return null;
  return await startPrivate(binaries);
}

/** Whom a child runs as; empty: as we do. */
interface SystemUser {
  readonly uid?: number;
  readonly gid?: number;
}

async function startPrivate(binaries: string): Promise<TestPostgres | null> {
  // PostgreSQL refuses to run as root.
  const user: SystemUser | null = process.getuid?.() === 0 ? systemUser('postgres') : {};
  if (user === null) return null;
  const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-postgres-'));
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = path.join(folder, 'data');
  const server = new PrivateServer(path.join(binaries, 'postgres'), folder, data, user);
  try {
    execFileSync(
      path.join(binaries, 'initdb'),
      ['-D', data, '-U', 'greenroom', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'],
      { ...user, cwd: folder, stdio: 'pipe', timeout: 60_000 },
    );
    await server.on();
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  const url = `postgresql://greenroom@/postgres?host=${encodeURIComponent(folder)}`;
  return {
    ...shared(url),
    power: server,
    [Symbol.asyncDispose]: async () => {
      await server.off();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

class PrivateServer {
  readonly #binary: string;
  readonly #folder: string;
  readonly #data: string;
  readonly #user: SystemUser;
  #child: ChildProcess | null = null;

  constructor(binary: string, folder: string, data: string, user: SystemUser) {
    this.#binary = binary;
    this.#folder = folder;
    this.#data = data;
    this.#user = user;
  }

  async on(): Promise<void> {
    const settings = ['fsync=off', 'max_connections=40', 'shared_buffers=16MB', 'listen_addresses='];
    const child = spawn(
      this.#binary,
      ['-D', this.#data, '-k', this.#folder, ...settings.flatMap((setting) => ['-c', setting])],
      { ...this.#user, cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#child = child;
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
    });
    for (const deadlineMs = performance.now() + 30_000; ; ) {
      if (child.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`PostgreSQL did not start: ${said}`);
      const client = new pg.Client({ host: this.#folder, user: 'greenroom', database: 'postgres' });
      try {
        await client.connect();
        return;
      } catch {
        await delay(50);
      } finally {
        await client.end().catch(() => {});
      }
    }
  }

  /** SIGINT: connections are cut at once, as in a failover. */
  async off(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGINT');
    await exited;
  }
}

function shared(url: string): TestPostgres {
  const schemas: string[] = [];
  return {
    async freshUrl() {
      const schema = `greenroom_test_${process.pid}_${schemas.length}`;
      await query(url, `create schema ${schema}`);
      schemas.push(schema);
      const fresh = new URL(url.replace('@/', '@localhost/'));
      fresh.searchParams.set('options', `-c search_path=${schema}`);
      return fresh.href;
    },
    async [Symbol.asyncDispose]() {
      for (const schema of schemas) await query(url, `drop schema if exists ${schema} cascade`);
    },
  };
}

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

function systemUser(name: string): SystemUser | null {
  try {
    const id = (flag: string) =>
      Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }));
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return null;
  }
}

function byVersion(a: string, b: string): number {
  const version = (folder: string) => Number.parseInt(path.basename(path.dirname(folder)), 10);
  return version(a) - version(b);
}
