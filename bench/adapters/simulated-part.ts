/** The simulated rows of `bench:adapters`: each policy at each number of adapters, over a few seeds, and the bar on them. */
import type { Bar } from '../load/result-file.ts';
import { median, quantile, round, spread } from '../load/statistics.ts';
import { WAIT_MS } from './our-keeper.ts';
import {
  LONG_ANSWERS,
  NPC_LINES,
  type Policy,
  type SimulatedCell,
  simulateCell,
  type Workload,
} from './simulated.ts';
import type { CellFigures } from './talk.ts';

/** As many as SGLang has by default (`--max-loras-per-batch`), and as in sglang#13349. */
const SLOTS = 8;
export const P95_BOUND = 3;

interface Cell {
  readonly policy: Policy | 'all resident';
  readonly times: number;
}

const NPC_CELLS: readonly Cell[] = [
  { policy: 'all resident', times: 4 },
  { policy: 'ours', times: 1 },
  { policy: 'first come', times: 1 },
  { policy: 'ours', times: 2 },
  { policy: 'first come', times: 2 },
  { policy: 'ours', times: 4 },
  { policy: 'first come', times: 4 },
  { policy: 'ours', times: 8 },
  { policy: 'first come', times: 8 },
];
const LONG_CELLS: readonly Cell[] = [
  { policy: 'all resident', times: 2 },
  { policy: 'ours', times: 2 },
  { policy: 'first come', times: 2 },
];

export async function simulatedPart({ seed, isQuick }: { readonly seed: number; readonly isQuick: boolean }) {
  const seeds = Array.from({ length: isQuick ? 1 : 3 }, (_, at) => seed + at);
  const npc = isQuick ? { ...NPC_LINES, playMs: 75_000, warmUpMs: 25_000 } : NPC_LINES;
  const plan: readonly (readonly [Workload, readonly Cell[]])[] = [
    [npc, NPC_CELLS.filter(({ times }) => !isQuick || times === 2 || times === 4)],
    [LONG_ANSWERS, LONG_CELLS],
  ];
  const rows: Record<string, unknown>[] = [];
  const bars: Bar[] = [];
  for (const [workload, cells] of plan) {
    let resident: readonly CellFigures[] = [];
    for (const { policy, times } of cells) {
      const figures: CellFigures[] = [];
      const adapters = SLOTS * times;
      const cell: Omit<SimulatedCell, 'seed'> =
        policy === 'all resident'
          ? { workload, policy: 'first come', adapters, slots: adapters, waitMs: 0 }
          : { workload, policy, adapters, slots: SLOTS, waitMs: WAIT_MS };
      for (const each of seeds) figures.push(await simulateCell({ ...cell, seed: each }));
      if (policy === 'all resident') resident = figures;
      const against = figures.map(({ ttftP95Ms }, at) => ttftP95Ms / (resident[at]?.ttftP95Ms ?? Number.NaN));
      rows.push(
        rowOf(`simulated: ${workload.name}, ${SLOTS} slots`, { policy, times, adapters }, figures, against),
      );
      const { ttftP50Ms, ttftP95Ms, basePercent } = rows.at(-1) as Record<string, number>;
      console.log(
        `simulated ${workload.name}: ${policy.padEnd(12)} ${adapters} adapters  p50 ${ttftP50Ms} ms  p95 ${ttftP95Ms} ms  base ${basePercent} %`,
      );
      if (workload === npc && policy === 'ours' && times === 4) {
        const value = round(pooledP95(figures) / pooledP95(resident), 2);
        bars.push({
          name: `simulated: TTFT p95 at 4 times the slots against all resident`,
          value,
          bound: `<= ${P95_BOUND}`,
          holds: value <= P95_BOUND,
          note: `${basePercent} % of the lines by the base meanwhile; seeds: ${against.map((each) => round(each, 2)).join(', ')}`,
        });
      }
    }
  }
  return { rows, bars };
}

/** The p95 of all lines of all rounds (ms). */
export function pooledP95(figures: readonly CellFigures[]): number {
  return quantile(
    figures.flatMap(({ ttftsMs }) => ttftsMs),
    0.95,
  );
}

/** One row of a table, medians over rounds with their spread. */
export function rowOf(
  name: string,
  what: { readonly policy: string; readonly times: number; readonly adapters: number },
  figures: readonly CellFigures[],
  against: readonly number[],
): Record<string, unknown> {
  const of = (pick: (one: CellFigures) => number) => figures.map(pick);
  const sum = (pick: (one: CellFigures) => number) => of(pick).reduce((total, value) => total + value, 0);
  return {
    case: name,
    policy: what.policy,
    adapters: what.adapters,
    timesTheSlots: what.policy === 'all resident' ? '' : what.times,
    lines: sum(({ lines }) => lines),
    ...spread(
      'ttftP50Ms',
      of(({ ttftP50Ms }) => ttftP50Ms),
      0,
    ),
    ...spread(
      'ttftP95Ms',
      of(({ ttftP95Ms }) => ttftP95Ms),
      0,
    ),
    // A round has few lines: the p95 of all of them together is the steadier figure.
    p95OfAllMs: Math.round(pooledP95(figures)),
    p95AgainstResident: round(median(against), 2),
    linesPerSecond: round(median(of(({ linesPerSecond }) => linesPerSecond)), 2),
    basePercent: round(median(of(({ basePercent }) => basePercent)), 1),
    loads: sum(({ loads }) => loads),
  };
}
