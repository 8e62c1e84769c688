/**
 * The sides of the gateway bench: the mock asked directly, Greenroom before it, and Portkey before it when installed.
 * All run on the Node that runs the bench, each a process of its own on loopback.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import type { Target } from './client.ts';
import { portkeyVersions, startPortkey } from './portkey.ts';
import { type Program, startProgram } from './program.ts';

export const SIDE_NAMES = ['direct', 'greenroom', 'portkey'] as const;
export type SideName = (typeof SIDE_NAMES)[number];

export interface Side extends Target {
  readonly name: SideName;
}

const MODEL = 'mock-model';
/** More than any case holds at once. */
const UPSTREAM_AT_ONCE = 256;
const ROOT = path.resolve(import.meta.dirname, '..', '..');

/** Starts what of `wanted` is there; everything that it starts ends with `programs`. The mock always runs. */
export async function startSides(
  wanted: ReadonlySet<SideName>,
  options: { readonly profileDirectory: string | undefined },
  programs: AsyncDisposableStack,
): Promise<Side[]> {
  const mock = programs.use(
    await startProgram({
      name: 'mock',
      arguments: [path.join(import.meta.dirname, 'mock-upstream.ts')],
      readyPath: '/health',
      readyTimeoutMs: 10_000,
    }),
  );
  const sides: Side[] = [
    { name: 'direct', origin: mock.origin, model: MODEL, headers: {}, pid: mock.child.pid },
  ];
  if (wanted.has('greenroom')) {
    const { origin, child } = await startGreenroom(mock.origin, options.profileDirectory, programs);
    sides.push({ name: 'greenroom', origin, model: MODEL, headers: {}, pid: child.pid });
  }
  if (wanted.has('portkey') && portkeyVersions() !== null) {
    const portkey = programs.use(await startPortkey());
    sides.push({
      name: 'portkey',
      origin: portkey.origin,
      model: MODEL,
      headers: {
        authorization: 'Bearer bench',
        'x-portkey-provider': 'openai',
        'x-portkey-custom-host': `${mock.origin}/v1`,
      },
      pid: portkey.child.pid,
    });
  }
  return sides;
}

/** The whole service as it ships, with the mock as its only engine; no limit of the doors is changed. */
async function startGreenroom(
  mockOrigin: string,
  profileDirectory: string | undefined,
  programs: AsyncDisposableStack,
): Promise<Program> {
  const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-bench-'));
  programs.defer(() => rmSync(folder, { recursive: true, force: true }));
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
