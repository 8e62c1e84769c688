/**
 * `npm run bench:engine`: greenroom engine against llama-server, same model, same threads, same client, rounds
 * interleaved. Tokens per second and waiting times at 1, 4, 8 and 16 streams, once with prompts that share nothing and
 * once as NPCs are asked (every line goes to one of four personas); and what a warm persona prefix saves. Flags: --quick, --threads N, --llama-server PATH, --python PATH,
 * --widths 1,4, --rounds N.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EngineSupervisor } from '../src/embedded/supervisor.ts';
import { cacheDirectory } from '../src/models/cache.ts';
import { ensureModel } from '../src/models/ensure.ts';
import { realRuntime } from '../src/runtime.ts';
import { silentLogger } from '../src/telemetry/log.ts';
import type { LineTimes } from './engine/client.ts';
import { closeClient, speak } from './engine/client.ts';
import { chat, persona, playerLine, seeded } from './engine/prompts.ts';
import type { Rival } from './engine/rival.ts';
import { findLlamaServer, INSTALL_RIVAL, startRival } from './engine/rival.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    threads: { type: 'string', default: '2' },
    widths: { type: 'string', default: '1,4,8,16' },
    rounds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    'llama-server': { type: 'string' },
    python: { type: 'string' },
    out: { type: 'string', default: 'bench/results/engine.json' },
  },
});

const MODEL = (
  await ensureModel(
    'smollm2-135m-instruct-q4_1',
    { cacheDirectory: cacheDirectory(process.env), environment: process.env, clock: realRuntime.clock },
    AbortSignal.timeout(600_000),
  )
).path;
const SEQUENCES = 16;
const CONTEXT_TOKENS = 1_024;
const threads = Number(flags.threads);
const seed = Number(flags.seed);
const widths = flags.widths.split(',').map(Number);
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 3));
/** Lines per cell: enough that each stream has some, few enough that a run ends. */
const linesAt = (width: number) => (flags.quick ? Math.max(2, width) : Math.max(6, width * 2));
const maxTokens = flags.quick ? 16 : 64;
/** `distinct`: no two prompts begin alike. `npc`: players talk to a few NPCs, as in a game. */
type Workload = 'distinct' | 'npc';
const NPCS = 4;
/** The quick run asks the second workload at one width only. */
const plan: readonly { workload: Workload; width: number }[] = [
  ...widths.map((width) => ({ workload: 'distinct' as const, width })),
  ...(flags.quick ? [4] : widths).map((width) => ({ workload: 'npc' as const, width })),
];

interface Side {
  readonly name: 'greenroom' | 'llama-server';
  readonly baseUrl: string;
}

interface Cell {
  readonly side: Side['name'];
  readonly workload: Workload;
  readonly width: number;
  readonly tokensPerSecond: number;
  readonly lines: readonly LineTimes[];
}

const supervisor = new EngineSupervisor(
  {
    engine: {
      modelPath: MODEL,
      modelName: 'bench',
      threads,
      sequences: SEQUENCES,
      prefixSequences: 4,
      contextTokens: CONTEXT_TOKENS,
    },
    environment: process.env,
  },
  { clock: realRuntime.clock, random: realRuntime.random, log: silentLogger },
);
supervisor.start();
const ours: Side = { name: 'greenroom', baseUrl: await supervisor.whenReady(AbortSignal.timeout(120_000)) };
const rivalPath = findLlamaServer({ path: flags['llama-server'], python: flags.python });
let rival: Rival | null = null;
if (rivalPath === null) console.log(`llama-server: absent; install with: ${INSTALL_RIVAL}`);
else
  rival = await startRival(rivalPath, {
    modelPath: MODEL,
    threads,
    sequences: SEQUENCES,
    contextTokens: CONTEXT_TOKENS,
  });
const sides: Side[] = rival === null ? [ours] : [ours, { name: 'llama-server', baseUrl: rival.baseUrl }];

let personaNumber = 0;

/** `width` streams, each starting its next line when its last one ended. */
async function measure(side: Side, workload: Workload, width: number, round: number): Promise<Cell> {
  const random = seeded(seed * 1_000 + round * 100 + width);
  const newPersona = () => {
    personaNumber += 1;
    return persona(personaNumber, random, flags.quick);
  };
  const npcs = Array.from({ length: NPCS }, newPersona);
  const prompts = Array.from({ length: linesAt(width) }, (_none, index) =>
    chat(
      workload === 'distinct' ? newPersona() : (npcs[index % NPCS] ?? ''),
      `${playerLine(random)} (${index})`,
    ),
  );
  const lines: LineTimes[] = [];
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let prompt = prompts.shift(); prompt !== undefined; prompt = prompts.shift())
        lines.push(await speak(side.baseUrl, { messages: prompt, maxTokens, seed: lines.length }));
    }),
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  const tokens = lines.reduce((sum, line) => sum + line.completionTokens, 0);
  return { side: side.name, workload, width, tokensPerSecond: tokens / seconds, lines };
}

/** A persona nobody met, then another player with the same one. */
async function measurePrefix(side: Side, times: number) {
  const random = seeded(seed + 7);
  const cold: LineTimes[] = [];
  const warm: LineTimes[] = [];
  for (let time = 0; time < times; time++) {
    personaNumber += 1;
    const system = persona(personaNumber, random, false);
    const say = (player: string) =>
      speak(side.baseUrl, { messages: chat(system, player), maxTokens: 8, seed: time });
    cold.push(await say('Good evening. Who are you, and what is this place?'));
    warm.push(await say('I hear that you buy secrets here. What would you give for one of mine?'));
  }
  return { cold, warm };
}

/** From the hang-up in a long prefill until the engine says that nothing runs (ms). */
async function measureHangUp(times: number): Promise<number[]> {
  const waits: number[] = [];
  const isRunning = async () => {
    const text = await (await fetch(`${ours.baseUrl}/metrics`)).text();
    return !/^vllm:num_requests_running\{[^}]*\} 0$/m.test(text);
  };
  for (let time = 0; time < times; time++) {
    const controller = new AbortController();
    const prompt = `Night ${time}. ${'In the ninth winter the harbour froze and the bells fell silent. '.repeat(60)}`;
    const request = fetch(`${ours.baseUrl}/v1/completions`, {
      method: 'POST',
      body: JSON.stringify({ prompt, max_tokens: 8 }),
      signal: controller.signal,
    }).catch(() => null);
    while (!(await isRunning()));
    const startedMs = performance.now();
    controller.abort();
    while (await isRunning());
    waits.push(performance.now() - startedMs);
    await request;
  }
  return waits;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

const round1 = (value: number) => Math.round(value * 10) / 10;
const round3 = (value: number) => Math.round(value * 1_000) / 1_000;

try {
  for (const side of sides)
    await speak(side.baseUrl, { messages: chat('You nod.', 'Hello?'), maxTokens: 4, seed });
  const cells: Cell[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [index, { workload, width }] of plan.entries()) {
      const order = (round + index) % 2 === 0 ? sides : sides.toReversed();
      for (const side of order) {
        const cell = await measure(side, workload, width, round);
        cells.push(cell);
        console.log(
          `round ${round + 1}  ${side.name.padEnd(12)}  ${workload.padEnd(8)}  ${String(width).padStart(2)} streams  ${cell.tokensPerSecond.toFixed(1).padStart(6)} tok/s  TTFT p50 ${Math.round(median(cell.lines.map((line) => line.ttftMs)))} ms`,
        );
      }
    }
  }
  const rows: Record<string, unknown>[] = [];
  const rateOf = (side: Side['name'], workload: Workload, width: number) =>
    cells
      .filter((cell) => cell.side === side && cell.workload === workload && cell.width === width)
      .map((cell) => cell.tokensPerSecond);
  for (const { workload, width } of plan) {
    for (const side of ['greenroom', 'llama-server'] as const) {
      const mine = cells.filter(
        (cell) => cell.side === side && cell.workload === workload && cell.width === width,
      );
      if (mine.length === 0) {
        rows.push({
          engine: side,
          prompts: workload,
          streams: width,
          result: 'absent',
          install: INSTALL_RIVAL,
        });
        continue;
      }
      const lines = mine.flatMap((cell) => cell.lines);
      const rates = rateOf(side, workload, width);
      rows.push({
        engine: side,
        prompts: workload,
        streams: width,
        lines: lines.length,
        tokensPerSecond: round1(median(rates)),
        tokensPerSecondLow: round1(Math.min(...rates)),
        tokensPerSecondHigh: round1(Math.max(...rates)),
        ttftP50Ms: Math.round(median(lines.map((line) => line.ttftMs))),
        ttftP95Ms: Math.round(
          quantile(
            lines.map((line) => line.ttftMs),
            0.95,
          ),
        ),
        ttfsP50Ms: Math.round(median(lines.map((line) => line.ttfsMs ?? line.totalMs))),
        promptTokensP50: median(lines.map((line) => line.promptTokens)),
        cachedTokensP50: median(lines.map((line) => line.cachedTokens)),
        completionTokens: maxTokens,
      });
    }
  }
  const bars: { name: string; value: number | null; bound: string; holds: boolean | null; note: string }[] =
    plan.map(({ workload, width }) => {
      const ratios = rateOf('greenroom', workload, width).flatMap((rate, round) => {
        const other = rateOf('llama-server', workload, width)[round];
        return other === undefined ? [] : [rate / other];
      });
      const value = ratios.length === 0 ? null : round3(median(ratios));
      return {
        name: `tokens/s against llama-server, ${workload} prompts, ${width} streams`,
        value,
        bound: '>= 0.95',
        holds: value === null ? null : value >= 0.95,
        note:
          value === null ? 'llama-server is absent' : `rounds: ${ratios.map(round3).join(', ')}; aim is 1.1`,
      };
    });
  const prefixTimes = flags.quick ? 2 : 7;
  for (const side of sides) {
    const { cold, warm } = await measurePrefix(side, prefixTimes);
    const ttft = (lines: readonly LineTimes[]) => median(lines.map((line) => line.ttftMs));
    const ratio = round3(ttft(warm) / ttft(cold));
    rows.push({
      engine: side.name,
      case: 'second NPC conversation with the same persona',
      times: prefixTimes,
      coldTtftP50Ms: round1(ttft(cold)),
      warmTtftP50Ms: round1(ttft(warm)),
      ratio,
      promptTokens: warm[0]?.promptTokens,
      cachedTokens: warm[0]?.cachedTokens,
    });
    if (side === ours)
      bars.push({
        name: 'warm persona prefix: TTFT against cold',
        value: ratio,
        bound: '<= 0.3',
        holds: ratio <= 0.3,
        note: `${warm[0]?.cachedTokens} of ${warm[0]?.promptTokens} prompt tokens reused`,
      });
  }
  const hangUps = await measureHangUp(flags.quick ? 3 : 9);
  const worst = round1(Math.max(...hangUps));
  rows.push({
    engine: 'greenroom',
    case: 'hang-up in prefill until nothing runs',
    p50Ms: round1(median(hangUps)),
    maxMs: worst,
  });
  bars.push({
    name: 'hang-up in prefill frees the sequence (ms)',
    value: worst,
    bound: '<= 100',
    holds: worst <= 100,
    note: 'as the metrics endpoint shows it, its own time included',
  });
  const report = {
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 1e9),
      system: `${process.platform} ${release()}`,
    },
    versions: { node: process.version, nodeLlamaCpp: '3.22.1', llamaServer: rival?.version ?? 'absent' },
    seed,
    quick: flags.quick,
    settings: {
      model: 'SmolLM2-135M-Instruct Q4_1',
      threads,
      sequences: SEQUENCES,
      contextTokens: CONTEXT_TOKENS,
      rounds,
    },
    rows,
    bars,
  };
  mkdirSync(join(flags.out, '..'), { recursive: true });
  writeFileSync(flags.out, `${JSON.stringify(report, null, 2)}\n`);
  console.table(bars.map(({ name, value, bound, holds }) => ({ name, value, bound, holds })));
  console.log(`written: ${flags.out}`);
} finally {
  closeClient();
  await supervisor[Symbol.asyncDispose]();
  await rival?.[Symbol.asyncDispose]();
}
