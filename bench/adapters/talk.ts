/**
 * One line as a dialogue asks for it: what its persona names is resolved, wanted, leased and spoken with, or the base
 * speaks. The same walk for every keeper and every engine, so that policies differ in nothing else.
 */
import type { AdapterAddress, AdapterKeeper } from '../../src/core/adapter.ts';
import type { Clock } from '../../src/core/runtime.ts';
import { quantile, round } from '../load/statistics.ts';

/** Whose weights spoke, as far as the words tell. */
export type Voice = 'own' | 'other' | 'unclear';

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
  ) => Promise<Voice>;
}

export interface Told {
  readonly adapter: number;
  readonly askedMonoMs: number;
  /** From the asking to the first text, the waiting for the adapter with it (ms). */
  readonly ttftMs: number;
  readonly totalMs: number;
  readonly isBase: boolean;
  readonly voice: Voice;
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
  const voice = await stage.speak(
    lease?.address ?? null,
    adapter,
    () => {
      ttftMs = clock.monotonicMs() - askedMonoMs;
    },
    signal,
  );
  const totalMs = clock.monotonicMs() - askedMonoMs;
  return { adapter, askedMonoMs, ttftMs, totalMs, isBase: lease === null, voice };
}

export interface CellFigures {
  readonly lines: number;
  readonly ttftP50Ms: number;
  readonly ttftP95Ms: number;
  readonly linesPerSecond: number;
  /** Of lines whose persona names an adapter, those that the base spoke. */
  readonly basePercent: number;
  readonly wrong: number;
  readonly unclear: number;
  readonly loads: number;
}

export function figuresOf(told: readonly Told[], overMs: number, loads: number): CellFigures {
  const ttfts = told.map(({ ttftMs }) => ttftMs);
  return {
    lines: told.length,
    ttftP50Ms: quantile(ttfts, 0.5),
    ttftP95Ms: quantile(ttfts, 0.95),
    linesPerSecond: (told.length * 1_000) / overMs,
    basePercent: round((100 * told.filter(({ isBase }) => isBase).length) / Math.max(1, told.length), 1),
    wrong: told.filter(({ voice }) => voice === 'other').length,
    unclear: told.filter(({ voice }) => voice === 'unclear').length,
    loads,
  };
}
