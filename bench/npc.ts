/**
 * `npm run bench:npc`: the NPC trace against llama-server, Ollama, a gateway in front of llama-server, and Greenroom without
 * and with its dialogue cache and scheduling: one model file, the same two cores, one side at work at a time, interleaved
 * rounds, load by schedule. Flags: --quick, --rounds N, --sides a,e, --speeds 0.5,1 (no search), --trace FILE, --seed N
 * (of the traces with other repeats), --minutes N (limit of the whole run, 25), --out FILE.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Bar, writeResult } from './load/result-file.ts';
import { runCourse, WALLS } from './npc/plan.ts';
import { barsOf, type Material, rowsOf } from './npc/report.ts';
import { isAbsent, type Side, SLOTS, THREADS } from './npc/side.ts';
import { findSides } from './npc/sides.ts';
import { generateTrace } from './npc-trace/generate.ts';
import { PUBLISHED_SHAPE } from './npc-trace/shape.ts';
import { readTokenTable, tableCounter } from './npc-trace/token-table.ts';
import { readTrace } from './npc-trace/trace.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    sides: { type: 'string' },
    speeds: { type: 'string' },
    trace: { type: 'string', default: 'bench/npc-trace/published.jsonl' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '25' },
    out: { type: 'string', default: 'bench/results/npc.json' },
  },
});
const limitMs = flags.quick ? 48_000 : Number(flags.minutes) * 60_000;
const seed = Number(flags.seed);
const trace = readTrace(flags.trace);
const found = findSides(flags.sides, trace.header.firstSentenceMs);
const sides = found.filter((side): side is Side => !isAbsent(side));
const absent = found.filter(isAbsent);
for (const { key, name, reason } of absent) console.log(`${key} ${name} is absent: ${reason}`);

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupt.abort(new Error('interrupted')));
// Nothing is begun that should pass the limit; on a machine with other work it may, and then ends here.
const late = AbortSignal.timeout(limitMs + (flags.quick ? 0 : 45_000));
const signal = AbortSignal.any([interrupt.signal, late]);
const startedMs = performance.now();

let bars: readonly Bar[] = [];
function keep(material: Material): void {
  bars = barsOf(material);
  writeResult(flags.out, {
    versions: {
      node: process.version,
      ...Object.fromEntries(sides.flatMap(({ versions }) => Object.entries(versions))),
    },
    seed,
    quick: flags.quick,
    settings: {
      model: 'SmolLM2-135M-Instruct Q4_1',
      threads: THREADS,
      slots: SLOTS,
      trace: trace.header.shape,
      firstSentenceMs: trace.header.firstSentenceMs,
      ...Object.fromEntries(sides.map(({ key, settings }) => [key, settings])),
    },
    rows: rowsOf(material),
    bars,
  });
}

const folder = mkdtempSync(path.join(tmpdir(), 'greenroom-npc-'));
try {
  await runCourse(
    {
      sides,
      absent,
      trace,
      traceOf: (repeats, ended) =>
        generateTrace({ ...PUBLISHED_SHAPE, seed, repeats }, tableCounter(readTokenTable()), ended),
      rounds: Number(flags.rounds),
      speeds: flags.speeds?.split(',').map(Number) ?? null,
      isQuick: flags.quick,
      limitMs,
      walls: WALLS,
      folder,
      say: (line) => console.log(line),
      keep,
    },
    signal,
  );
} catch (error) {
  if (!late.aborted || interrupt.signal.aborted) throw error;
  console.log('the time is over; what was measured until now is written');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (bars.length === 0) throw new Error(`nothing was measured in ${limitMs / 1_000} s, so nothing is written`);
for (const { name, value, bound, holds } of bars) console.log(`${name}: ${value} (${bound}: ${holds})`);
console.log(`written: ${flags.out}, after ${Math.round((performance.now() - startedMs) / 1_000)} s`);
