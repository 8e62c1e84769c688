/**
 * Hot swaps on the real engine while players talk: from the operator's wish to the first line of the new version, and from
 * the moment of the switch until the old one is out of the engine's memory. No line may fail or speak with the wrong one.
 */
import { Publisher } from '../../src/adapters/publish.ts';
import { type AdapterRecord, adapterId } from '../../src/core/adapter.ts';
import { realRuntime } from '../../src/runtime.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { MemoryAdapterStore } from '../../src/testing/memory-adapter-store.ts';
import { type EngineRoom, REPLICA, recordOf } from './engine-room.ts';
import { OPTIONS, openOurKeeper, WAIT_MS } from './our-keeper.ts';
import { talk } from './talk.ts';

export interface SwapFigures {
  /** From the wish until new lines use the new version (ms): load and verification. */
  readonly readyMs: readonly number[];
  /** From the wish until the first text of the first line by the new version (ms). */
  readonly firstLineMs: readonly number[];
  /** From the switch until the old version was unloaded (ms). */
  readonly drainedMs: readonly number[];
  readonly lines: number;
  readonly failed: number;
  /** Lines begun after the switch that the old version spoke. */
  readonly wrong: number;
  readonly basePercent: number;
}

const NAME = 'voice0';

export async function measureSwaps(
  room: EngineRoom,
  { swaps, talkers }: { readonly swaps: number; readonly talkers: number },
  signal: AbortSignal,
): Promise<SwapFigures> {
  await room.empty(signal);
  const store = new MemoryAdapterStore();
  // The weights of all adapters in turn, as versions of one name.
  const versions: readonly AdapterRecord[] = Array.from({ length: swaps + 1 }, (_, at) => {
    const artefact = room.artefacts[at % room.artefacts.length];
    if (artefact === undefined) throw new Error('no adapters');
    return recordOf(artefact, NAME, String(at + 1));
  });
  const [first, ...next] = versions as readonly [AdapterRecord, ...AdapterRecord[]];
  const keeper = await openOurKeeper(
    {
      store,
      directory: room.directory,
      clock: room.clock,
      random: realRuntime.random,
      replica: room.replica(4),
      records: [first],
      onEvent: () => {},
    },
    signal,
  );
  const publisher = new Publisher({
    residency: keeper,
    store,
    clock: room.clock,
    log: silentLogger,
    options: OPTIONS,
  });
  for (const record of next) await store.add(record);
  let isOver = false;
  let lines = 0;
  let failed = 0;
  let wrong = 0;
  let bases = 0;
  let switched = { id: adapterId(first), atMonoMs: room.clock.monotonicMs() };
  const firstTextMonoMs = new Map<string, number>();
  const stage = {
    clock: room.clock,
    keeper,
    replica: REPLICA,
    waitMs: WAIT_MS,
    speak: (...[by, adapter, onFirst, within]: Parameters<EngineRoom['speak']>) => {
      const id = by === null ? '' : by.engineName.slice(0, -9);
      const onText = () => {
        if (!firstTextMonoMs.has(id)) firstTextMonoMs.set(id, room.clock.monotonicMs());
        onFirst();
      };
      return room.speak(by, adapter, onText, within);
    },
  };
  const talkOn = async () => {
    while (!isOver)
      try {
        const before = switched;
        const { spokenBy } = await talk(stage, NAME, 0, signal);
        lines += 1;
        const id = spokenBy?.slice(0, -9) ?? null;
        if (id === null) bases += 1;
        // Begun after that switch: the version before must not be heard any more.
        else if (Number(id.split('@')[1]) < Number(before.id.split('@')[1])) wrong += 1;
      } catch {
        failed += 1;
      }
  };
  const readyMs: number[] = [];
  const firstLineMs: number[] = [];
  const drainedMs: number[] = [];
  const talking = Array.from({ length: talkers }, talkOn);
  try {
    for (const version of next) {
      const wishedMonoMs = room.clock.monotonicMs();
      await publisher.swap(
        version,
        { tag: 'stable' },
        ({ stage: step }) => {
          if (step !== 'switching') return;
          switched = { id: adapterId(version), atMonoMs: room.clock.monotonicMs() };
        },
        signal,
      );
      readyMs.push(switched.atMonoMs - wishedMonoMs);
      drainedMs.push(room.clock.monotonicMs() - switched.atMonoMs);
      firstLineMs.push((firstTextMonoMs.get(adapterId(version)) ?? Number.NaN) - wishedMonoMs);
    }
  } finally {
    isOver = true;
    await Promise.all(talking);
    await keeper[Symbol.asyncDispose]();
    await room.empty(signal);
  }
  const basePercent = Math.round((1_000 * bases) / Math.max(1, lines)) / 10;
  return { readyMs, firstLineMs, drainedMs, lines, failed, wrong, basePercent };
}
