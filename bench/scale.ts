/**
 * `npm run bench:scale`: what games of 1,000 and of 100,000 players need, by `greenroom plan`'s own code: the real service on
 * a simulated clock, engines as arithmetic. Every engine class is first played back against the curve that it was read from,
 * so that the error of the arithmetic stands beside what was calculated with it. Flags: --quick, --seed N, --out FILE.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { corrections } from '../src/planning/corrected.ts';
import { readPlan } from '../src/planning/options.ts';
import { makePlan, type Plan } from '../src/planning/plan.ts';
import { type Bar, writeResult } from './load/result-file.ts';
import { round } from './load/statistics.ts';
import { type CurvePoint, classNamed, measuredCurve, PUBLISHED, playPoint } from './scale/calibration.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: 'bench/results/scale.json' },
  },
});
const seed = Number(flags.seed);
const windows = flags.quick
  ? { warmUpS: 20, settledS: 40, burstS: 15, cellPlayers: 1_000 }
  : { warmUpS: 60, settledS: 300, burstS: 30, cellPlayers: 1_000 };
const never = new AbortController().signal;
const ENGINE_RESULTS = path.join(import.meta.dirname, 'results', 'engine.json');

/** What a laptop may take: the deadlines of the shipped tiers are for laptops, too (src/routing/tiers.ts). */
const LAPTOP_MS = { '1': 3_000, '2': 5_000, '3': 8_000, '4': 12_000 };

interface Case {
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
}

const CASES: readonly Case[] = [
  { name: '1,000 players', values: { players: 1_000, engine: 'l4' } },
  { name: '100,000 players', values: { players: 100_000, engine: 'l4' } },
  ...(flags.quick
    ? []
    : [
        { name: '1,000 players', values: { players: 1_000, engine: 'rtx-4090' } },
        { name: '1,000 players', values: { players: 1_000, engine: 'a100-40' } },
        { name: '100,000 players', values: { players: 100_000, engine: 'rtx-4090' } },
        {
          name: '1,000 players, bosses in a cloud',
          values: { players: 1_000, engine: 'rtx-4090', cloud: { first: [4] } },
        },
        {
          name: '1,000 players, no dialogue cache',
          values: { players: 1_000, engine: 'rtx-4090', cache: false },
        },
        {
          name: '1,000 players, nine of ten questions everybody’s',
          values: { players: 1_000, engine: 'rtx-4090', repeats: 0.9 },
        },
        {
          name: '100 players, a laptop’s patience',
          values: { players: 100, engine: 'laptop-cpu', firstSentenceMs: LAPTOP_MS },
        },
        // How far one cell may stand for many: the same players as one cell, and as cells of 500.
        {
          name: '2,000 players in one cell',
          values: { players: 2_000, engine: 'rtx-4090', cellPlayers: 2_000 },
        },
        {
          name: '2,000 players in cells of 500',
          values: { players: 2_000, engine: 'rtx-4090', cellPlayers: 500 },
        },
      ]),
];

async function playCurves() {
  const curves: Record<string, readonly CurvePoint[]> = { ...PUBLISHED };
  if (existsSync(ENGINE_RESULTS)) {
    const { rows } = JSON.parse(readFileSync(ENGINE_RESULTS, 'utf8')) as {
      rows: Parameters<typeof measuredCurve>[0];
    };
    curves['laptop-cpu'] = measuredCurve(rows);
  }
  const rows = [];
  for (const [name, points] of Object.entries(curves))
    for (const point of points) {
      const played = await playPoint(classNamed(name).pace, point);
      const { ttftP50Ms } = point;
      rows.push({
        case: 'engine classes played back',
        class: name,
        origin: classNamed(name).origin,
        streams: point.streams,
        ttftP50Ms: ttftP50Ms === undefined ? null : ttftP50Ms,
        playedTtftP50Ms: round(played.ttftP50Ms, 0),
        ttftErrorPercent: ttftP50Ms === undefined ? null : offPercent(played.ttftP50Ms, ttftP50Ms),
        tokensPerSecond: point.tokensPerSecond,
        playedTokensPerSecond: round(played.tokensPerSecond, 0),
        throughputErrorPercent: offPercent(played.tokensPerSecond, point.tokensPerSecond),
      });
    }
  return rows;
}

function offPercent(value: number, wanted: number): number {
  return round((value / wanted - 1) * 100, 0);
}

function planRow(name: string, plan: Plan) {
  const { figures, input, cost } = plan;
  const p95 = (tier: number) => {
    const found = figures.tiers.find((each) => each.tier === tier)?.ttfsP95Ms;
    return found === undefined || found === null ? null : round(found, 0);
  };
  return {
    case: 'players',
    game: name,
    class: input.engineClass.name,
    holds: plan.isTooSlow ? 'too slow' : plan.holds ? 'yes' : 'no',
    engines: plan.engines,
    spare: plan.spare,
    cells: plan.cells,
    linesPlayed: plan.linesPlayed,
    ttfsP95Tier1Ms: p95(1),
    ttfsP95Tier2Ms: p95(2),
    ttfsP95Tier3Ms: p95(3),
    ttfsP95Tier4Ms: p95(4),
    cachedPromptPercent: round(figures.cachedTokens * 100, 1),
    fromEnginesPercent: round(figures.sources.engine * 100, 1),
    fromCachePercent: round(figures.sources.cache * 100, 1),
    writtenPercent: round(figures.sources.written * 100, 1),
    cloudPercent: round(figures.sources.cloud * 100, 1),
    usdPerPlayerHour: cost === null ? null : round(cost.usdPerPlayerHour, 5),
    usdPerDay: cost === null ? null : round(cost.usdPerDay, 2),
  };
}

const curveRows = await playCurves();
const ours = curveRows.filter((row) => row.class === 'laptop-cpu');
const plans: { name: string; plan: Plan; tookS: number }[] = [];
for (const { name, values } of CASES) {
  const startedMs = performance.now();
  const input = readPlan({ ...windows, seed, ...values }, 'bench:scale');
  const plan = await makePlan(input, () => {}, never);
  const tookS = round((performance.now() - startedMs) / 1_000, 1);
  plans.push({ name, plan, tookS });
  console.log(
    `${name.padEnd(48)} ${input.engineClass.name.padEnd(10)} ${String(plan.engines).padStart(4)} engines, holds: ${plan.holds}, ${plan.linesPlayed} lines played in ${tookS} s`,
  );
}
const first = plans[0] as (typeof plans)[number];
const { naive } = first.plan;
const basis = plans.find(({ plan }) => plan.input.engineClass.name === 'rtx-4090') ?? first;
// Cells of as many players, class and seed: the same window, played anew in a process that has played others since.
const again =
  plans.find(({ name, plan }) => name === '100,000 players' && plan.input.engineClass.name === 'l4') ?? first;

const bars: Bar[] = [
  {
    name: 'cloud-only month, naively ($)',
    value: naive.cloudOnlyUsdPerMonth,
    bound: '= 32400',
    holds: naive.cloudOnlyUsdPerMonth === 32_400,
    note: '1,000 players × 12 hours × 20 dialogues × 150 tokens × $0.03 for a thousand × 30 days',
  },
  {
    name: 'hybrid month, naively ($)',
    value: Math.round(naive.hybridUsdPerMonth),
    bound: '= 7313',
    holds: Math.round(naive.hybridUsdPerMonth) === 7_313,
    note: `$6,480 of cloud and $833 of a $30,000 server; ${Math.round(naive.savedShare * 100)} % saved`,
  },
  {
    name: 'throughput of the laptop, played against measured: worst error (%)',
    value: worstOf(ours.map((row) => row.throughputErrorPercent)),
    bound: '≤ 10',
    holds: ours.length === 0 ? null : (worstOf(ours.map((row) => row.throughputErrorPercent)) ?? 0) <= 10,
    note: 'distinct prompts, 1 to 16 streams, bench/results/engine.json',
  },
  {
    name: 'TTFT p50 of the laptop at 1, 4 and 8 streams, played against measured: worst error (%)',
    value: worstOf(ours.filter(({ streams }) => streams <= 8).map((row) => row.ttftErrorPercent)),
    bound: '≤ 25',
    holds:
      ours.length === 0
        ? null
        : (worstOf(ours.filter(({ streams }) => streams <= 8).map((row) => row.ttftErrorPercent)) ?? 0) <= 25,
    note: `1, 4, 8, 16 streams: ${ours.map((row) => `${row.ttftErrorPercent} %`).join(', ')}`,
  },
  {
    name: 'a plan for 1,000 players (s of wall time)',
    value: first.tookS,
    bound: '< 60',
    holds: first.tookS < 60,
    note: `${first.plan.linesPlayed} lines through the service`,
  },
  {
    name: 'the same cell played twice differs in (figures)',
    value: differences(first.plan, again.plan),
    bound: '= 0',
    holds: differences(first.plan, again.plan) === 0,
    note: `seed ${seed}`,
  },
];

function worstOf(errors: readonly (number | null)[]): number | null {
  const known = errors.filter((error) => error !== null);
  return known.length === 0 ? null : Math.max(...known.map(Math.abs));
}

function differences(one: Plan, other: Plan): number {
  const figures = ({ figures: found }: Plan) =>
    found.tiers
      .flatMap((tier) => Object.values(tier))
      .concat(Object.values(found.sources), found.cachedTokens);
  const others = figures(other);
  return figures(one).filter((figure, at) => figure !== others[at]).length;
}

writeResult(flags.out, {
  versions: { node: process.version },
  seed,
  quick: flags.quick,
  settings: windows,
  rows: [
    ...plans.map(({ name, plan }) => planRow(name, plan)),
    ...corrections(basis.plan).map(({ step, usdPerMonth, reason }) => ({
      case: `a month of 1,000 players, ${basis.plan.input.engineClass.name}: the naive arithmetic put right`,
      step,
      usdPerMonth: round(usdPerMonth, 0),
      why: reason,
    })),
    ...curveRows,
  ],
  bars,
});
console.table(bars.map(({ name, value, bound, holds }) => ({ name, value, bound, holds })));
console.log(`written: ${flags.out}`);
