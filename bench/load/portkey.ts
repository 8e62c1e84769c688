/**
 * The rival in the same language: `@portkey-ai/gateway`, kept outside the tree with two pins, because the versions that
 * npm resolves today answer 500 to every stream (rivals.md B4). Absent is an answer; a made-up figure is none.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cacheDirectory } from '../../src/models/cache.ts';
import { freePort, type Program, startProgram } from './program.ts';

export const INSTALL_PORTKEY = 'npm run bench:gateway -- --install-rivals';

const PORTKEY = { '@portkey-ai/gateway': '1.15.2' };
const PINS = { hono: '4.9.7', '@hono/node-server': '1.13.5' };
const INSTALL_TIMEOUT_MS = 300_000;

const folder = () => path.join(cacheDirectory(process.env), 'rivals', 'portkey');
const installed = (...parts: string[]) => path.join(folder(), 'node_modules', ...parts);
const entry = () => installed('@portkey-ai', 'gateway', 'build', 'start-server.js');

/** The versions that would run, by package, or null when Portkey is not installed. Throws when the pins are not held. */
export function portkeyVersions(): Record<string, string> | null {
  if (!existsSync(entry())) return null;
  const names = Object.keys({ ...PORTKEY, ...PINS });
  const versions = Object.fromEntries(
    names.map((name) => {
      const manifest = JSON.parse(readFileSync(installed(name, 'package.json'), 'utf8')) as {
        version: string;
      };
      return [name, manifest.version];
    }),
  );
  for (const [name, version] of Object.entries(PINS))
    if (versions[name] !== version)
      throw new Error(`${name} is ${versions[name]}, expected ${version}; run ${INSTALL_PORTKEY}`);
  return versions;
}

/** Installs Portkey with its pins, without running any package's scripts. */
export function installPortkey(): void {
  mkdirSync(folder(), { recursive: true });
  const manifest = { name: 'rival-portkey', private: true, dependencies: PORTKEY, overrides: PINS };
  writeFileSync(path.join(folder(), 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const { status, error } = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder(),
    stdio: 'inherit',
    timeout: INSTALL_TIMEOUT_MS,
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`npm install in ${folder()} ended with ${status ?? error?.message}`);
}

export async function startPortkey(): Promise<Program> {
  const port = await freePort();
  return await startProgram({
    name: 'portkey',
    arguments: [
      '--import',
      path.join(import.meta.dirname, 'loopback-only.ts'),
      entry(),
      `--port=${port}`,
      '--headless',
    ],
    environment: { NODE_ENV: 'production' },
    origin: `http://127.0.0.1:${port}`,
    readyPath: '/',
    readyTimeoutMs: 20_000,
  });
}
