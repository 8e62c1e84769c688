/**
 * `npm run bench:prefix`: the embedded engine with prefix reuse and without, otherwise the same, on a window of the published
 * NPC trace. Rounds are interleaved: both answer the same requests, some at a time, in turns. The side with reuse is warmed as
 * a host warms an engine, one token a persona, and that is timed too. Flags: --quick, --requests N, --from N, --streams N,
 * --threads N, --store-bytes N, --out FILE.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { EmbeddedOptionsInput } from '../src/embedded/options.ts';
import { EngineSupervisor } from '../src/embedded/supervisor.ts';
import { cacheDirectory } from '../src/models/cache.ts';
import { ensureModel } from '../src/models/ensure.ts';
import { realRuntime } from '../src/runtime.ts';
import { silentLogger } from '../src/telemetry/log.ts';
import type { LineTimes } from './engine/client.ts';
import { closeClient, speak } from './engine/client.ts';
import type { ChatMessage } from './engine/prompts.ts';
import { chat, persona, seeded } from './engine/prompts.ts';
import { type Bar, writeResult } from './load/result-file.ts';
import { median, quantile, round } from './load/statistics.ts';
import { messagesOf, readTrace } from './npc-trace/trace.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    requests: { type: 'string' },
    from: { type: 'string', default: '0' },
    streams: { type: 'string', default: '2' },
    threads: { type: 'string', default: '2' },
    'store-bytes': { type: 'string', default: '256000000' },
    out: { type: 'string', default: 'bench/results/prefix.json' },
  },
});

const SEED = 1;
const SEQUENCES = 8;
const CONTEXT_TOKENS = 2_048;
const requests = Number(flags.requests ?? (flags.quick ? 6 : 100));
/** Requests that one side answers before it is the other's turn. */
const IN_A_ROW = flags.quick ? 3 : 10;
const maxTokens = flags.quick ? 6 : 24;
const personaTimes = flags.quick ? 2 : 7;

const model = await ensureModel(
  'smollm2-135m-instruct-q4_1',
  { cacheDirectory: cacheDirectory(process.env), environment: process.env, clock: realRuntime.clock },
  AbortSignal.timeout(600_000),
);
const trace = readTrace(path.join(import.meta.dirname, 'npc-trace', 'published.jsonl'));
const says = trace.entries
  .filter((entry) => entry.kind === 'say')
  .slice(Number(flags.from), Number(flags.from) + requests);
const prefixIds = new Set(says.map(({ prefix }) => prefix));
const prefixes = trace.header.prefixes.filter(({ id }) => prefixIds.has(id));

interface Side {
  readonly name: 'reuse on' | 'reuse off';
  readonly supervisor: EngineSupervisor;
  readonly baseUrl: string;
  readonly lines: LineTimes[];
}

async function start(name: Side['name'], options: Partial<EmbeddedOptionsInput>): Promise<Side> {
  const supervisor = new EngineSupervisor(
    {
      engine: {
        modelPath: model.path,
        modelName: 'bench',
        threads: Number(flags.threads),
        sequences: SEQUENCES,
        contextTokens: CONTEXT_TOKENS,
        ...options,
      },
      environment: process.env,
    },
    { clock: realRuntime.clock, random: realRuntime.random, log: silentLogger },
  );
  supervisor.start();
  const baseUrl = await supervisor.whenReady(AbortSignal.timeout(120_000));
  return { name, supervisor, baseUrl, lines: [] };
}

/** Memory of the engine's process (MB). */
function residentMb({ supervisor }: Side): number {
  const { pid } = supervisor.state;
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1_000);
}

async function metric({ baseUrl }: Side, name: string): Promise<number> {
  const text = await (await fetch(`${baseUrl}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`greenroom:engine_prefix_store_${name}{`));
  return Number(line?.split(' ').at(-1));
}

/** As src/hosts/host.ts warms an engine up; milliseconds for all. */
async function warmUp(side: Side): Promise<number> {
  const startedMs = performance.now();
  for (const { messages } of prefixes) {
    const reply = await fetch(`${side.baseUrl}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'bench', messages, max_tokens: 1 }),
    });
    if (!reply.ok) throw new Error(`the warm-up was answered ${reply.status}: ${await reply.text()}`);
    await reply.arrayBuffer();
  }
  return performance.now() - startedMs;
}

/** The requests of one turn, `streams` at a time. */
async function answer(side: Side, turn: readonly (readonly ChatMessage[])[]): Promise<void> {
  const left = [...turn];
  const next = async () => {
    for (let messages = left.shift(); messages !== undefined; messages = left.shift())
      side.lines.push(await speak(side.baseUrl, { messages, maxTokens, seed: SEED }));
  };
  await Promise.all(Array.from({ length: Number(flags.streams) }, next));
}

/** A persona nobody met, then another player with the same one. */
async function secondListener(side: Side) {
  const random = seeded(SEED + 7);
  const cold: number[] = [];
  const warm: number[] = [];
  for (let time = 0; time < personaTimes; time++) {
    const system = persona(10_000 + time, random, false);
    const say = (player: string) =>
      speak(side.baseUrl, { messages: chat(system, player), maxTokens: 4, seed: time });
    cold.push((await say('Good evening. Who are you, and what is this place?')).ttftMs);
    warm.push((await say('I hear that you buy secrets here. What would you give for mine?')).ttftMs);
  }
  return { cold: median(cold), warm: median(warm) };
}

const on = await start('reuse on', { prefixStoreBytesMax: Number(flags['store-bytes']) });
const off = await start('reuse off', { prefixReuse: false });
try {
  const freshMb = { on: residentMb(on), off: residentMb(off) };
  for (const side of [on, off])
    await speak(side.baseUrl, { messages: chat('You nod.', 'Hello?'), maxTokens: 4, seed: SEED });
  const warmUpMs = await warmUp(on);
  console.log(`warm: ${prefixes.length} personas in ${Math.round(warmUpMs)} ms`);
  const prompts = says.map((say) => messagesOf(trace.header, say));
  for (let from = 0; from < prompts.length; from += IN_A_ROW) {
    const turn = prompts.slice(from, from + IN_A_ROW);
    const order = (from / IN_A_ROW) % 2 === 0 ? [on, off] : [off, on];
    for (const side of order) await answer(side, turn);
    console.log(
      `${Math.min(from + IN_A_ROW, prompts.length)} of ${prompts.length}: TTFT p50 on ${Math.round(median(on.lines.map(({ ttftMs }) => ttftMs)))} ms, off ${Math.round(median(off.lines.map(({ ttftMs }) => ttftMs)))} ms`,
    );
  }
  const store: Record<string, number> = {};
  for (const name of ['bytes', 'entries', 'hits_total', 'restores_total', 'evictions_total'])
    store[name] = await metric(on, name);
  const residentAfter = { on: residentMb(on), off: residentMb(off) };
  const persons = await secondListener(on);

  const ttft = (side: Side, part: number) =>
    quantile(
      side.lines.map(({ ttftMs }) => ttftMs),
      part,
    );
  const sum = (side: Side, of: 'promptTokens' | 'cachedTokens') =>
    side.lines.reduce((total, line) => total + line[of], 0);
  const cachedShare = (side: Side) => sum(side, 'cachedTokens') / sum(side, 'promptTokens');
  const sideRow = (side: Side, freshMegabytes: number, afterMegabytes: number) => ({
    side: side.name,
    requests: side.lines.length,
    promptTokensMean: Math.round(sum(side, 'promptTokens') / side.lines.length),
    cachedShare: round(cachedShare(side), 3),
    ttftP50Ms: Math.round(ttft(side, 0.5)),
    ttftP95Ms: Math.round(ttft(side, 0.95)),
    totalP50Ms: Math.round(median(side.lines.map(({ totalMs }) => totalMs))),
    freshMb: freshMegabytes,
    afterMb: afterMegabytes,
  });
  const ratioBar = (name: string, value: number, bound: number, note: string): Bar => ({
    name,
    value: round(value, 3),
    bound: `<= ${bound}`,
    holds: value <= bound,
    note,
  });
  const bars: Bar[] = [
    {
      name: 'share of prompt tokens that were cached',
      value: round(cachedShare(on), 3),
      bound: '> 0.8',
      holds: cachedShare(on) > 0.8,
      note: `${prefixes.length} personas by tier, warmed; ${round(cachedShare(off), 3)} with reuse off`,
    },
    ratioBar(
      'TTFT p50, reuse on against off',
      ttft(on, 0.5) / ttft(off, 0.5),
      0.3,
      `${Math.round(ttft(on, 0.5))} against ${Math.round(ttft(off, 0.5))} ms, interleaved`,
    ),
    ratioBar(
      'second NPC with the same persona: TTFT against cold',
      persons.warm / persons.cold,
      0.3,
      `${Math.round(persons.warm)} against ${Math.round(persons.cold)} ms, ${personaTimes} personas`,
    ),
    {
      name: 'TTFT p95, reuse on against off',
      value: round(ttft(on, 0.95) / ttft(off, 0.95), 3),
      bound: '< 1',
      holds: ttft(on, 0.95) < ttft(off, 0.95),
      note: `${Math.round(ttft(on, 0.95))} against ${Math.round(ttft(off, 0.95))} ms`,
    },
  ];
  writeResult(flags.out, {
    versions: { node: process.version, nodeLlamaCpp: '3.22.1' },
    seed: SEED,
    quick: flags.quick,
    settings: {
      model: 'SmolLM2-135M-Instruct Q4_1',
      trace: `bench/npc-trace/published.jsonl, ${says.length} requests from number ${flags.from}`,
      threads: Number(flags.threads),
      streams: Number(flags.streams),
      sequences: SEQUENCES,
      contextTokens: CONTEXT_TOKENS,
      maxTokens,
      prefixStoreBytesMax: Number(flags['store-bytes']),
    },
    rows: [
      sideRow(on, freshMb.on, residentAfter.on),
      sideRow(off, freshMb.off, residentAfter.off),
      {
        case: 'prefix store after the window',
        storeMb: Math.round((store['bytes'] ?? 0) / 1e6),
        entries: store['entries'],
        hits: store['hits_total'],
        restores: store['restores_total'],
        evictions: store['evictions_total'],
        warmUpMs: Math.round(warmUpMs),
        personas: prefixes.length,
      },
    ],
    bars,
  });
  console.table(bars.map(({ name, value, bound, holds }) => ({ name, value, bound, holds })));
  console.log(`written: ${flags.out}`);
} finally {
  closeClient();
  await on.supervisor[Symbol.asyncDispose]();
  await off.supervisor[Symbol.asyncDispose]();
}
