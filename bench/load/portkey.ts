/**
 * The rival in the same language: `@portkey-ai/gateway`, kept outside the tree with two pins, because the versions that
 * npm resolves today answer 500 to every stream (rivals.md B4).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, startProgram } from './program.ts';
import { INSTALL_RIVALS, type Rival, rivalFolder } from './rival.ts';

const PORTKEY = { '@portkey-ai/gateway': '1.15.2' };
const PINS = { hono: '4.9.7', '@hono/node-server': '1.13.5' };
const INSTALL_TIMEOUT_MS = 300_000;

const folder = () => rivalFolder('portkey');
const installed = (...parts: string[]) => path.join(folder(), 'node_modules', ...parts);
const entry = () => installed('@portkey-ai', 'gateway', 'build', 'start-server.js');

function versions(): Record<string, string> | null {
  if (!existsSync(entry())) return null;
  const names = Object.keys({ ...PORTKEY, ...PINS });
  const found = Object.fromEntries(
    names.map((name) => {
      const manifest = JSON.parse(readFileSync(installed(name, 'package.json'), 'utf8')) as {
        version: string;
      };
      return [name, manifest.version];
    }),
  );
  for (const [name, version] of Object.entries(PINS))
    if (found[name] !== version)
      throw new Error(`${name} is ${found[name]}, expected ${version}; run ${INSTALL_RIVALS}`);
  return found;
}

/** Installs Portkey with its pins, without running any package's scripts. */
function install(): void {
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

export const portkey: Rival = {
  name: 'portkey',
  versions,
  install,
  start: async (mockOrigin) => {
    const port = await freePort();
    const program = await startProgram({
      name: 'portkey',
      arguments: [
        ...['--import', path.join(import.meta.dirname, 'loopback-only.ts')],
        ...[entry(), `--port=${port}`, '--headless'],
      ],
      environment: { NODE_ENV: 'production' },
      origin: `http://127.0.0.1:${port}`,
      readyPath: '/',
      readyTimeoutMs: 20_000,
    });
    const headers = {
      authorization: 'Bearer bench',
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `${mockOrigin}/v1`,
    };
    return { program, headers, model: 'mock-model' };
  },
};
