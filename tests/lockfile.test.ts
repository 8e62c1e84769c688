/** The install that README promises: `npm ci` takes the lock on every platform and brings one platform's CPU engine. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { type LockFile, mendLock, platformOf } from '../scripts/lock.ts';

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'));
const lock = read('package-lock.json') as LockFile;
const manifest = read('package.json') as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  allowScripts: Record<string, boolean>;
  scripts: Record<string, string>;
};

const engines = Object.entries(lock.packages).filter(([key]) =>
  key.startsWith('node_modules/@node-llama-cpp/'),
);

test('the lock is as `npm run lock` leaves it', () => {
  assert.deepEqual(
    Object.keys(mendLock(lock, manifest.allowScripts).packages),
    Object.keys(lock.packages),
    'run: npm run lock, and commit package-lock.json',
  );
  assert.deepEqual(
    mendLock(lock, manifest.allowScripts),
    lock,
    'run: npm run lock, and commit package-lock.json',
  );
});

test('every platform gets exactly one engine binary, and no GPU build', () => {
  for (const [os, cpu, expected] of [
    ['linux', 'x64', 'linux-x64'],
    ['linux', 'arm64', 'linux-arm64'],
    ['darwin', 'arm64', 'mac-arm64-metal'],
    ['darwin', 'x64', 'mac-x64'],
    ['win32', 'x64', 'win-x64'],
    ['win32', 'arm64', 'win-arm64'],
  ] as const) {
    const brought = engines
      .filter(([, entry]) => entry.name !== 'empty-npm-package')
      .filter(([, entry]) => (entry.os?.includes(os) ?? true) && (entry.cpu?.includes(cpu) ?? true))
      .map(([key]) => key.slice('node_modules/@node-llama-cpp/'.length));
    assert.deepEqual(brought, [expected], `${os} ${cpu}`);
  }
  for (const [key, entry] of engines) {
    if (/cuda|vulkan/.test(key)) assert.equal(entry.name, 'empty-npm-package', key);
  }
});

test('the lock agrees with package.json about what is wanted directly', () => {
  const root = lock.packages[''] as unknown as typeof manifest;
  assert.deepEqual(root.dependencies, manifest.dependencies);
  assert.deepEqual(root.devDependencies, manifest.devDependencies);
});

test('install scripts run for the pinned Node alone', () => {
  const allowed = Object.entries(manifest.allowScripts).filter(([, isAllowed]) => isAllowed);
  assert.deepEqual(allowed, [['node', true]]);
  const unnamed = Object.entries(lock.packages)
    .filter(([key, entry]) => entry.hasInstallScript === true && key !== '')
    .map(([key]) => key.slice(key.lastIndexOf('node_modules/') + 'node_modules/'.length))
    .filter((name) => manifest.allowScripts[name] === undefined);
  assert.deepEqual(unnamed, [], 'decide each in allowScripts of package.json');
});

test('a platform is read from the name of its package', () => {
  for (const [name, os, cpu, libc] of [
    ['@biomejs/cli-linux-x64-musl', 'linux', 'x64', 'musl'],
    ['@node-llama-cpp/mac-arm64-metal', 'darwin', 'arm64', null],
    ['@node-llama-cpp/win-x64', 'win32', 'x64', null],
    ['@oxlint/binding-linux-arm-gnueabihf', 'linux', 'arm', 'glibc'],
    ['@oxlint/binding-linux-arm-musleabihf', 'linux', 'arm', 'musl'],
    ['@oxlint/binding-win32-ia32-msvc', 'win32', 'ia32', null],
  ] as const) {
    assert.deepEqual(platformOf(name), { os, cpu, libc }, name);
  }
  assert.equal(platformOf('fsevents'), null);
});

test('a platform entry is put back, the arm64 engine is for arm64, and no script runs that is not allowed', () => {
  const mended = mendLock(
    {
      packages: {
        'node_modules/tool': {
          version: '2.0.0',
          dev: true,
          optionalDependencies: { '@tool/linux-x64-musl': '2.0.0' },
        },
        'node_modules/database': { hasInstallScript: true },
        'node_modules/runtime': { hasInstallScript: true },
        'node_modules/@node-llama-cpp/linux-arm64': { os: ['linux'], cpu: ['arm64', 'x64'] },
      },
    },
    { database: false, runtime: true },
  );
  assert.deepEqual(mended.packages['node_modules/@tool/linux-x64-musl'], {
    version: '2.0.0',
    cpu: ['x64'],
    dev: true,
    libc: ['musl'],
    optional: true,
    os: ['linux'],
  });
  assert.deepEqual(mended.packages['node_modules/database'], { gypfile: false });
  assert.deepEqual(mended.packages['node_modules/runtime'], { hasInstallScript: true });
  assert.deepEqual(mended.packages['node_modules/@node-llama-cpp/linux-arm64']?.cpu, ['arm64']);
});
