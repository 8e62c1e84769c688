/**
 * Python packages for an engine: an environment of its own inside the engine's folder, filled with pinned versions by
 * pip, so that mirrors, proxies and certificates are the machine's own. The system's Python is only ever read.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from './child.ts';
import type { StepContext } from './frame.ts';

export interface Pin {
  /** As pip takes it: `name==1.2.3`. */
  readonly package: string;
  /** SHA-256 in hexadecimal of the only file that may be taken; left out where each platform has its own. */
  readonly sha256?: string;
}

const VENV_TIMEOUT_MS = 120_000;
const PIP_TIMEOUT_MS = 900_000;
const SECTION_TIMEOUT_MS = 1_800_000;

/** Makes `<folder>/venv` with the first of the wanted versions (`3.11`) that this machine has whole, with venv and pip. */
export async function makeEnvironment(context: StepContext, versions: readonly string[]): Promise<void> {
  const python = findPython(versions);
  const environment = path.join(context.folder, 'venv');
  await context.run({ program: python, arguments: ['-m', 'venv', '--clear', environment] }, VENV_TIMEOUT_MS);
  context.say(`${python} in ${environment}`);
}

/** Installs exactly this, without what it depends on; a digest that does not match ends it. */
export async function installPinned(
  context: StepContext,
  pin: Pin,
  ...options: readonly string[]
): Promise<void> {
  await context.run(
    pip(context.folder, ['install', '--no-deps', ...options, ...requirement(context.folder, pin)]),
    PIP_TIMEOUT_MS,
  );
}

/**
 * Installs the packages of one `# --- section` of a requirements file, each in the very file that was tried, by digest;
 * so a half-done step ends the same when run again.
 */
export async function installSection(
  context: StepContext,
  requirements: string,
  section: string,
): Promise<void> {
  const wanted = readFileSync(requirements, 'utf8').split(/^# --- /m);
  const lines = wanted.find((part) => part.startsWith(`${section}\n`));
  if (lines === undefined) throw new Error(`${requirements} has no section ${section}`);
  const file = path.join(context.folder, `${section}.requirements.txt`);
  writeFileSync(file, lines.slice(section.length));
  // Compiling all of it ahead takes longer than fetching it; what is imported is compiled once, on use.
  const flags = [
    '--no-deps',
    '--no-compile',
    '--require-hashes',
    '--only-binary',
    ':all:',
    '--progress-bar',
    'off',
  ];
  await context.run(pip(context.folder, ['install', ...flags, '-r', file]), SECTION_TIMEOUT_MS);
}

/**
 * Brings a source archive into `<folder>/downloads`, not unpacked. pip asks the archive for its metadata on the way, for
 * which the packages that build it must be in the environment.
 */
export async function downloadSource(context: StepContext, pin: Pin): Promise<string> {
  const downloads = path.join(context.folder, 'downloads');
  mkdirSync(downloads, { recursive: true });
  const flags = ['--no-deps', '--no-build-isolation', '--no-binary', ':all:', '--dest', downloads];
  await context.run(
    pip(context.folder, ['download', ...flags, ...requirement(context.folder, pin)]),
    PIP_TIMEOUT_MS,
  );
  return downloads;
}

function requirement(folder: string, { package: wanted, sha256 }: Pin): readonly string[] {
  if (sha256 === undefined) return [wanted];
  const file = path.join(folder, `${wanted.replaceAll(/[^\w.-]/g, '_')}.requirement.txt`);
  writeFileSync(file, `${wanted} --hash=sha256:${sha256}\n`);
  return ['--require-hashes', '-r', file];
}

function pip(folder: string, parameters: readonly string[]): Command {
  return {
    program: path.join(folder, 'venv', 'bin', 'python'),
    arguments: ['-m', 'pip', '--disable-pip-version-check', '--no-input', ...parameters],
    environment: { PYTHONUNBUFFERED: '1' },
  };
}

/** The program's name, or a path from GREENROOM_PYTHON. Throws with what was tried. */
function findPython(versions: readonly string[]): string {
  const own = process.env['GREENROOM_PYTHON'];
  const candidates =
    own === undefined || own === ''
      ? [...versions.map((version) => `python${version}`), 'python3', 'python']
      : [own];
  const tried: string[] = [];
  for (const candidate of candidates) {
    const answer = spawnSync(
      candidate,
      ['-c', 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])'],
      { encoding: 'utf8', timeout: 20_000 },
    );
    const version = answer.stdout?.trim() ?? '';
    if (answer.status === 0 && versions.includes(version)) return candidate;
    tried.push(`${candidate}: ${answer.status === 0 ? version : 'not there, or without venv'}`);
  }
  throw new Error(
    `no Python ${versions.join(', ')} with venv and pip (${tried.join('; ')}); install one (Debian: apt-get install python3 python3-venv), or name it in GREENROOM_PYTHON`,
  );
}
