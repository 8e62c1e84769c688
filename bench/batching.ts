/**
 * `npm run bench:batching`: what Triton's dynamic batching does for short work on this machine. One real Triton and two
 * models, each loaded anew with each setting: an embedding model on the processor, and one whose execution costs 10 ms
 * whatever the batch, as a GPU with room does. Closed-loop clients over gRPC by our own driver; the batches are Triton's
 * own count. Flags: --quick, --clients N, --out FILE.
 */
import { parseArgs } from 'node:util';
import { installed, openEngine, skipUnlessInstalled } from '../scripts/engines/frame.ts';
import { triton } from '../scripts/engines/triton.ts';
import type { TensorEngine } from '../src/core/tensors.ts';
import { createTensorEngine } from '../src/engines/oip.ts';
import { oipOptionsSchema } from '../src/engines/oip-options.ts';
import { type Tensor, textTensor } from '../src/lib/oip/tensor.ts';
import { type Bar, writeResult } from './load/result-file.ts';
import { quantile, round } from './load/statistics.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    clients: { type: 'string', default: '16' },
    out: { type: 'string', default: 'bench/results/batching.json' },
  },
});

const INSTALL = 'npm run engines:triton -- --install-only';
const SEED = 1;
const CLIENTS = Number(flags.clients);
const MEASURE_MS = flags.quick ? 2_000 : 8_000;
const WARM_UP_MS = flags.quick ? 500 : 1_500;
const ROUNDS = flags.quick ? 1 : 3;
const LIFE_MS = 900_000;
/** Short, as the things are that a game asks vectors for: what a player said, what an NPC remembers. */
const TEXTS = [
  'Where did you bury the silver bell?',
  'The vampire keeps the back room of a pawn shop.',
  'I will not trade with a ghoul.',
  'Who guards the harbour at night?',
];

interface Model {
  readonly name: string;
  readonly title: string;
  /** The inputs of request number `at`. */
  inputs(at: number): readonly Tensor[];
  readonly output: string;
}

const MODELS: readonly Model[] = [
  {
    name: 'minilm',
    title: 'all-MiniLM-L6-v2 on the processor',
    inputs: (at) => [textTensor('TEXT', [1, 1], [TEXTS[at % TEXTS.length] ?? ''])],
    output: 'EMBEDDING',
  },
  {
    name: 'fixed-cost',
    title: '10 ms an execution, whatever the batch',
    inputs: (at) => [{ name: 'IN', datatype: 'INT32', shape: [1, 1], data: Int32Array.of(at) }],
    output: 'OUT',
  },
];

interface Setting {
  readonly name: string;
  /** `dynamic_batching` of config.pbtxt in its JSON form; null: none. */
  readonly batching: object | null;
}

const SETTINGS: readonly Setting[] = [
  { name: 'none', batching: null },
  { name: 'no delay', batching: { max_queue_delay_microseconds: 0 } },
  { name: 'delay 2 ms', batching: { max_queue_delay_microseconds: 2_000 } },
  {
    name: 'delay 2 ms, preferred 8 and 16',
    batching: { max_queue_delay_microseconds: 2_000, preferred_batch_size: [8, 16] },
  },
  {
    name: 'delay 20 ms, preferred 8 and 16',
    batching: { max_queue_delay_microseconds: 20_000, preferred_batch_size: [8, 16] },
  },
];

interface Measured {
  readonly requestsPerS: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** Requests in one execution, as Triton counted. */
  readonly meanBatch: number;
}

interface Statistics {
  readonly inferences: number;
  readonly executions: number;
}

async function post(origin: string, path: string, body: object): Promise<void> {
  const reply = await fetch(`${origin}${path}`, { method: 'POST', body: JSON.stringify(body) });
  if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
  await reply.arrayBuffer();
}

/** The model's own configuration with another batching, loaded in its place. */
async function load(origin: string, model: Model, setting: Setting): Promise<void> {
  const { dynamic_batching: _theirs, ...config } = ORIGINALS.get(model.name) ?? {};
  const changed = setting.batching === null ? config : { ...config, dynamic_batching: setting.batching };
  await post(origin, `/v2/repository/models/${model.name}/load`, {
    parameters: { config: JSON.stringify(changed) },
  });
}

async function statistics(origin: string, model: Model): Promise<Statistics> {
  const reply = await fetch(`${origin}/v2/models/${model.name}/stats`);
  const { model_stats: stats } = (await reply.json()) as {
    model_stats: readonly { readonly inference_count: number; readonly execution_count: number }[];
  };
  return { inferences: stats[0]?.inference_count ?? 0, executions: stats[0]?.execution_count ?? 0 };
}

/** `clients` ask one text after the other for `durationMs`; the time of each request in milliseconds. */
async function ask(
  engine: TensorEngine,
  model: Model,
  clients: number,
  durationMs: number,
): Promise<number[]> {
  const never = new AbortController().signal;
  const endMs = performance.now() + durationMs;
  const times: number[] = [];
  await Promise.all(
    [...Array(clients)].map(async (_none, client) => {
      for (let at = client; performance.now() < endMs; at += 1) {
        const startedMs = performance.now();
        const request = { model: model.name, inputs: model.inputs(at), outputs: [{ name: model.output }] };
        await engine.infer(request, never);
        times.push(performance.now() - startedMs);
      }
    }),
  );
  return times;
}

async function measure(
  origin: string,
  engine: TensorEngine,
  model: Model,
  clients: number,
): Promise<Measured> {
  await ask(engine, model, clients, WARM_UP_MS);
  const before = await statistics(origin, model);
  const startedMs = performance.now();
  const times = await ask(engine, model, clients, MEASURE_MS);
  const seconds = (performance.now() - startedMs) / 1_000;
  const after = await statistics(origin, model);
  return {
    requestsPerS: round(times.length / seconds, 1),
    p50Ms: round(quantile(times, 0.5), 1),
    p95Ms: round(quantile(times, 0.95), 1),
    meanBatch: round((after.inferences - before.inferences) / (after.executions - before.executions), 2),
  };
}

if (installed(triton) === null) {
  console.error(`${skipUnlessInstalled(triton)}`);
  writeResult(flags.out, {
    versions: { triton: 'absent' },
    seed: SEED,
    quick: flags.quick,
    settings: {},
    rows: [{ engine: 'triton', state: 'absent', install: INSTALL }],
    bars: [],
  });
  process.exit(0);
}

await using server = await openEngine(triton, { lifeMs: LIFE_MS }, new AbortController().signal);
const { origin } = server;
const ORIGINALS = new Map<string, Record<string, unknown>>();
for (const { name } of MODELS)
  ORIGINALS.set(
    name,
    (await (await fetch(`${origin}/v2/models/${name}/config`)).json()) as Record<string, unknown>,
  );
const grpcUrl = `http://127.0.0.1:${Number(new URL(origin).port) + 1}`;
await using engine = createTensorEngine(
  'triton',
  oipOptionsSchema.parse({ kind: 'triton', protocol: 'grpc', baseUrl: grpcUrl }),
  { apiKey: null },
);
const { version } = await engine.serverMetadata(new AbortController().signal);

const measured = new Map<string, { many: Measured[]; one: Measured[] }>();
const keyOf = (model: Model, setting: Setting) => `${model.name} ${setting.name}`;
// Rounds are interleaved, so that what else the machine does meets every setting alike.
for (let turn = 0; turn < ROUNDS; turn += 1)
  for (const model of MODELS)
    for (const setting of SETTINGS) {
      await load(origin, model, setting);
      const kept = measured.get(keyOf(model, setting)) ?? { many: [], one: [] };
      measured.set(keyOf(model, setting), kept);
      kept.many.push(await measure(origin, engine, model, CLIENTS));
      kept.one.push(await measure(origin, engine, model, 1));
      console.log(keyOf(model, setting), kept.many.at(-1), kept.one.at(-1));
    }

const middle = (model: Model, setting: Setting, side: 'many' | 'one') => {
  const all = measured.get(keyOf(model, setting))?.[side] ?? [];
  return all.toSorted((a, b) => a.requestsPerS - b.requestsPerS)[Math.floor(all.length / 2)] as Measured;
};
const rows = MODELS.flatMap((model) =>
  (['many', 'one'] as const).flatMap((side) =>
    SETTINGS.map((setting) => ({
      case: `${model.title}, ${side === 'many' ? `${CLIENTS} clients at once` : 'one client alone'}`,
      batching: setting.name,
      ...middle(model, setting, side),
    })),
  ),
);
const [none, , , preferred] = SETTINGS as readonly [Setting, Setting, Setting, Setting];
const bars = MODELS.map((model): Bar => {
  const best = middle(model, preferred, 'many');
  const ratio = round(best.requestsPerS / middle(model, none, 'many').requestsPerS, 2);
  return {
    name: `requests a second, batched against not: ${model.title}`,
    value: ratio,
    bound: '> 1',
    holds: ratio > 1,
    note: `${CLIENTS} clients, ${preferred.name}: mean batch ${best.meanBatch}`,
  };
});
writeResult(flags.out, {
  versions: { node: process.version, triton: version },
  seed: SEED,
  quick: flags.quick,
  settings: {
    model: 'all-MiniLM-L6-v2 on the CPU (numpy, 1 instance)',
    clients: CLIENTS,
    rounds: ROUNDS,
    measureMs: MEASURE_MS,
  },
  rows,
  bars,
});
console.table(bars);
console.log(`written: ${flags.out}`);
