/**
 * `npm run bench:routing`: how long one routing decision takes: which rungs of the ladder can be used (plan), and which
 * replica of the first takes the line (pick), over live replicas on a busy evening. Each decision is timed alone and then
 * carried out, so the next one sees another picture. Flags: --quick, --rounds N, --seed N, --out FILE.
 */
import { parseArgs } from 'node:util';
import { planLadder } from '../src/routing/plan.ts';
import type { Replica } from '../src/routing/replica.ts';
import { realRuntime } from '../src/runtime.ts';
import { seeded } from './engine/prompts.ts';
import { type Bar, writeResult } from './load/result-file.ts';
import { median, quantile, round, spread } from './load/statistics.ts';
import { busyEvening } from './routing/busy-pools.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: 'bench/results/routing.json' },
  },
});
const seed = Number(flags.seed);
const rounds = Number(flags.rounds ?? (flags.quick ? 3 : 7));
const decisions = flags.quick ? 5_000 : 20_000;
const BUSY_RATIO = 0.6;
const P99_BOUND_US = 200;

interface Case {
  readonly name: string;
  /** Replicas of each rung. */
  readonly sizes: readonly number[];
}

const CASES: readonly Case[] = [
  { name: 'one pool of 10', sizes: [10] },
  { name: 'one pool of 100', sizes: [100] },
  { name: 'three rungs of 64, 32 and 4', sizes: [64, 32, 4] },
  { name: 'one pool of 1000', sizes: [1_000] },
];

interface Round {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly bytes: number;
  readonly refused: number;
}

/** One decision: the first rung that has a replica for it. */
function decide(
  evening: ReturnType<typeof busyEvening>,
  ask: ReturnType<typeof evening.ask>,
): Replica | null {
  const plan = planLadder({ rungs: [...evening.rungs] }, evening.pools, { mayPay: true });
  for (const { pool } of plan.rungs) {
    const picked = pool.pick(ask);
    if (typeof picked !== 'string') return picked;
  }
  return null;
}

async function measure({ sizes }: Case, round: number): Promise<Round> {
  const evening = busyEvening(sizes, BUSY_RATIO, seeded(seed * 1_000 + round), realRuntime.clock);
  const timesUs = new Float64Array(decisions);
  const byteSteps: number[] = [];
  let refused = 0;
  // The first quarter warms the code and fills the places.
  for (let at = -decisions / 4; at < decisions; at++) {
    const ask = evening.ask();
    const startNs = process.hrtime.bigint();
    const replica = decide(evening, ask);
    if (at >= 0) timesUs[at] = Number(process.hrtime.bigint() - startNs) / 1_000;
    if (replica === null) refused += 1;
    else evening.take(replica, ask);
    if (at % 8 === 0) await Promise.resolve();
    if (at % 500 === 0) byteSteps.push(bytesOfDecisions(evening));
  }
  const times = [...timesUs];
  return {
    p50Us: quantile(times, 0.5),
    p99Us: quantile(times, 0.99),
    p999Us: quantile(times, 0.999),
    bytes: median(byteSteps),
    refused,
  };
}

/** Bytes of heap that one decision takes, over 20 of them; a collection in between gives a negative figure, which the median drops. */
function bytesOfDecisions(evening: ReturnType<typeof busyEvening>): number {
  const ask = evening.ask();
  const before = process.memoryUsage().heapUsed;
  for (let at = 0; at < 20; at++) decide(evening, ask);
  return (process.memoryUsage().heapUsed - before) / 20;
}

const results = new Map<Case, Round[]>(CASES.map((each) => [each, []]));
for (let at = 0; at < rounds; at++)
  for (const each of CASES) {
    const figures = await measure(each, at);
    results.get(each)?.push(figures);
    console.log(
      `round ${at + 1}  ${each.name.padEnd(28)}  p50 ${figures.p50Us.toFixed(1).padStart(7)} us  p99 ${figures.p99Us.toFixed(1).padStart(7)} us  p99.9 ${figures.p999Us.toFixed(1).padStart(7)} us  ${Math.round(figures.bytes)} bytes`,
    );
  }

const bars: Bar[] = CASES.filter(({ sizes }) => sizes.reduce((sum, size) => sum + size, 0) === 100).map(
  (each) => {
    const p99s = (results.get(each) ?? []).map(({ p99Us }) => p99Us);
    const value = round(median(p99s), 1);
    return {
      name: `decision p99, ${each.name} (us)`,
      value,
      bound: `< ${P99_BOUND_US}`,
      holds: value < P99_BOUND_US,
      note: `rounds: ${p99s.map((p99) => round(p99, 1)).join(', ')}`,
    };
  },
);
writeResult(flags.out, {
  versions: { node: process.version },
  seed,
  quick: flags.quick,
  settings: { rounds, decisions, busyRatio: BUSY_RATIO },
  rows: CASES.map((each) => {
    const mine = results.get(each) ?? [];
    const of = (figure: (one: Round) => number) => mine.map(figure);
    return {
      replicas: each.name,
      decisions: mine.length * decisions,
      ...spread(
        'p50Us',
        of((one) => one.p50Us),
        1,
      ),
      ...spread(
        'p99Us',
        of((one) => one.p99Us),
        1,
      ),
      p999Us: round(median(of((one) => one.p999Us)), 1),
      bytesEach: Math.round(median(of((one) => one.bytes))),
      refused: of((one) => one.refused).reduce((sum, value) => sum + value, 0),
    };
  }),
  bars,
});
console.table(bars.map(({ name, value, bound, holds }) => ({ name, value, bound, holds })));
console.log(`written: ${flags.out}`);
