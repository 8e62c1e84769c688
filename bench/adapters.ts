/**
 * `npm run bench:adapters`: what happens when adapters outnumber their slots: time to the first text and lines a second with
 * 1, 2 and 4 times as many adapters as slots, Zipf demand, our keeper against first-come-first-served. On the real embedded
 * engine in interleaved rounds, and simulated for a GPU of its class; then what a swap, a load and an adapter's memory cost.
 * Flags: --quick, --only engine|simulated, --rounds N, --seed N, --threads N, --out FILE.
 */
import { parseArgs } from 'node:util';
import { enginePart } from './adapters/engine-part.ts';
import { OPTIONS, WAIT_MS } from './adapters/our-keeper.ts';
import { simulatedPart } from './adapters/simulated-part.ts';
import { type Bar, writeResult } from './load/result-file.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string', default: 'bench/results/adapters.json' },
  },
});
if (flags.only !== undefined && flags.only !== 'engine' && flags.only !== 'simulated')
  throw new Error(`--only ${flags.only}; expected engine or simulated`);
const seed = Number(flags.seed);
const isQuick = flags.quick;

export interface Part {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly bars: readonly Bar[];
}

const parts: Part[] = [];
let engineSettings: Readonly<Record<string, unknown>> = {};
if (flags.only !== 'simulated') {
  const part = await enginePart({
    seed,
    isQuick,
    rounds: Number(flags.rounds ?? (isQuick ? 1 : 4)),
    threads: Number(flags.threads),
  });
  parts.push(part);
  engineSettings = part.settings;
}
if (flags.only !== 'engine') parts.push(await simulatedPart({ seed, isQuick }));

writeResult(flags.out, {
  versions: { node: process.version },
  seed,
  quick: isQuick,
  settings: { waitMs: WAIT_MS, ...OPTIONS, ...engineSettings },
  rows: parts.flatMap(({ rows }) => rows),
  bars: parts.flatMap(({ bars }) => bars),
});
for (const { bars } of parts)
  console.table(bars.map(({ name, value, bound, holds }) => ({ name, value, bound, holds })));
console.log(`written: ${flags.out}`);
