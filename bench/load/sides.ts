/**
 * The sides of the gateway bench: the mock asked directly, Greenroom before it, and each rival before it that is there.
 * Each is a process of its own on loopback.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { bifrost } from './bifrost.ts';
import type { Target } from './client.ts';
import { litellm } from './litellm.ts';
import { portkey } from './portkey.ts';
import { type Program, startProgram } from './program.ts';
import { INSTALL_RIVALS, installFailure, type Rival } from './rival.ts';
import { smg } from './smg.ts';

export const RIVALS: readonly Rival[] = [portkey, litellm, smg, bifrost];
export const SIDE_NAMES: readonly string[] = ['direct', 'greenroom', ...RIVALS.map(({ name }) => name)];

/** A side that cannot be measured: why, and the command that would change it where one does. */
export interface Absent {
  readonly reason: string;
  readonly install?: string;
}

export interface Sides {
  readonly running: readonly Target[];
  readonly absent: ReadonlyMap<string, Absent>;
  readonly versions: Readonly<Record<string, string>>;
}

const MODEL = 'mock-model';
/** More than any case holds at once. */
const UPSTREAM_AT_ONCE = 256;
const ROOT = path.resolve(import.meta.dirname, '..', '..');

/** Starts what of `wanted` is there; everything that it starts ends with `programs`. The direct side always runs. */
export async function startSides(
  wanted: ReadonlySet<string>,
  options: { readonly profileDirectory: string | undefined },
  programs: AsyncDisposableStack,
): Promise<Sides> {
  const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-bench-'));
  programs.defer(() => rmSync(folder, { recursive: true, force: true }));
  const mock = programs.use(
    await startProgram({
      name: 'mock',
      arguments: [path.join(import.meta.dirname, 'mock-upstream.ts')],
      readyPath: '/health',
      readyTimeoutMs: 10_000,
    }),
  );
  const running: Target[] = [
    { name: 'direct', origin: mock.origin, model: MODEL, headers: {}, pid: mock.child.pid },
  ];
  if (wanted.has('greenroom')) {
    const { origin, child } = await startGreenroom(mock.origin, folder, options.profileDirectory, programs);
    running.push({ name: 'greenroom', origin, model: MODEL, headers: {}, pid: child.pid });
  }
  const absent = new Map<string, Absent>();
  const versions: Record<string, string> = {};
  for (const rival of RIVALS) {
    if (!wanted.has(rival.name)) continue;
    const found = rival.versions();
    if (found === null) {
      absent.set(rival.name, notInstalled(rival));
      continue;
    }
    try {
      const { program, headers, model } = await rival.start(mock.origin, folder);
      programs.use(program);
      running.push({ name: rival.name, origin: program.origin, model, headers, pid: program.child.pid });
      Object.assign(versions, found);
    } catch (error) {
      absent.set(rival.name, { reason: (error as Error).message.slice(0, 300) });
    }
  }
  return { running, absent, versions };
}

function notInstalled({ name }: Rival): Absent {
  return { reason: installFailure(name) ?? 'not installed', install: INSTALL_RIVALS };
}

/** The whole service as it ships, with the mock as its only engine; no limit of the doors is changed. */
async function startGreenroom(
  mockOrigin: string,
  folder: string,
  profileDirectory: string | undefined,
  programs: AsyncDisposableStack,
): Promise<Program> {
  const rungs = { rungs: ['mock'] };
  const config = {
    dataDirectory: path.join(folder, 'data'),
    cast: path.join(ROOT, 'examples', 'body-broker', 'cast'),
    // Admission protects an engine; the mock needs no protection, and the rival has none.
    engines: {
      mock: {
        kind: 'openai-compatible',
        baseUrl: mockOrigin,
        model: MODEL,
        maxInFlight: UPSTREAM_AT_ONCE,
        connections: UPSTREAM_AT_ONCE,
      },
    },
    tiers: { 1: rungs, 2: rungs, 3: rungs, 4: rungs },
  };
  const file = path.join(folder, 'greenroom.yaml');
  writeFileSync(file, stringify(config));
  return programs.use(
    await startProgram({
      name: 'greenroom',
      arguments: [
        ...(profileDirectory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`]),
        path.join(ROOT, 'src', 'main.ts'),
        'serve',
        '--config',
        file,
      ],
      environment: { PORT: '0', HOST: '127.0.0.1', DATABASE_URL: '' },
      readyPath: '/readyz',
      readyTimeoutMs: 30_000,
    }),
  );
}
