/**
 * `npm run bench:gateway`: what Greenroom's OpenAI-compatible door adds to an engine's own answer, and how many requests
 * it holds, against other gateways in the same run: one mock, one client, rounds interleaved. Flags: --quick, --rounds N,
 * --sides direct,greenroom,…, --install-rivals, --cpu-prof FOLDER (Greenroom's profile), --out FILE.
 */
import { parseArgs } from 'node:util';
import { CASES, type Sizes, warmUp } from './load/cases.ts';
import { barsOf, type Measured, rowsOf } from './load/gateway-report.ts';
import { type HangUps, hangUp } from './load/hang-up.ts';
import { writeResult } from './load/result-file.ts';
import { installRival } from './load/rival.ts';
import { RIVALS, SIDE_NAMES, startSides } from './load/sides.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    sides: { type: 'string' },
    'install-rivals': { type: 'boolean', default: false },
    'cpu-prof': { type: 'string' },
    out: { type: 'string', default: 'bench/results/gateway.json' },
  },
});
if (flags['install-rivals']) {
  for (const rival of RIVALS) installRival(rival);
  process.exit(0);
}

/** LiteLLM alone takes longer to start than a quick run may. */
const QUICK_SIDES = 'direct,greenroom,portkey';
const seed = Number(flags.seed);
const rounds = Number(flags.rounds ?? (flags.quick ? 2 : 5));
/** After the first, no round starts that could take a quick run past 50 s, or a whole one past 8 minutes. */
const NO_ROUND_AFTER_MS = flags.quick ? 25_000 : 340_000;
const HANG_UPS = 16;
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

const startedMs = performance.now();
const names = (flags.sides ?? (flags.quick ? QUICK_SIDES : SIDE_NAMES.join(','))).split(',');
for (const name of names)
  if (!SIDE_NAMES.includes(name))
    throw new Error(`--sides names "${name}"; expected some of ${SIDE_NAMES.join(', ')}`);
await using programs = new AsyncDisposableStack();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void programs.disposeAsync().finally(() => process.exit(130)));
const sides = await startSides(new Set(names), { profileDirectory: flags['cpu-prof'] }, programs);
for (const [name, { reason }] of sides.absent) console.log(`${name} is absent: ${reason}`);
for (const side of sides.running) {
  const failures = await warmUp(side, sizes, flags.quick ? 1_000 : 3_000);
  if (failures.length > 0) console.log(`${side.name}: ${failures.length} failed in warming: ${failures[0]}`);
}

const measured: Measured[] = [];
let roundsRun = 0;
const isTooLate = () => performance.now() - startedMs > NO_ROUND_AFTER_MS;
for (; roundsRun < rounds && (roundsRun === 0 || !isTooLate()); roundsRun++) {
  for (const [index, each] of CASES.entries()) {
    for (const side of (roundsRun + index) % 2 === 0 ? sides.running : sides.running.toReversed()) {
      const figures = await each.run(side, sizes, seed * 1_000 + roundsRun);
      measured.push({ case: each.name, side: side.name, figures });
      const { p50Ms, p99Ms, requestsPerSecond, cpuMsPerRequest, failed, firstFailure } = figures;
      console.log(
        `round ${roundsRun + 1}  ${each.name.padEnd(20)}  ${side.name.padEnd(9)}  p50 ${p50Ms.toFixed(2).padStart(6)} ms  p99 ${p99Ms.toFixed(2).padStart(7)} ms  ${requestsPerSecond.toFixed(0).padStart(6)}/s  ${cpuMsPerRequest.toFixed(3)} ms CPU each${failed > 0 ? `  ${failed} FAILED: ${firstFailure}` : ''}`,
      );
    }
  }
}

const hangUps = new Map<string, HangUps>();
const mockOrigin = sides.running[0]?.origin ?? '';
for (const side of sides.running) hangUps.set(side.name, await hangUp(side, mockOrigin, HANG_UPS));

const material = { measured, hangUps, absent: sides.absent, sideNames: names, sizes };
const bars = barsOf(material);
writeResult(flags.out, {
  versions: { node: process.version, ...sides.versions },
  seed,
  quick: flags.quick,
  settings: { rounds: roundsRun, ...sizes },
  rows: rowsOf(material),
  bars,
});
console.table(bars.map(({ name, value, bound, holds }) => ({ name, value, bound, holds })));
console.log(`written: ${flags.out}, after ${Math.round((performance.now() - startedMs) / 1_000)} s`);
