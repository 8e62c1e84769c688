/**
 * `npm run bench:gateway`: what Greenroom's OpenAI-compatible door adds to an engine's own answer, and how many requests
 * it holds, against `@portkey-ai/gateway` in the same run: one mock, one client, rounds interleaved. Flags: --quick,
 * --rounds N, --sides direct,greenroom,portkey, --install-rivals, --cpu-prof FOLDER (Greenroom's profile), --out FILE.
 */
import { parseArgs } from 'node:util';
import { CASES, type Figures, type Sizes, warmUp } from './load/cases.ts';
import { type HangUps, hangUp } from './load/hang-up.ts';
import { INSTALL_PORTKEY, installPortkey, portkeyVersions } from './load/portkey.ts';
import { type Bar, writeResult } from './load/result-file.ts';
import { SIDE_NAMES, type SideName, startSides } from './load/sides.ts';
import { median, round, spread } from './load/statistics.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    sides: { type: 'string', default: SIDE_NAMES.join(',') },
    'install-rivals': { type: 'boolean', default: false },
    'cpu-prof': { type: 'string' },
    out: { type: 'string', default: 'bench/results/gateway.json' },
  },
});
if (flags['install-rivals']) {
  installPortkey();
  console.log('portkey is installed:', portkeyVersions());
  process.exit(0);
}

const seed = Number(flags.seed);
const rounds = Number(flags.rounds ?? (flags.quick ? 2 : 5));
/** A quick run starts no round that could take it past 50 s; a full one is bounded by its rounds. */
const NO_ROUND_AFTER_MS = flags.quick ? 30_000 : 480_000;
const sizes: Sizes = {
  oneClientRequests: flags.quick ? 200 : 500,
  openLoopPerSecond: 100,
  openLoopMs: flags.quick ? 1_200 : 4_000,
  streams: 32,
  streamTokens: flags.quick ? 26 : 51,
  streamPaceMs: 20,
  streamStarts: flags.quick ? 96 : 160,
  closedLoopWidth: 32,
  closedLoopMs: flags.quick ? 1_000 : 3_000,
};

interface Cell {
  readonly side: SideName;
  readonly round: number;
  readonly figures: Figures;
}

const startedMs = performance.now();
const wanted = new Set(SIDE_NAMES.filter((name) => flags.sides.split(',').includes(name)));
await using programs = new AsyncDisposableStack();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void programs.disposeAsync().finally(() => process.exit(130)));
const sides = await startSides(wanted, { profileDirectory: flags['cpu-prof'] }, programs);
for (const side of sides) {
  const failures = await warmUp(side, sizes, flags.quick ? 1_000 : 3_000);
  if (failures.length > 0) console.log(`${side.name}: ${failures.length} failed in warming: ${failures[0]}`);
}

const cells = new Map<string, Cell[]>(CASES.map(({ name }) => [name, []]));
let roundsRun = 0;
for (; roundsRun < rounds && performance.now() - startedMs < NO_ROUND_AFTER_MS; roundsRun++) {
  for (const [index, each] of CASES.entries()) {
    for (const side of (roundsRun + index) % 2 === 0 ? sides : sides.toReversed()) {
      const figures = await each.run(side, sizes, seed * 1_000 + roundsRun);
      cells.get(each.name)?.push({ side: side.name, round: roundsRun, figures });
      console.log(
        `round ${roundsRun + 1}  ${each.name.padEnd(20)}  ${side.name.padEnd(9)}  p50 ${figures.p50Ms.toFixed(2).padStart(6)} ms  p99 ${figures.p99Ms.toFixed(2).padStart(7)} ms  ${figures.requestsPerSecond.toFixed(0).padStart(6)}/s${Number.isNaN(figures.cpuMsPerRequest) ? '' : `  ${figures.cpuMsPerRequest.toFixed(3)} ms CPU each`}${figures.failed > 0 ? `  ${figures.failed} FAILED: ${figures.firstFailure}` : ''}`,
      );
    }
  }
}

const HANG_UPS = 16;
const hangUps = new Map<SideName, HangUps>();
const mockOrigin = sides[0]?.origin ?? '';
for (const side of sides) hangUps.set(side.name, await hangUp(side, mockOrigin, HANG_UPS));

const figuresOf = (name: string, side: SideName): Figures[] =>
  (cells.get(name) ?? []).filter((cell) => cell.side === side).map((cell) => cell.figures);

/** For each round: a figure of this side less the direct one of the same round. */
function added(name: string, side: SideName, figure: (figures: Figures) => number): number[] {
  const direct = figuresOf(name, 'direct');
  return figuresOf(name, side).map((figures, at) => figure(figures) - figure(direct[at] ?? figures));
}

const absentRow = (side: SideName) => ({
  result: 'absent',
  ...(side === 'portkey' && portkeyVersions() === null ? { install: INSTALL_PORTKEY } : {}),
});

const caseRows = CASES.flatMap(({ name, describe }) =>
  SIDE_NAMES.map((side) => {
    const mine = figuresOf(name, side);
    const head = { case: `${name}: ${describe(sizes)}`, gateway: side };
    if (mine.length === 0) return { ...head, ...absentRow(side) };
    const isStream = name.startsWith('paced');
    const isRate = name.startsWith('most');
    const of = (figure: (figures: Figures) => number) => mine.map(figure);
    return {
      ...head,
      requests: mine.reduce((sum, figures) => sum + figures.requests, 0),
      failed: mine.reduce((sum, figures) => sum + figures.failed, 0),
      ...(isRate
        ? spread(
            'requestsPerSecond',
            of((figures) => figures.requestsPerSecond),
            0,
          )
        : {}),
      ...(Number.isNaN(mine[0]?.cpuMsPerRequest)
        ? {}
        : spread(
            'cpuMsPerRequest',
            of((figures) => figures.cpuMsPerRequest),
            3,
          )),
      p50Ms: round(median(of((figures) => figures.p50Ms)), 2),
      p99Ms: round(median(of((figures) => figures.p99Ms)), 2),
      ...(side === 'direct' || isRate
        ? {}
        : {
            ...spread(
              'addedP50Ms',
              added(name, side, (figures) => figures.p50Ms),
              2,
            ),
            ...spread(
              'addedP99Ms',
              added(name, side, (figures) => figures.p99Ms),
              2,
            ),
          }),
      ...(isStream
        ? {
            tokenP50Ms: round(median(of((figures) => figures.tokenP50Ms)), 2),
            tokenP99Ms: round(median(of((figures) => figures.tokenP99Ms)), 2),
          }
        : {}),
      ...(Number.isNaN(mine[0]?.latenessP99Ms)
        ? {}
        : { startLateP99Ms: round(median(of((figures) => figures.latenessP99Ms)), 2) }),
    };
  }),
);

const hangUpRows = SIDE_NAMES.map((side) => ({
  case: `client leaves, streamed: ${HANG_UPS} clients hang up after some tokens; streams the mock saw stopped within a second`,
  gateway: side,
  ...(hangUps.get(side) ?? absentRow(side)),
}));

const p99 = (figures: Figures) => figures.p99Ms;
const [one, , paced, most] = CASES.map(({ name }) => name) as [string, string, string, string];

function atMost(name: string, values: readonly number[], bound: number, rival: readonly number[]): Bar {
  const value = values.length === 0 ? null : round(median(values), 3);
  return {
    name,
    value,
    bound: `< ${bound}`,
    holds: value === null ? null : value < bound,
    note: `rounds: ${values.map((each) => round(each, 2)).join(', ') || 'none'}; portkey: ${rival.length === 0 ? 'absent' : round(median(rival), 2)}`,
  };
}

function againstPortkey(name: string, ratios: readonly number[], bound: number): Bar {
  const value = ratios.length === 0 ? null : round(median(ratios), 2);
  return {
    name,
    value,
    bound: `>= ${bound}`,
    holds: value === null ? null : value >= bound,
    note: value === null ? 'portkey is absent' : `rounds: ${ratios.map((each) => round(each, 2)).join(', ')}`,
  };
}

/** For each round: the greater over the lesser of one figure, taken from Greenroom and Portkey. */
function ratio(over: readonly number[], under: readonly number[]): number[] {
  return over.flatMap((value, at) => {
    const other = under[at];
    return other === undefined ? [] : [value / other];
  });
}

const rates = (side: SideName) => figuresOf(most, side).map((figures) => figures.requestsPerSecond);
const lost = CASES.flatMap(({ name }) => figuresOf(name, 'greenroom')).reduce(
  (sum, figures) => sum + figures.failed,
  0,
);
const left = (result: HangUps | undefined) => (result === undefined ? null : result.left - result.stopped);
const bars: Bar[] = [
  atMost('added p99 at one client (ms)', added(one, 'greenroom', p99), 1, added(one, 'portkey', p99)),
  atMost(
    'added TTFT p99 at 32 paced streams (ms)',
    added(paced, 'greenroom', p99),
    1,
    added(paced, 'portkey', p99),
  ),
  againstPortkey('requests/s against Portkey', ratio(rates('greenroom'), rates('portkey')), 5),
  {
    name: 'answers that failed, or lost, mixed or reordered a token',
    value: figuresOf(one, 'greenroom').length === 0 ? null : lost,
    bound: '= 0',
    holds: figuresOf(one, 'greenroom').length === 0 ? null : lost === 0,
    note: 'every token of every answer is checked',
  },
  {
    name: 'streams still running at the engine a second after the client left',
    value: left(hangUps.get('greenroom')),
    bound: '= 0',
    holds: hangUps.has('greenroom') ? left(hangUps.get('greenroom')) === 0 : null,
    note: `of ${HANG_UPS}; portkey: ${left(hangUps.get('portkey')) ?? 'absent'}`,
  },
];
const portkey = portkeyVersions();
writeResult(flags.out, {
  versions: {
    node: process.version,
    portkey: portkey?.['@portkey-ai/gateway'] ?? 'absent',
    ...(portkey === null
      ? {}
      : { portkeyHono: portkey['hono'] ?? '', portkeyNodeServer: portkey['@hono/node-server'] ?? '' }),
  },
  seed,
  quick: flags.quick,
  settings: { rounds: roundsRun, ...sizes },
  rows: [...caseRows, ...hangUpRows],
  bars,
});
console.table(bars.map(({ name, value, bound, holds }) => ({ name, value, bound, holds })));
console.log(`written: ${flags.out}, after ${Math.round((performance.now() - startedMs) / 1_000)} s`);
