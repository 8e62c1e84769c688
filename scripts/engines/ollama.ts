/**
 * `npm run engines:ollama`: Ollama with its processor runner, built from the Go module alone, serving our model. The
 * newest version that a module proxy gives whole: later ones run a llama-server that the module does not carry.
 */
import { chmodSync, mkdirSync, openAsBlob } from 'node:fs';
import path from 'node:path';
import { BASE_MODEL, BASE_MODEL_SHA256, baseModelFile, baseModelStep } from './base-model.ts';
import { type EngineScript, runScript, type StepContext } from './frame.ts';
import { sourceSteps, tidyStep, unpackSource } from './llama-source.ts';
import { toolMissing } from './tools.ts';

const VERSION = '0.17.4';
const MODULE = `github.com/ollama/ollama@v${VERSION}`;
/** Of the module, as go.sum has it. */
const MODULE_SUM = 'h1:X3KNm9x4BlHqk/AXMGtC7pBAFd46nmJmy8yDaBZLo9s=';
const BUILD_TIMEOUT_MS = 3_600_000;

export const ollama: EngineScript = {
  name: 'ollama',
  title: 'Ollama',
  version: VERSION,
  about: '0.17.4 for the processor; 120 MB to fetch, 140 MB on disk, 6 minutes to build on two cores',
  flags: { parallel: { type: 'string', default: '4' }, debug: { type: 'boolean', default: false } },
  help: [
    '  --parallel N     requests at once for one model, 4 when not given',
    '  --debug          it says when it begins and ends a request',
  ],
  steps: [
    ...sourceSteps,
    {
      title: 'headers that the module lacks',
      // A module's archive leaves out every folder that is called vendor.
      work: (context) => unpackSource(context, 'vendor', 'source'),
    },
    { title: 'building', about: '10 minutes of one core', work: build },
    tidyStep,
    baseModelStep,
  ],
  program: 'bin/ollama',
  startTimeoutMs: 120_000,
  command: (installed, port, flags) => ({
    program: installed.program,
    arguments: ['serve'],
    environment: {
      OLLAMA_HOST: `127.0.0.1:${port}`,
      OLLAMA_MODELS: path.join(installed.folder, 'models'),
      OLLAMA_NUM_PARALLEL: String(flags['parallel'] ?? 4),
      OLLAMA_DEBUG: flags['debug'] === true ? '1' : '0',
      // What a request of our driver asks for when it is told nothing else, so that the first one reloads nothing.
      OLLAMA_CONTEXT_LENGTH: '4096',
      OLLAMA_KEEP_ALIVE: '-1',
      OLLAMA_NO_CLOUD: '1',
      // Two servers on one folder: neither throws away what the other is just writing.
      OLLAMA_NOPRUNE: '1',
      HOME: installed.folder,
    },
  }),
  async ready(origin, signal) {
    if (!(await hasModel(origin, signal))) await createModel(origin, signal);
    const reply = await ask(
      origin,
      '/api/chat',
      {
        model: BASE_MODEL,
        stream: false,
        keep_alive: -1,
        options: { num_predict: 16 },
        messages: [{ role: 'user', content: 'Greet me in a few words.' }],
      },
      signal,
    );
    const { message } = (await reply.json()) as { readonly message?: { readonly content: string } };
    if (message === undefined || message.content === '') throw new Error('an empty answer');
    return message.content;
  },
};

async function build(context: StepContext): Promise<void> {
  for (const [program, parameters] of [
    ['go', ['version']],
    ['c++', ['--version']],
  ] as const)
    if (toolMissing(program, ...parameters) !== null)
      throw new Error(`no ${program} on PATH; install Go 1.24.1 or later (go.dev) and a C++ compiler`);
  const answer = await context.run(
    { program: 'go', arguments: ['mod', 'download', '-json', MODULE] },
    600_000,
  );
  const module = JSON.parse(answer.slice(answer.indexOf('{'))) as {
    readonly Dir: string;
    readonly Sum: string;
  };
  if (module.Sum !== MODULE_SUM) throw new Error(`${MODULE} is ${module.Sum}, expected ${MODULE_SUM}`);
  const program = path.join(context.folder, ollama.program);
  mkdirSync(path.dirname(program), { recursive: true });
  await context.run(
    {
      program: 'nice',
      arguments: [
        ...['-n', '10', 'go', 'build', '-v', '-trimpath'],
        `-ldflags=-s -w -X=github.com/ollama/ollama/version.Version=${VERSION}`,
        ...['-o', program, '.'],
      ],
      directory: module.Dir,
      environment: {
        CGO_ENABLED: '1',
        CGO_CPPFLAGS: `-I${path.join(context.folder, 'source')}`,
        // Its own flags would make a runner without any vector instructions.
        CGO_CFLAGS: '-O3 -march=native',
        CGO_CXXFLAGS: '-O3 -march=native',
      },
    },
    BUILD_TIMEOUT_MS,
  );
  chmodSync(program, 0o755);
}

async function hasModel(origin: string, signal: AbortSignal): Promise<boolean> {
  const tags = (await (await fetch(`${origin}/api/tags`, { signal })).json()) as {
    readonly models: readonly { readonly name: string }[];
  };
  return tags.models.some(({ name }) => name === `${BASE_MODEL}:latest`);
}

/** As an operator would without a network: the file goes in as a blob, and a model is made from it. */
async function createModel(origin: string, signal: AbortSignal): Promise<void> {
  const digest = `sha256:${BASE_MODEL_SHA256}`;
  const upload = await fetch(`${origin}/api/blobs/${digest}`, {
    method: 'POST',
    body: await openAsBlob(baseModelFile()),
    signal,
  });
  if (!upload.ok) throw new Error(`the upload was answered with ${upload.status}: ${await upload.text()}`);
  const files = { 'model.gguf': digest };
  // Its threads wait for each other by spinning: on a machine with other work two are many times slower than one.
  const parameters = { num_thread: 1 };
  await (
    await ask(origin, '/api/create', { model: BASE_MODEL, files, parameters, stream: false }, signal)
  ).text();
}

async function ask(origin: string, route: string, body: unknown, signal: AbortSignal): Promise<Response> {
  const reply = await fetch(`${origin}${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
  if (!reply.ok) throw new Error(`${route} was answered with ${reply.status}: ${await reply.text()}`);
  return reply;
}

if (import.meta.main) await runScript(ollama);
