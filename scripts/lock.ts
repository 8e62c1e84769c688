/**
 * `npm run lock`: writes package-lock.json so that `npm ci` brings one platform's binaries and works on all of them.
 * npm alone leaves three faults: a platform package that it could not fetch while locking is left out, and `npm ci` then
 * refuses the whole file; the arm64 engine calls itself fit for x64, where it is 20 MB that nobody loads; and npm 10,
 * which knows no `allowScripts`, would compile what carries its binaries already. All are mended here and kept mended by
 * `tests/lockfile.test.ts`.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

export interface LockedPackage {
  version?: string;
  name?: string;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optional?: boolean;
  hasInstallScript?: boolean;
  /** False keeps npm from running node-gyp on a package that has a `binding.gyp` and no install script. */
  gypfile?: boolean;
  dev?: boolean;
  optionalDependencies?: Record<string, string>;
  [other: string]: unknown;
}

export interface LockFile {
  packages: Record<string, LockedPackage>;
  [other: string]: unknown;
}

const OS: Readonly<Record<string, string>> = {
  linux: 'linux',
  darwin: 'darwin',
  mac: 'darwin',
  win: 'win32',
  win32: 'win32',
  freebsd: 'freebsd',
  android: 'android',
  openharmony: 'openharmony',
};
const CPU: Readonly<Record<string, string>> = {
  x64: 'x64',
  arm64: 'arm64',
  arm: 'arm',
  armv7l: 'arm',
  ia32: 'ia32',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  loong64: 'loong64',
};

/** The platform that a binary package's name speaks of, `@oxlint/binding-linux-arm-musleabihf` say; null when it names none. */
export function platformOf(
  packageName: string,
): { os: string; cpu: string; libc: 'glibc' | 'musl' | null } | null {
  const words = packageName.slice(packageName.indexOf('/') + 1).split('-');
  const os = words.map((word) => OS[word]).find((word) => word !== undefined);
  const cpu = words.map((word) => CPU[word]).find((word) => word !== undefined);
  if (os === undefined || cpu === undefined) return null;
  const libc = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : words.some((word) => word.startsWith('gnu'))
      ? 'glibc'
      : null;
  return { os, cpu, libc };
}

/**
 * A copy of the lock with an entry for every optional platform package, each fit only for the platform it names, and
 * with install scripts only where `allowScripts` says true.
 */
export function mendLock(lock: LockFile, allowScripts: Readonly<Record<string, boolean>>): LockFile {
  const packages: Record<string, LockedPackage> = structuredClone(lock.packages);
  for (const owner of Object.values(lock.packages)) {
    for (const [name, range] of Object.entries(owner.optionalDependencies ?? {})) {
      const platform = platformOf(name);
      const isExact = /^\d+\.\d+\.\d+/.test(range);
      const key = `node_modules/${name}`;
      if (platform === null || !isExact || packages[key] !== undefined) continue;
      packages[key] = {
        version: range,
        cpu: [platform.cpu],
        ...(owner.dev === true ? { dev: true } : {}),
        ...(platform.libc === null ? {} : { libc: [platform.libc] }),
        optional: true,
        os: [platform.os],
      };
    }
  }
  for (const [key, entry] of Object.entries(packages)) {
    if (!key.startsWith('node_modules/@node-llama-cpp/') || entry.name === 'empty-npm-package') continue;
    const platform = platformOf(key.slice('node_modules/'.length));
    if (platform !== null) entry.cpu = [platform.cpu];
  }
  for (const [key, entry] of Object.entries(packages)) {
    const name = key.slice(key.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (key === '' || allowScripts[name] !== false) continue;
    delete entry.hasInstallScript;
    entry.gypfile = false;
  }
  const sorted = Object.keys(packages).sort((left, right) => left.localeCompare(right, 'en'));
  return {
    ...lock,
    packages: Object.fromEntries(sorted.map((key) => [key, packages[key] as LockedPackage])),
  };
}

if (import.meta.main) {
  const npm = spawnSync(
    'npm',
    [
      'install',
      '--package-lock-only',
      '--ignore-scripts',
      '--omit-lockfile-registry-resolved=false',
      '--no-audit',
      '--no-fund',
    ],
    { stdio: 'inherit', shell: process.platform === 'win32', timeout: 600_000 },
  );
  if (npm.status !== 0) process.exit(npm.status ?? 1);
  const path = new URL('../package-lock.json', import.meta.url);
  const lock = JSON.parse(readFileSync(path, 'utf8')) as LockFile;
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    allowScripts: Record<string, boolean>;
  };
  writeFileSync(path, `${JSON.stringify(mendLock(lock, manifest.allowScripts), null, 2)}\n`);
}
