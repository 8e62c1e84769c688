/**
 * `greenroom plan`: how many engines a game needs, what its players then hear and what it costs, by playing its busy hour
 * through the real service on a simulated clock (window.ts). Over `cellPlayers` players, one of many equal cells is played and
 * the rest are taken to be like it: a cell has its own engines and its own cache, so what a large pool or a shared cache would
 * save on top is not counted.
 */
import { type Cost, costOf } from './cost.ts';
import type { EngineClass } from './engine-classes.ts';
import { figuresOf, type WindowFigures } from './figures.ts';
import { type NaiveInput, type NaiveRow, naiveRow, SEEDS_ASSUMPTIONS } from './naive.ts';
import type { PlanInput } from './options.ts';
import { smallestThatHolds, type Trial } from './search.ts';
import { playWindow } from './window.ts';
import { barksOf, linesPerDialogue, linesPerSecond, type Workload } from './workload.ts';

export interface PlanProgress {
  readonly engines: number;
  /** Share of the worst tier's lines that were in time (0..1). */
  readonly inTime: number;
  readonly holds: boolean;
}

export interface Plan {
  readonly input: PlanInput;
  readonly cells: number;
  readonly cellPlayers: number;
  /** Engines of the whole game without spares; those of one cell are `figures.engines`. */
  readonly engines: number;
  readonly spare: number;
  /** False: not even `enginesMax` engines in a cell were enough, and the figures are of so many. */
  readonly holds: boolean;
  /** Not even a line with an engine to itself is in time: more engines do not help; the figures are of lines that hardly waited. */
  readonly isTooSlow: boolean;
  /** With caches as old as `settledS`. */
  readonly figures: WindowFigures;
  /** With caches as old as `warmUpS`, by which the engines were counted. */
  readonly young: WindowFigures;
  readonly linesPlayed: number;
  /** Null where an hour of an engine has no price. */
  readonly cost: Cost | null;
  readonly naive: NaiveRow;
}

const ENGINES_PER_SPARE = 50;
/** So few players for so many engines that a line has one to itself. */
const FEW_PLAYERS = 10;
const FEW_ENGINES = 4;
const FEW_S = 60;
/** Below this share of busy time (0..1) waiting is not why lines are late. */
const IDLE = 0.3;

/** Rejects with the signal's reason when it aborts. */
export async function makePlan(
  input: PlanInput,
  onProgress: (progress: PlanProgress) => void,
  signal: AbortSignal,
): Promise<Plan> {
  const { options, engineClass, cloud } = input;
  signal.throwIfAborted();
  const cells = Math.ceil(options.players / options.cellPlayers);
  const cellPlayers = Math.ceil(options.players / cells);
  const workload: Workload = { ...input.workload, players: cellPlayers };
  let linesPlayed = 0;
  const windowOf = async (engines: number, warmUpS: number, few?: { players: number; burstS: number }) => {
    const window = await playWindow(
      {
        workload: { ...workload, ...(few === undefined ? {} : { players: few.players }) },
        engineClass,
        engines,
        cloud,
        hasRecall: options.cache,
        warmUpMs: warmUpS * 1_000,
        burstMs: (few?.burstS ?? options.burstS) * 1_000,
        seed: options.seed,
      },
      signal,
    );
    linesPlayed += window.played;
    return figuresOf(window, options.firstSentenceMs);
  };
  const attempt = async (engines: number) => {
    const result = await windowOf(engines, options.warmUpS);
    onProgress({
      engines,
      inTime: Math.min(1, ...result.tiers.map(({ inTime }) => inTime)),
      holds: result.holds,
    });
    return { holds: result.holds, isHopeless: !result.holds && result.utilisation < IDLE, result };
  };
  const guess = guessEngines(workload, engineClass);
  const alone = await windowOf(FEW_ENGINES, options.warmUpS, {
    players: Math.min(cellPlayers, FEW_PLAYERS),
    burstS: FEW_S,
  });
  const isSlowAlone = alone.tiers.some(({ ttfsP50Ms, limitMs }) => ttfsP50Ms !== null && ttfsP50Ms > limitMs);
  const found: Trial<WindowFigures> = isSlowAlone
    ? { count: Math.max(1, Math.round(guess)), holds: false, result: alone }
    : await smallestThatHolds(guess, options.enginesMax, attempt);
  const engines = found.count * cells;
  const spare = options.spare ?? Math.max(1, Math.ceil(engines / ENGINES_PER_SPARE));
  const isTooSlow = isSlowAlone || found.isHopeless === true;
  const figures = isSlowAlone ? alone : await windowOf(found.count, options.settledS);
  return {
    input,
    cells,
    cellPlayers,
    engines,
    spare,
    holds: found.holds,
    isTooSlow,
    figures,
    young: found.result,
    linesPlayed,
    cost: planCost(input, engines + spare, figures),
    naive: naiveRow(naiveOf(input)),
  };
}

/** The naive sum of this game: its own players and hours, and everything else as the source document takes it. */
export function naiveOf({ options }: PlanInput): NaiveInput {
  const { players, hoursPerDay, dialoguesPerPlayerHour } = options;
  return { ...SEEDS_ASSUMPTIONS, players, hoursPerDay, dialoguesPerPlayerHour };
}

function planCost(
  { options, workload, engineClass }: PlanInput,
  engines: number,
  figures: WindowFigures,
): Cost | null {
  if (engineClass.usdPerHour === null) return null;
  return costOf({
    ...options,
    engines,
    usdPerEngineHour: engineClass.usdPerHour,
    cloudUsdPerDialogue: (figures.cloudMicroUsdPerLine * linesPerDialogue(workload)) / 1_000_000,
  });
}

/** Where the search begins: by the pace alone, a quarter of the prompts read and most talk generated. */
function guessEngines(workload: Workload, { pace, maxInFlight }: EngineClass): number {
  const perSecond = linesPerSecond(workload) * workload.burstFactor * (1 - barksOf(workload));
  const readMs = 300 * pace.prefillMsPerToken;
  const speakMs = 30 * (pace.stepMs / maxInFlight + pace.stepMsPerSequence);
  return Math.max(1, (perSecond * 0.8 * (readMs + speakMs)) / 1_000);
}
