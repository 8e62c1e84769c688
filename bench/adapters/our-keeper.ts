/** Our side: the real keeper over one replica, with every adapter published as another gateway would have published it. */
import { changeDesired, inOrder, moveTag, publishVersion } from '../../src/adapters/desired.ts';
import type { AdapterReplica } from '../../src/adapters/replica.ts';
import { Residency } from '../../src/adapters/residency.ts';
import { type AdapterRecord, type AdapterStore, adapterId } from '../../src/core/adapter.ts';
import type { AdapterEvent } from '../../src/core/adapter-event.ts';
import type { Clock, Random } from '../../src/core/runtime.ts';
import { silentLogger } from '../../src/telemetry/log.ts';

export interface OurKeeperParts {
  readonly store: AdapterStore;
  /** Folder of the staged artefacts. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly replica: AdapterReplica;
  readonly records: readonly AdapterRecord[];
  readonly onEvent: (event: AdapterEvent) => void;
}

/** What the service uses where nothing else is configured (src/adapters/options.ts). */
export const OPTIONS = { loadsAtOnce: 1, loadAttempts: 3, swapsPerMinuteMax: 60, pollMs: 2_000 };
/** The service's own default for how long a line waits for its adapter (ms). */
export const WAIT_MS = 800;

/** Resolves when the replica has what it holds at the start, verified. */
export async function openOurKeeper(parts: OurKeeperParts, signal: AbortSignal): Promise<Residency> {
  const { store, records, clock } = parts;
  for (const record of records) await store.add(record);
  const changes = records.flatMap((record) => [
    publishVersion(record, { isPinned: undefined, atMs: clock.nowMs() }),
    moveTag(record.name, 'stable', record.version),
  ]);
  const known = await store.desired();
  const published = new Set(known.published.map(adapterId));
  if (!records.every((record) => published.has(adapterId(record))))
    await changeDesired(store, inOrder(...changes));
  const keeper = new Residency({ ...parts, options: OPTIONS, log: silentLogger });
  await keeper.start();
  await keeper.replicaUp(parts.replica, signal);
  return keeper;
}
