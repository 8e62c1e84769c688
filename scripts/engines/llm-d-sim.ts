/**
 * `npm run engines:llm-d-sim`: llm-d's simulator of vLLM, built from its Go module: vLLM's wire without a model, with
 * injected failures, adapters by name and latencies by flag. It says sentences by chance, of any length up to the limit
 * unless `ignore_eos` is asked for. What 0.10.2 does not do: stop strings, schemas, priorities, running usage, a page for its
 * version, stopping when its caller hangs up, and listening on one address only: it is reachable from outside.
 */

import { askForWords } from './ask-for-words.ts';
import { type EngineScript, type Flags, runScript, type StepContext } from './frame.ts';
import { buildGoModule } from './go-module.ts';

/** What it calls its base model. */
export const SIMULATED_MODEL = 'simulated';

const VERSION = '0.10.2';
const MODULE = `github.com/llm-d/llm-d-inference-sim@v${VERSION}`;
/** Of the module, as go.sum has it. */
const MODULE_SUM = 'h1:LzeQsvnsNwgtAIl1tVp/jrC+jI0a+0mjRH8tHo1mTI0=';

/** Each is handed on as it is called. */
const HANDED_ON = [
  'max-num-seqs',
  'max-waiting-queue-length',
  'time-to-first-token',
  'inter-token-latency',
  'failure-injection-rate',
  'failure-types',
  'mode',
  'max-loras',
  'max-cpu-loras',
] as const;

export const llmDSim: EngineScript = {
  name: 'llm-d-sim',
  title: 'llm-d-inference-sim',
  version: VERSION,
  about: '150 MB of Go modules to fetch, 54 MB on disk, five minutes of one core to build',
  flags: {
    ...Object.fromEntries(HANDED_ON.map((flag) => [flag, { type: 'string' as const }])),
    lora: { type: 'string', multiple: false },
  },
  help: [
    '  --max-num-seqs N                answers at once (5); more wait',
    '  --max-waiting-queue-length N    above it 429 (1,000)',
    '  --time-to-first-token 300ms     until an answer begins (0)',
    '  --inter-token-latency 50ms      between its tokens (0)',
    '  --failure-injection-rate N      of a hundred requests this many fail (0)',
    '  --failure-types A,B             rate_limit, invalid_api_key, context_length, server_error, invalid_request, model_not_found',
    '  --mode random|echo              sentences by chance, or what was said to it (random)',
    '  --max-loras N                   adapters of one batch (1); with --lora as many as there are',
    '  --max-cpu-loras N               adapters that it keeps',
    '  --lora A,B                      adapters that are there from the start',
  ],
  steps: [{ title: 'building', about: 'five minutes of one core', work: build }],
  program: 'bin/llm-d-inference-sim',
  startTimeoutMs: 30_000,
  command: (installed, port, flags) => ({
    program: installed.program,
    arguments: [
      ...['--port', String(port), '--model', SIMULATED_MODEL, '--max-model-len', '2048'],
      // Else it asks the network whether there is a model of that name.
      '--force-dummy-tokenizer',
      ...HANDED_ON.flatMap((flag) => (flags[flag] === undefined ? [] : [`--${flag}`, String(flags[flag])])),
      ...adapters(flags),
    ],
  }),
  ready: (origin, signal) => askForWords(origin, SIMULATED_MODEL, signal),
};

function adapters(flags: Flags): readonly string[] {
  if (typeof flags['lora'] !== 'string') return [];
  const names = flags['lora'].split(',');
  return ['--max-loras', String(names.length), '--lora-modules', ...names.map(adapter)];
}

function adapter(name: string): string {
  return JSON.stringify({ name, path: `/adapters/${name}`, base_model_name: SIMULATED_MODEL });
}

function build(context: StepContext): Promise<void> {
  return buildGoModule(
    {
      module: MODULE,
      sum: MODULE_SUM,
      command: './cmd/llm-d-inference-sim',
      program: llmDSim.program,
      goVersion: '1.25.7',
    },
    context,
  );
}

if (import.meta.main) await runScript(llmDSim);
