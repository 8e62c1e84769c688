/** Rivals from PyPI: each in a virtual environment of its own, at one pinned version. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { INSTALL_RIVALS, rivalFolder } from './rival.ts';

/** Resolving a proxy's hundred dependencies takes pip minutes. */
const INSTALL_TIMEOUT_MS = 1_800_000;

export interface PythonPackage {
  readonly name: string;
  /** As pip takes it: `litellm[proxy]`. */
  readonly requirement: string;
  readonly version: string;
}

const versionFile = ({ name }: PythonPackage) => path.join(rivalFolder(name), 'greenroom-version.txt');

export function venvProgram({ name }: PythonPackage, program: string): string {
  return path.join(rivalFolder(name), 'bin', program);
}

export function pythonVersions(wanted: PythonPackage): Record<string, string> | null {
  if (!existsSync(venvProgram(wanted, wanted.name)) || !existsSync(versionFile(wanted))) return null;
  const version = readFileSync(versionFile(wanted), 'utf8').trim();
  if (version !== wanted.version)
    throw new Error(`${wanted.name} is ${version}, expected ${wanted.version}; run ${INSTALL_RIVALS}`);
  return { [wanted.name]: version };
}

export function installPython(wanted: PythonPackage): void {
  run('python3', ['-m', 'venv', rivalFolder(wanted.name)]);
  const requirement = `${wanted.requirement}==${wanted.version}`;
  run(venvProgram(wanted, 'pip'), ['install', '--disable-pip-version-check', '--no-compile', requirement]);
  writeFileSync(versionFile(wanted), `${wanted.version}\n`);
}

function run(program: string, given: readonly string[]): void {
  const { status, error } = spawnSync(program, given, { stdio: 'inherit', timeout: INSTALL_TIMEOUT_MS });
  if (status !== 0)
    throw new Error(`${program} ${given.join(' ')} ended with ${status ?? error?.message ?? 'a signal'}`);
}
