/** `npm run engines:llama-server`: llama.cpp's own server, built for this processor from its source, with our model. */
import { copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { BASE_MODEL, baseModelFile, baseModelStep } from './base-model.ts';
import { type EngineScript, runScript, type StepContext } from './frame.ts';
import { LLAMA_BUILD, sourceSteps, tidyStep, unpackSource } from './llama-source.ts';
import { installPinned } from './python.ts';
import { toolMissing } from './tools.ts';

const BUILD_TIMEOUT_MS = 3_600_000;
const TOOLS = ['cmake==4.4.4', 'ninja==1.13.0'];

export const llamaServer: EngineScript = {
  name: 'llama-server',
  title: 'llama-server',
  version: `${LLAMA_BUILD}.0.0`,
  about: 'llama.cpp b11434; 37 MB to fetch, 20 MB on disk, 12 minutes to build on two cores',
  flags: {
    slots: { type: 'string', default: '4' },
    context: { type: 'string', default: '8192' },
    threads: { type: 'string', default: '2' },
    lora: { type: 'string' },
  },
  help: [
    '  --slots N        requests at once, 4 when not given',
    '  --context N      tokens of all slots together, 8192 when not given',
    '  --threads N      2 when not given',
    '  --lora A,B       GGUF files of adapters; all of them speak unless a request says which',
  ],
  steps: [
    ...sourceSteps,
    { title: 'unpacking', work: (context) => unpackSource(context, '', 'source') },
    { title: 'building', about: '20 minutes of one core', work: build },
    tidyStep,
    baseModelStep,
  ],
  program: 'bin/llama-server',
  startTimeoutMs: 60_000,
  command: (installed, port, flags) => ({
    program: installed.program,
    arguments: [
      ...['--model', baseModelFile(), '--alias', BASE_MODEL],
      ...['--host', '127.0.0.1', '--port', String(port)],
      ...['--parallel', String(flags['slots'] ?? 4), '--ctx-size', String(flags['context'] ?? 8_192)],
      ...['--threads', String(flags['threads'] ?? 2)],
      // A hang-up is noticed between two batches: with the usual 2048 tokens a long prompt is read to its end.
      ...['--batch-size', '128'],
      // Its cache in memory may restore another conversation into a slot (engines.md §5.5).
      ...['--cache-ram', '0'],
      ...(typeof flags['lora'] === 'string' ? ['--lora', flags['lora']] : []),
      ...['--metrics', '--slots', '--no-webui', '--offline'],
    ],
  }),
  async ready(origin, signal) {
    const reply = await fetch(`${origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: BASE_MODEL,
        max_tokens: 16,
        messages: [{ role: 'user', content: 'Greet me in a few words.' }],
      }),
      signal,
    });
    const body = (await reply.json()) as {
      readonly choices?: readonly { readonly message: { readonly content: string } }[];
      readonly error?: { readonly message: string };
    };
    const text = body.choices?.[0]?.message.content ?? '';
    if (text === '') throw new Error(body.error?.message ?? `an empty answer with status ${reply.status}`);
    return text;
  },
};

/** One program without libraries of its own beside it, so that the 400 MB that it is made from can go. */
async function build(context: StepContext): Promise<void> {
  const { folder } = context;
  const [source, target] = [path.join(folder, 'source'), path.join(folder, 'build')];
  if (toolMissing('c++') !== null)
    throw new Error('no C++ compiler (c++) on PATH; install one (Debian: apt-get install g++)');
  const isWhole = toolMissing('cmake') === null && toolMissing('ninja') === null;
  if (!isWhole) for (const each of TOOLS) await installPinned(context, { package: each });
  const environment = { PATH: `${process.env['PATH'] ?? ''}:${path.join(folder, 'venv', 'bin')}` };
  const settings = [
    'CMAKE_BUILD_TYPE=Release',
    'BUILD_SHARED_LIBS=OFF',
    `LLAMA_BUILD_NUMBER=${LLAMA_BUILD}`,
    `LLAMA_BUILD_COMMIT=${LLAMA_BUILD}.0.0`,
    ...[
      'LLAMA_BUILD_TESTS',
      'LLAMA_BUILD_EXAMPLES',
      'LLAMA_BUILD_APP',
      'LLAMA_BUILD_UI',
      'LLAMA_OPENSSL',
    ].map((name) => `${name}=OFF`),
    'GGML_CCACHE=OFF',
  ];
  await context.run(
    {
      program: 'cmake',
      arguments: ['-S', source, '-B', target, '-G', 'Ninja', ...settings.map((each) => `-D${each}`)],
      environment,
    },
    300_000,
  );
  await context.run(
    {
      program: 'nice',
      arguments: ['-n', '10', 'cmake', '--build', target, '--target', 'llama-server', '--parallel'],
      environment,
    },
    BUILD_TIMEOUT_MS,
  );
  mkdirSync(path.join(folder, 'bin'), { recursive: true });
  copyFileSync(path.join(target, 'bin', 'llama-server'), path.join(folder, llamaServer.program));
}

if (import.meta.main) await runScript(llamaServer);
