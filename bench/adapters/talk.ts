/**
 * One line as a dialogue asks for it: what its persona names is resolved, wanted, leased and spoken with, or the base
 * speaks. The same walk for every keeper and every engine, so that policies differ in nothing else.
 */
import type { AdapterAddress, AdapterKeeper } from '../../src/core/adapter.ts';
import type { Clock } from '../../src/core/runtime.ts';
import { quantile, round } from '../load/statistics.ts';

export interface Stage {
  readonly clock: Clock;
  readonly keeper: AdapterKeeper;
  readonly replica: string;
  /** The most that a line waits for its adapter (ms); then the base speaks. */
  readonly waitMs: number;
  /** One whole answer by this adapter, or by the base; `onFirst` at its first text. */
  readonly speak: (
    by: AdapterAddress | null,
    adapter: number,
    onFirst: () => void,
    signal: AbortSignal,
  ) => Promise<void>;
}

export interface Told {
  readonly adapter: number;
  readonly askedMonoMs: number;
  /** From the asking to the first text, the waiting for the adapter with it (ms). */
  readonly ttftMs: number;
  readonly totalMs: number;
  /** What the engine was asked for; null: the base. */
  readonly spokenBy: string | null;
}

export async function talk(
  stage: Stage,
  reference: string,
  adapter: number,
  signal: AbortSignal,
): Promise<Told> {
  const { clock, keeper, replica, waitMs } = stage;
  const askedMonoMs = clock.monotonicMs();
  const resolved = keeper.resolve(reference);
  if (typeof resolved === 'string') throw new Error(`${reference} is ${resolved}`);
  const absence = await keeper.want(
    resolved,
    [replica],
    { priority: 'interactive', tier: 2, waitMs },
    signal,
  );
  using lease = absence === null ? keeper.lease(resolved, replica) : null;
  let ttftMs = Number.NaN;
  await stage.speak(
    lease?.address ?? null,
    adapter,
    () => {
      ttftMs = clock.monotonicMs() - askedMonoMs;
    },
    signal,
  );
  const totalMs = clock.monotonicMs() - askedMonoMs;
  return { adapter, askedMonoMs, ttftMs, totalMs, spokenBy: lease?.adapter.engineName ?? null };
}

export interface CellFigures {
  readonly lines: number;
  readonly ttftsMs: readonly number[];
  readonly ttftP50Ms: number;
  readonly ttftP95Ms: number;
  readonly linesPerSecond: number;
  /** Of lines whose persona names an adapter, those that the base spoke. */
  readonly basePercent: number;
  readonly loads: number;
}

export function figuresOf(told: readonly Told[], overMs: number, loads: number): CellFigures {
  const ttfts = told.map(({ ttftMs }) => ttftMs);
  return {
    lines: told.length,
    ttftsMs: ttfts,
    ttftP50Ms: quantile(ttfts, 0.5),
    ttftP95Ms: quantile(ttfts, 0.95),
    linesPerSecond: (told.length * 1_000) / overMs,
    basePercent: round(
      (100 * told.filter(({ spokenBy }) => spokenBy === null).length) / Math.max(1, told.length),
      1,
    ),
    loads,
  };
}
