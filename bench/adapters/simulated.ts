/**
 * The policies on a GPU that is not here: the same keepers, the same walk of a line, an engine of steps on a virtual clock.
 * Minutes of play take a second, and the same seed gives the same figures.
 */
import type { AdapterReplica } from '../../src/adapters/replica.ts';
import { type AdapterRecord, adapterId, engineNameOf } from '../../src/core/adapter.ts';
import { SeededRandom } from '../../src/planning/seeded-random.ts';
import { VirtualClock } from '../../src/planning/virtual-clock.ts';
import { MemoryAdapterStore } from '../../src/testing/memory-adapter-store.ts';
import { openLoop } from './demand.ts';
import { FirstComeKeeper, type KnownAdapter } from './fcfs.ts';
import { openOurKeeper } from './our-keeper.ts';
import { type EngineModel, SteppingEngine } from './simulated-engine.ts';
import { type CellFigures, figuresOf, type Stage, type Told, talk } from './talk.ts';

export type Policy = 'ours' | 'first come';

export interface Workload {
  readonly name: string;
  readonly model: Omit<EngineModel, 'slots'>;
  readonly linesPerSecond: number;
  /** Tokens that are not in the prefix cache. */
  readonly promptTokens: number;
  readonly tokens: number;
  readonly zipfExponent: number;
  readonly playMs: number;
  /** What comes in the first part is not counted. */
  readonly warmUpMs: number;
}

/**
 * An 8B model on one A100 of 40 GB with LoRA on. Decoding: 75 tokens/s alone and 495 with 8 lines (deployment.md §12: steps
 * of 13.3 and 16.2 ms), at 0.75 of that speed with LoRA (there, too). Prefill 8,000 tokens/s and 300 ms a load are
 * assumptions: half of the card's dense arithmetic, and some 100 MB from a disk through the engine's loop. The persona's
 * prefix is cached; 250 tokens of scene, history and player are new in each line. 6 lines a second of 40 tokens are half of
 * the knee that was measured on this card.
 */
export const NPC_LINES: Workload = {
  name: 'NPC lines',
  model: {
    stepMs: 12.9 / 0.75,
    stepMsPerLine: 0.41 / 0.75,
    prefillTokensPerSecond: 8_000,
    prefillTokensPerStep: 2_048,
    linesAtOnce: 64,
    loadMs: 300,
  },
  linesPerSecond: 6,
  promptTokens: 250,
  tokens: 40,
  zipfExponent: 1,
  playMs: 300_000,
  warmUpMs: 60_000,
};

/**
 * The run that showed the cliff (sglang#13349): 100 requests of 4,096 and 2,048 tokens at 4 a second, adapters in turn, 8B
 * on two H100. Steps and prefill are fitted to its 39.65 ms with all adapters in their slots; nothing else is.
 */
export const LONG_ANSWERS: Workload = {
  name: 'long answers (sglang#13349)',
  model: {
    stepMs: 5.5,
    stepMsPerLine: 0.05,
    prefillTokensPerSecond: 130_000,
    prefillTokensPerStep: 8_192,
    linesAtOnce: 128,
    loadMs: 300,
  },
  linesPerSecond: 4,
  promptTokens: 4_096,
  tokens: 2_048,
  zipfExponent: 0,
  playMs: 25_000,
  warmUpMs: 0,
};

export interface SimulatedCell {
  readonly workload: Workload;
  readonly policy: Policy;
  readonly adapters: number;
  readonly slots: number;
  /** The most that a line of ours waits (ms). */
  readonly waitMs: number;
  readonly seed: number;
}

/** Whoever has heard nothing by then has left (ms). */
const PATIENCE_MS = 600_000;
const BASE = 'simulated-8b';
const REPLICA = 'gpu';

function recordOf(at: number): AdapterRecord {
  return {
    name: `voice${at}`,
    version: '1',
    digest: at.toString(16).padStart(8, '0').padEnd(64, '5'),
    base: BASE,
    baseDigest: null,
    architecture: 'llama',
    layers: 32,
    rank: 16,
    alpha: 16,
    targetModules: ['q_proj', 'v_proj'],
    bytes: 84_000_000,
    ggufBytes: 84_000_000,
    licence: null,
    trainingRun: null,
    notes: null,
    source: 'simulated',
    addedBy: 'bench',
    addedAtMs: 0,
  };
}

export async function simulateCell(cell: SimulatedCell): Promise<CellFigures> {
  const { workload, adapters, slots } = cell;
  const random = new SeededRandom(`adapters ${cell.seed}`);
  const clock = new VirtualClock({ random: random.fork('clock'), latenessMaxMs: 0, remembersSetters: false });
  const engine = new SteppingEngine({ ...workload.model, slots }, clock);
  const records = Array.from({ length: adapters }, (_, at) => recordOf(at));
  const keeper = await openKeeper(cell, engine, clock, random, records);
  const { signal } = new AbortController();
  const stage: Stage = {
    clock,
    keeper,
    replica: REPLICA,
    waitMs: cell.waitMs,
    speak: async (by, _adapter, onFirst) => {
      const { promptTokens, tokens } = workload;
      const engineName = by?.engineName ?? null;
      const spoken = await engine.speak({ engineName, prompt: 'line', promptTokens, tokens }, onFirst);
      if (spoken.digest !== (by?.path.split('/').at(-1) ?? null))
        throw new Error(`${engineName} was spoken by ${spoken.digest}`);
    },
  };
  const asked = openLoop(
    {
      adapters,
      exponent: workload.zipfExponent,
      linesPerSecond: workload.linesPerSecond,
      forMs: workload.playMs,
    },
    () => random.next(),
  );
  const startMonoMs = clock.monotonicMs();
  const loadsBefore = engine.loads;
  const told: Told[] = [];
  let left = asked.length;
  let failure: unknown = null;
  for (const { atMs, adapter } of asked)
    clock.timer(atMs, () => {
      talk(stage, records[adapter]?.name ?? '', adapter, signal)
        .then((line) => told.push(line))
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => {
          left -= 1;
        });
    });
  const how = await clock.run(() => left === 0, workload.playMs + PATIENCE_MS);
  if (failure !== null) throw failure;
  if (how !== 'over') throw new Error(`${left} of ${asked.length} lines were never answered (${how})`);
  const overMs = clock.monotonicMs() - startMonoMs;
  const counted = told.filter(({ askedMonoMs }) => askedMonoMs - startMonoMs >= workload.warmUpMs);
  const figures = figuresOf(counted, overMs - workload.warmUpMs, engine.loads - loadsBefore);
  const ended = keeper[Symbol.asyncDispose]();
  await clock.run(() => false, 1_000);
  await ended;
  engine.end();
  return figures;
}

async function openKeeper(
  { policy, slots }: SimulatedCell,
  engine: SteppingEngine,
  clock: VirtualClock,
  random: SeededRandom,
  records: readonly AdapterRecord[],
) {
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let isDone = false;
    const end = () => {
      isDone = true;
    };
    promise.then(end, end);
    await clock.run(() => isDone, PATIENCE_MS);
    return await promise;
  };
  if (policy === 'first come') {
    const known = new Map<string, KnownAdapter>(
      records.map((record) => {
        const engineName = engineNameOf(record);
        const path = `/adapters/${record.digest}`;
        return [
          record.name,
          {
            resolved: { id: adapterId(record), engineName, generation: 1 },
            address: { engineName, number: 1, path, localPath: path, rank: record.rank },
          },
        ];
      }),
    );
    const keeper = new FirstComeKeeper({ engine, slots, known });
    await settle(keeper.fill());
    return keeper;
  }
  const replica: AdapterReplica = {
    name: REPLICA,
    base: BASE,
    scope: 'simulated/8b',
    engine,
    limits: { slots, rankMax: null, bytesMax: null },
    artefactRoot: null,
    probe: async (prompt, adapter, maxTokens) => {
      const ask = {
        engineName: adapter?.engineName ?? null,
        prompt,
        promptTokens: 20,
        tokens: maxTokens,
      };
      return (await engine.speak(ask, () => {})).words;
    },
    setResident: () => {},
  };
  return await settle(
    openOurKeeper(
      {
        store: new MemoryAdapterStore(),
        directory: '/adapters',
        clock,
        random: random.fork('keeper'),
        replica,
        records,
        onEvent: () => {},
      },
      new AbortController().signal,
    ),
  );
}
