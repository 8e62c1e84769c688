/**
 * Engine classes played back: each published or measured closed-loop curve, run on the arithmetic of its class, so that its
 * error is a printed figure. A closed loop keeps so many streams busy; each sends its next line when the last one has ended.
 */
import { ENGINE_CLASSES, type EngineClass } from '../../src/planning/engine-classes.ts';
import { EngineModel } from '../../src/planning/engine-model.ts';
import { BLOCK_TOKENS } from '../../src/planning/prefix-blocks.ts';
import { SeededRandom } from '../../src/planning/seeded-random.ts';
import { VirtualClock } from '../../src/planning/virtual-clock.ts';
import { median } from '../load/statistics.ts';

export interface CurvePoint {
  readonly streams: number;
  /** Lines of the whole point, as measured; more is steadier. */
  readonly lines: number;
  readonly promptTokens: number;
  /** Tokens that every prompt of the point begins with. */
  readonly sharedTokens: number;
  readonly answerTokens: number;
  /** Answers are so much longer or shorter at most (0..1), where engines ended them; left out: all alike. */
  readonly answerSpread?: number;
  /** Left out where nobody told. */
  readonly ttftP50Ms?: number;
  readonly tokensPerSecond: number;
}

export interface PlayedPoint {
  readonly ttftP50Ms: number;
  readonly tokensPerSecond: number;
}

/** The figures that the classes of engine-classes.ts were read from, other than our own, which are read from the results. */
export const PUBLISHED: Readonly<Record<string, readonly CurvePoint[]>> = {
  l4: (
    [
      [1, 27, 168],
      [2, 37.8, 367],
      [4, 50.1, 698],
      [8, 60.9, 1_312],
      [16, 103.8, 2_277],
      [32, 135.3, 3_773],
    ] as const
  ).map(([streams, ttftP50Ms, tokensPerSecond]) => ({
    ...{ streams, ttftP50Ms, tokensPerSecond, lines: streams * 20 },
    ...{ promptTokens: 256, sharedTokens: 0, answerTokens: 128 },
  })),
  // Tokens a second over requests a second: its answers had a hundred tokens, not the 128 that were asked for.
  'rtx-4090': (
    [
      [4, 53, 210],
      [8, 55, 377],
      [16, 97, 644],
      [32, 277, 975],
      [48, 840, 1_190],
    ] as const
  ).map(([streams, ttftP50Ms, tokensPerSecond]) => ({
    ...{ streams, ttftP50Ms, tokensPerSecond, lines: 300 },
    ...{ promptTokens: 256, sharedTokens: 0, answerTokens: 100, answerSpread: 0.28 },
  })),
  'a100-40': (
    [
      [1, 75],
      [8, 495],
    ] as const
  ).map(([streams, tokensPerSecond]) => ({
    ...{ streams, tokensPerSecond, lines: streams * 20 },
    ...{ promptTokens: 1_024, sharedTokens: 0, answerTokens: 128 },
  })),
};

interface EngineRow {
  readonly engine: string;
  readonly prompts?: string;
  readonly streams?: number;
  readonly lines?: number;
  readonly tokensPerSecond?: number;
  readonly ttftP50Ms?: number;
  readonly promptTokensP50?: number;
  readonly completionTokens?: number;
}

/** Our own curve: distinct prompts on `greenroom engine`, from bench/results/engine.json. */
export function measuredCurve(rows: readonly EngineRow[]): readonly CurvePoint[] {
  return rows.flatMap((row) =>
    row.engine === 'greenroom' && row.prompts === 'distinct' && row.streams !== undefined
      ? {
          streams: row.streams,
          lines: row.lines ?? 0,
          promptTokens: row.promptTokensP50 ?? 0,
          sharedTokens: 0,
          answerTokens: row.completionTokens ?? 0,
          ttftP50Ms: row.ttftP50Ms ?? 0,
          tokensPerSecond: row.tokensPerSecond ?? 0,
        }
      : [],
  );
}

export function classNamed(name: string): EngineClass {
  const found = ENGINE_CLASSES.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no engine class ${name}`);
  return found;
}

/** Plays one point; `scale` makes it longer than it was measured, for a steadier median. */
export async function playPoint(
  pace: EngineClass['pace'],
  point: CurvePoint,
  scale = 1,
): Promise<PlayedPoint> {
  const random = new SeededRandom(`closed loop ${point.streams}`);
  const clock = new VirtualClock({ random, latenessMaxMs: 0, remembersSetters: false });
  const engine = new EngineModel(pace, clock);
  const linesMax = point.lines * scale;
  const ttftsMs: number[] = [];
  let started = 0;
  let ended = 0;
  let madeTokens = 0;
  const shared = Array.from({ length: Math.floor(point.sharedTokens / BLOCK_TOKENS) }, (_, at) => at + 1);
  const beganMonoMs = clock.monotonicMs();
  const next = () => {
    if (started >= linesMax) return;
    started += 1;
    const own = Math.floor((point.promptTokens - point.sharedTokens) / BLOCK_TOKENS);
    const line = started;
    const { answerTokens, answerSpread = 0 } = point;
    const length = Math.max(2, Math.round(answerTokens * (1 + answerSpread * (2 * random.next() - 1))));
    const sentMonoMs = clock.monotonicMs();
    engine.start({
      promptTokens: point.promptTokens,
      promptBlocks: [...shared, ...Array.from({ length: own }, (_, at) => line * 1_000_000 + at)],
      marks: [1, length],
      onMark: (mark) => {
        if (mark === 1) ttftsMs.push(clock.monotonicMs() - sentMonoMs);
        if (mark < length) return;
        madeTokens += length;
        ended += 1;
        next();
      },
    });
  };
  for (let stream = 0; stream < point.streams; stream++) next();
  await clock.run(() => ended >= linesMax, 86_400_000);
  return {
    ttftP50Ms: median(ttftsMs),
    tokensPerSecond: (madeTokens * 1_000) / (clock.monotonicMs() - beganMonoMs),
  };
}
