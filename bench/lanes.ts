/**
 * `npm run bench:lanes`: how long short work waits for generation on the embedded engine, and generation for short work.
 * One engine process; embeddings are asked at a steady pace alone and beside a flood of lines, lines alone and beside a
 * flood of embeddings. Runs are interleaved, and the delay is the difference of their waits (issue 3, §7: at most 20 ms).
 * Flags: --quick, --threads N, --lines N, --out FILE.
 */
import { parseArgs } from 'node:util';
import { EngineSupervisor } from '../src/embedded/supervisor.ts';
import { cacheDirectory } from '../src/models/cache.ts';
import { ensureModel } from '../src/models/ensure.ts';
import { realRuntime } from '../src/runtime.ts';
import { silentLogger } from '../src/telemetry/log.ts';
import { closeClient } from './engine/client.ts';
import { chat, persona, seeded } from './engine/prompts.ts';
import { type Bar, writeResult } from './load/result-file.ts';
import { median, quantile, round } from './load/statistics.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    threads: { type: 'string', default: '2' },
    lines: { type: 'string', default: '8' },
    out: { type: 'string', default: 'bench/results/lanes.json' },
  },
});

const DELAY_BOUND_MS = 20;
const MODEL_NAME = 'smollm2-135m-instruct-q4_1';
const SEED = 1;
const threads = Number(flags.threads);
const floodLines = Number(flags.lines);
const rounds = flags.quick ? 2 : 5;
const measureMs = flags.quick ? 3_000 : 8_000;
/** Between two embeddings of the steady pace. */
const PACE_MS = 100;
const FLOOD_EMBEDDINGS = 8;
const SHORT_TEXT = 'Where did you bury the silver bell?';
const MAX_TOKENS = 48;
const PERSONAS = [0, 1, 2, 3].map((number) => persona(number, seeded(SEED + number), true));

const model = await ensureModel(
  MODEL_NAME,
  { cacheDirectory: cacheDirectory(process.env), environment: process.env, clock: realRuntime.clock },
  AbortSignal.timeout(600_000),
);
const supervisor = new EngineSupervisor(
  {
    engine: {
      modelPath: model.path,
      modelName: 'bench',
      threads,
      sequences: floodLines,
      contextTokens: 1_024,
    },
    environment: process.env,
  },
  { clock: realRuntime.clock, random: realRuntime.random, log: silentLogger },
);

const until = (atMs: number) =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));

async function embed(baseUrl: string, signal: AbortSignal): Promise<number> {
  const startedMs = performance.now();
  const reply = await fetch(`${baseUrl}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ input: SHORT_TEXT, encoding_format: 'base64' }),
    signal,
  });
  await reply.arrayBuffer();
  if (!reply.ok) throw new Error(`embedding: ${reply.status}`);
  return performance.now() - startedMs;
}

/** Adds the gaps between the tokens of one line (ms), without the first, which is the prompt's. */
async function speak(baseUrl: string, guest: number, signal: AbortSignal, gaps: number[]): Promise<void> {
  const reply = await fetch(`${baseUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'bench',
      messages: chat(PERSONAS[guest % PERSONAS.length] ?? '', `Guest ${guest}: what do you sell?`),
      max_tokens: MAX_TOKENS,
      stream: true,
      ignore_eos: true,
      seed: guest,
    }),
    signal,
  });
  let lastMs: number | null = null;
  for await (const chunk of reply.body ?? []) {
    const nowMs = performance.now();
    if (!Buffer.from(chunk).includes('"content":"')) continue;
    if (lastMs !== null) gaps.push(nowMs - lastMs);
    lastMs = nowMs;
  }
}

/** `work` again and again on `width` places until it is stopped; what it gave. Being stopped is no failure. */
async function flood<T>(
  width: number,
  work: (turn: number, signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T[]> {
  const given: T[] = [];
  let turn = 0;
  await Promise.all(
    [...Array(width)].map(async () => {
      while (!signal.aborted) {
        turn += 1;
        try {
          given.push(await work(turn, signal));
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      }
    }),
  );
  return given;
}

/** Waits of embeddings asked at the steady pace. */
async function paced(baseUrl: string): Promise<number[]> {
  const waits: number[] = [];
  const startedMs = performance.now();
  const asked: Promise<number>[] = [];
  for (let at = 0; at * PACE_MS < measureMs; at += 1) {
    await until(startedMs + at * PACE_MS);
    const one = embed(baseUrl, AbortSignal.timeout(60_000));
    asked.push(one);
    waits.push(await one);
  }
  return waits;
}

async function beside<A, B>(
  work: (signal: AbortSignal) => Promise<A>,
  measured: () => Promise<B>,
): Promise<B> {
  const stop = new AbortController();
  const running = work(stop.signal);
  try {
    // The flood is at its height before anything is measured.
    await until(performance.now() + 1_000);
    return await measured();
  } finally {
    stop.abort(new Error('measured'));
    await running;
  }
}

/** Gaps of lines on `width` places for the time of a measurement. */
async function gapsOf(baseUrl: string, width: number): Promise<number[]> {
  const stop = AbortSignal.timeout(measureMs);
  const gaps: number[] = [];
  await flood(width, (turn, signal) => speak(baseUrl, turn, signal, gaps), stop);
  return gaps;
}

type Case =
  | 'embedding alone'
  | 'embedding in a flood of lines'
  | 'line alone'
  | 'line in a flood of embeddings';

try {
  supervisor.start();
  const baseUrl = await supervisor.whenReady(AbortSignal.timeout(120_000));
  const kept = new Map<Case, number[][]>();
  const keep = (name: Case, values: number[]) => {
    kept.set(name, [...(kept.get(name) ?? []), values]);
    console.log(`${name}: ${values.length} measured, p50 ${round(quantile(values, 0.5), 1)} ms`);
  };
  await paced(baseUrl);
  for (let turn = 0; turn < rounds; turn += 1) {
    keep('embedding alone', await paced(baseUrl));
    keep(
      'embedding in a flood of lines',
      await beside(
        (signal) => flood(floodLines, (at, inner) => speak(baseUrl, at, inner, []), signal),
        () => paced(baseUrl),
      ),
    );
    keep('line alone', await gapsOf(baseUrl, 1));
    keep(
      'line in a flood of embeddings',
      await beside(
        (signal) => flood(FLOOD_EMBEDDINGS, (_at, inner) => embed(baseUrl, inner), signal),
        () => gapsOf(baseUrl, 1),
      ),
    );
  }
  const figure = (name: Case, part: number) =>
    round(median((kept.get(name) ?? []).map((values) => quantile(values, part))), 1);
  const names = [...kept.keys()];
  const rows = names.map((name) => ({
    case: name.startsWith('embedding')
      ? 'wait for an embedding (ms)'
      : 'gap between two tokens of a line (ms)',
    beside: name,
    count: (kept.get(name) ?? []).flat().length,
    p50Ms: figure(name, 0.5),
    p95Ms: figure(name, 0.95),
    p99Ms: figure(name, 0.99),
  }));
  const delay = (name: string, alone: Case, busy: Case): Bar[] =>
    ([0.5, 0.95] as const).map((part) => {
      const value = round(figure(busy, part) - figure(alone, part), 1);
      return {
        name: `${name}, p${part * 100} (ms)`,
        value,
        bound: `<= ${DELAY_BOUND_MS}`,
        holds: value <= DELAY_BOUND_MS,
        note: `${busy} against ${alone}`,
      };
    });
  const bars = [
    ...delay('generation delays an embedding by', 'embedding alone', 'embedding in a flood of lines'),
    ...delay('embeddings delay a token by', 'line alone', 'line in a flood of embeddings'),
  ];
  writeResult(flags.out, {
    versions: { node: process.version, nodeLlamaCpp: '3.22.1' },
    seed: SEED,
    quick: flags.quick,
    settings: {
      model: MODEL_NAME,
      threads,
      floodLines,
      floodEmbeddings: FLOOD_EMBEDDINGS,
      rounds,
      measureMs,
    },
    rows,
    bars,
  });
  console.table(rows);
  console.table(bars);
  console.log(`written: ${flags.out}`);
} finally {
  closeClient();
  await supervisor[Symbol.asyncDispose]();
}
