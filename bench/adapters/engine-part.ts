/** The rows of `bench:adapters` that come from the real embedded engine, and the bars on them. */
import type { Bar } from '../load/result-file.ts';
import { median, quantile, round } from '../load/statistics.ts';
import { type EngineCell, runCells } from './engine-cells.ts';
import { EngineRoom, LINE_TOKENS } from './engine-room.ts';
import { measureMemory } from './memory.ts';
import { OPTIONS } from './our-keeper.ts';
import { P95_BOUND, pooledP95, rowOf } from './simulated-part.ts';
import { measureSwaps } from './swaps.ts';

const CLIENTS = 3;

const cellsFor = (slots: number): readonly EngineCell[] => [
  { policy: 'all resident', times: 4, adapters: 4 * slots },
  { policy: 'ours', times: 1, adapters: slots },
  { policy: 'first come', times: 1, adapters: slots },
  { policy: 'ours', times: 2, adapters: 2 * slots },
  { policy: 'first come', times: 2, adapters: 2 * slots },
  { policy: 'ours', times: 4, adapters: 4 * slots },
  { policy: 'first come', times: 4, adapters: 4 * slots },
];

export interface EnginePartOptions {
  readonly seed: number;
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly threads: number;
}

export async function enginePart({ seed, isQuick, rounds, threads }: EnginePartOptions) {
  const { signal } = new AbortController();
  const slots = isQuick ? 2 : 4;
  const settings = {
    slots,
    clients: CLIENTS,
    pauseMs: 1_500,
    cellMs: isQuick ? 3_000 : 15_000,
    rounds,
    seed,
  };
  await using room = await EngineRoom.open({ adapters: 4 * slots, threads, sequences: 4, seed }, signal);
  const cells = cellsFor(slots).filter(({ times }) => !isQuick || times === 4);
  const { figures, loaded } = await runCells(room, cells, settings, signal);
  const [reference] = cells;
  const resident = reference === undefined ? [] : (figures.get(reference) ?? []);
  const rows: Record<string, unknown>[] = [];
  const bars: Bar[] = [];
  for (const cell of cells) {
    const mine = figures.get(cell) ?? [];
    const against = mine.map(({ ttftP95Ms }, at) => ttftP95Ms / (resident[at]?.ttftP95Ms ?? Number.NaN));
    const row = rowOf(`embedded engine, ${slots} slots, ${CLIENTS} players`, cell, mine, against);
    rows.push(row);
    if (cell.policy !== 'ours' || cell.times !== 4) continue;
    const value = round(pooledP95(mine) / pooledP95(resident), 2);
    bars.push({
      name: 'embedded: TTFT p95 at 4 times the slots against all resident',
      value,
      bound: `<= ${P95_BOUND}`,
      holds: value <= P95_BOUND,
      note: `${String(row['basePercent'])} % of the lines by the base meanwhile; rounds: ${against.map((each) => round(each, 2)).join(', ')}`,
    });
  }
  const swaps = await measureSwaps(room, { swaps: isQuick ? 1 : 6, talkers: 2 }, signal);
  const voices = await room.askAgain(isQuick ? 4 : 60, signal);
  const memory = await measureMemory(room, isQuick ? 16 : 160, signal);
  const times = (name: string, values: readonly number[]) => ({
    case: 'what moving an adapter takes on the embedded engine',
    time: name,
    count: values.length,
    p50Ms: values.length === 0 ? null : round(median(values), 1),
    maxMs: values.length === 0 ? null : round(quantile(values, 1), 1),
  });
  const onDemand = loaded.filter(({ payer }) => payer !== 'restore');
  rows.push(
    times(
      'load, among lines',
      onDemand.map(({ loadMs }) => loadMs),
    ),
    times(
      'verification by one question, among lines',
      onDemand.map(({ verifyMs }) => verifyMs),
    ),
    times(
      'verification by all questions, before traffic',
      loaded.filter(({ payer }) => payer === 'restore').map(({ verifyMs }) => verifyMs),
    ),
    times('swap: from the wish until new lines use the new version', swaps.readyMs),
    times('swap: from the wish until the new version is heard', swaps.firstLineMs),
    times(
      `swap: from the switch until the old one is unloaded (${2 * OPTIONS.pollMs} ms of it for other gateways)`,
      swaps.drainedMs,
    ),
    {
      case: 'swaps while players talk',
      swaps: swaps.readyMs.length,
      lines: swaps.lines,
      failed: swaps.failed,
      wrongLines: swaps.wrong,
      basePercent: swaps.basePercent,
    },
    { case: 'lines asked again, alone, of the voice that claimed them', ...voices },
    {
      case: 'memory of the engine, an adapter',
      adapters: memory.adapters,
      measuredKilobytes: memory.measuredEach === null ? null : Math.round(memory.measuredEach / 1_024),
      computedKilobytes: Math.round(memory.computedEach / 1_024),
      loadP50Ms: memory.loadP50Ms,
      unloadP50Ms: memory.unloadP50Ms,
      cycles: memory.cycles,
      growthKilobytesPerCycle: memory.bytesPerCycle === null ? null : round(memory.bytesPerCycle / 1_024, 1),
    },
  );
  const zero = (name: string, value: number, note: string): Bar => ({
    name,
    value,
    bound: '= 0',
    holds: value === 0,
    note,
  });
  bars.push(
    zero(
      'embedded: lines in a wrong voice',
      voices.base,
      `of ${voices.asked} asked again alone, ${voices.own} began alike and ${voices.unclear} as nobody did`,
    ),
    zero('swaps under load: failed lines', swaps.failed, `of ${swaps.lines}, ${swaps.readyMs.length} swaps`),
    zero(
      'swaps under load: lines of the old version after the switch',
      swaps.wrong,
      `${swaps.basePercent} % by the base`,
    ),
  );
  return { rows, bars, settings: { ...settings, threads, lineTokens: LINE_TOKENS } };
}
