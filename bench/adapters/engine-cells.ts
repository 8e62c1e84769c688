/**
 * The rounds on the real engine: a few players in a closed loop with pauses, the same players and the same wishes for each
 * policy. Cells are interleaved, each round in another order, so that a machine that gets slower is everybody's.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { AdapterEvent } from '../../src/core/adapter-event.ts';
import { realRuntime } from '../../src/runtime.ts';
import { MemoryAdapterStore } from '../../src/testing/memory-adapter-store.ts';
import { seeded } from '../engine/prompts.ts';
import { zipf } from './demand.ts';
import { type EngineRoom, REPLICA } from './engine-room.ts';
import { FirstComeKeeper } from './fcfs.ts';
import { openOurKeeper, WAIT_MS } from './our-keeper.ts';
import { type CellFigures, figuresOf, type Stage, type Told, talk } from './talk.ts';

export interface EngineCell {
  readonly policy: 'ours' | 'first come' | 'all resident';
  readonly times: number;
  readonly adapters: number;
}

export interface CellsOptions {
  readonly slots: number;
  readonly clients: number;
  /** The mean of a player's pause between two lines (ms), exponential. */
  readonly pauseMs: number;
  readonly cellMs: number;
  readonly rounds: number;
  readonly seed: number;
}

export interface CellsResult {
  readonly figures: ReadonlyMap<EngineCell, readonly CellFigures[]>;
  /** What our keeper told of its loads. */
  readonly loaded: readonly Extract<AdapterEvent, { type: 'loaded' }>[];
}

export async function runCells(
  room: EngineRoom,
  cells: readonly EngineCell[],
  options: CellsOptions,
  signal: AbortSignal,
): Promise<CellsResult> {
  const figures = new Map<EngineCell, CellFigures[]>(cells.map((cell) => [cell, []]));
  const loaded: Extract<AdapterEvent, { type: 'loaded' }>[] = [];
  const store = new MemoryAdapterStore();
  await publishAll(room, store, signal);
  for (let round = 0; round < options.rounds; round++)
    for (let at = 0; at < cells.length; at++) {
      const cell = cells[(at + round * 3) % cells.length] as EngineCell;
      const onEvent = (event: AdapterEvent) => {
        if (event.type === 'loaded') loaded.push(event);
      };
      const one = await runCell(room, cell, { ...options, round, store, onEvent }, signal);
      figures.get(cell)?.push(one);
      console.log(
        `round ${round + 1}  ${cell.policy.padEnd(12)} ${String(cell.adapters).padStart(2)} adapters  ${one.lines} lines  p50 ${Math.round(one.ttftP50Ms)} ms  p95 ${Math.round(one.ttftP95Ms)} ms  base ${one.basePercent} %  loads ${one.loads}`,
      );
    }
  return { figures, loaded };
}

/** Each was published once, long before this evening: verified by all questions, its answers kept. */
async function publishAll(room: EngineRoom, store: MemoryAdapterStore, signal: AbortSignal): Promise<void> {
  await room.empty(signal);
  const { records, directory, clock } = room;
  const replica = room.replica(records.length);
  const { random } = realRuntime;
  const keeper = await openOurKeeper(
    { store, directory, clock, random, replica, records, onEvent: () => {} },
    signal,
  );
  await keeper[Symbol.asyncDispose]();
}

async function runCell(
  room: EngineRoom,
  cell: EngineCell,
  options: CellsOptions & {
    readonly round: number;
    readonly store: MemoryAdapterStore;
    readonly onEvent: (event: AdapterEvent) => void;
  },
  signal: AbortSignal,
): Promise<CellFigures> {
  const { adapters, policy } = cell;
  await room.empty(signal);
  let loads = 0;
  const keeper =
    policy === 'ours'
      ? await openOurKeeper(
          {
            store: options.store,
            directory: room.directory,
            clock: room.clock,
            random: realRuntime.random,
            replica: room.replica(options.slots),
            records: room.records.slice(0, adapters),
            onEvent: (event) => {
              if (event.type === 'loaded') loads += 1;
              options.onEvent(event);
            },
          },
          signal,
        )
      : new FirstComeKeeper({
          engine: room.adapters,
          slots: policy === 'all resident' ? adapters : options.slots,
          known: room.known(adapters),
        });
  try {
    if (keeper instanceof FirstComeKeeper) await keeper.fill();
    const loadsBefore = loads;
    const startedMs = performance.now();
    const told = await playersOf(room, keeper, cell, options, signal);
    const overMs = performance.now() - startedMs;
    const during = keeper instanceof FirstComeKeeper ? keeper.loads : loads - loadsBefore;
    return figuresOf(told, overMs, during);
  } finally {
    await keeper[Symbol.asyncDispose]();
    await room.empty(signal);
  }
}

async function playersOf(
  room: EngineRoom,
  keeper: Stage['keeper'],
  { adapters }: EngineCell,
  options: CellsOptions & { readonly round: number },
  signal: AbortSignal,
): Promise<readonly Told[]> {
  const stage: Stage = {
    clock: room.clock,
    keeper,
    replica: REPLICA,
    waitMs: WAIT_MS,
    speak: (by, adapter, onFirst, within) => room.speak(by, adapter, onFirst, within),
  };
  const endMs = performance.now() + options.cellMs;
  const told: Told[] = [];
  const play = async (client: number) => {
    const random = seeded(options.seed * 10_000 + options.round * 100 + client);
    const draw = zipf(adapters, 1, random);
    await pause(random() * options.pauseMs);
    while (performance.now() < endMs) {
      const adapter = draw();
      told.push(await talk(stage, `voice${adapter}`, adapter, signal));
      await pause(-Math.log(1 - random()) * options.pauseMs);
    }
  };
  await Promise.all(Array.from({ length: options.clients }, (_, client) => play(client)));
  return told;
}
