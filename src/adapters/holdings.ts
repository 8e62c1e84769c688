/** What residency knows: the desired document, the engines that are connected with what they hold, and who publishes. */
import { type AdapterAddress, type AdapterRecord, engineNameOf } from '../core/adapter.ts';
import { addressOf } from './address.ts';
import type { Demands } from './demand.ts';
import type { KeptReplica } from './kept-replica.ts';
import { Place } from './place.ts';
import type { PlanAdapter } from './plan.ts';
import type { AdapterReplica } from './replica.ts';
import { isComing } from './room.ts';
import type { DesiredSnapshot } from './snapshot.ts';
import type { ReplicaView } from './views.ts';

/** Where a publisher needs an adapter, before it is published to lines. */
export type Targets = 'one' | readonly string[];

interface Keep {
  readonly record: AdapterRecord;
  readonly targets: Targets;
}

export class Holdings {
  readonly snapshot: DesiredSnapshot;
  /** By name. */
  readonly replicas = new Map<string, KeptReplica>();
  /** Of replicas that are down: their base, and what was resident there. */
  readonly down = new Map<string, { readonly base: string; readonly resident: ReadonlySet<string> }>();
  readonly #directory: string;
  readonly #keeps = new Set<Keep>();

  constructor(snapshot: DesiredSnapshot, directory: string) {
    this.snapshot = snapshot;
    this.#directory = directory;
  }

  connected(): readonly KeptReplica[] {
    return [...this.replicas.values()];
  }

  place(replica: string, engineName: string): Place | undefined {
    return this.replicas.get(replica)?.places.get(engineName);
  }

  /** Names of connected replicas where it is resident now. */
  residentAt(engineName: string): readonly string[] {
    return this.connected()
      .filter((kept) => kept.places.get(engineName)?.stage === 'resident')
      .map(({ name }) => name);
  }

  isResidentAt(engineName: string, replicas: readonly string[]): boolean {
    return replicas.some((name) => this.place(name, engineName)?.stage === 'resident');
  }

  /** Whether it is on its way to one of these. */
  isComingAt(engineName: string, replicas: readonly string[]): boolean {
    return replicas.some((name) => {
      const place = this.place(name, engineName);
      return place !== undefined && isComing(place);
    });
  }

  /** Whether a load holds up the lines of others at every one of these that is connected. */
  stallsAtAll(replicas: readonly string[]): boolean {
    return replicas.every(
      (name) => this.replicas.get(name)?.replica.engine.traits.stallsWhileLoading ?? true,
    );
  }

  /** Neither there nor on its way. */
  isNowhere(engineName: string): boolean {
    return this.connected().every((kept) => {
      const place = kept.places.get(engineName);
      return place === undefined || !(isComing(place) || place.stage === 'resident');
    });
  }

  /** Of what is published or being published; null where it is neither, or the registry has not told it yet. */
  record(engineName: string): AdapterRecord | null {
    for (const { record } of this.#keeps) if (engineNameOf(record) === engineName) return record;
    const known = this.snapshot.adapters.get(engineName);
    if (known === undefined || known.record !== null) return known?.record ?? null;
    // A name stands for one digest, so what was loaded under it tells as much.
    for (const { places } of this.replicas.values()) {
      const place = places.get(engineName);
      if (place !== undefined) return place.record;
    }
    return null;
  }

  isPublished(engineName: string): boolean {
    return this.snapshot.adapters.has(engineName);
  }

  isPinned(engineName: string): boolean {
    return this.snapshot.adapters.get(engineName)?.published.isPinned ?? false;
  }

  /** May not be pushed out for another one. */
  isFixed(engineName: string): boolean {
    return this.isPinned(engineName) || this.keptTargets(engineName) !== null;
  }

  keep(record: AdapterRecord, targets: Targets): Keep {
    const keep = { record, targets };
    this.#keeps.add(keep);
    return keep;
  }

  /** False when it was given up already. */
  giveUp(keep: Keep): boolean {
    return this.#keeps.delete(keep);
  }

  /** Where publishers need it; null: none does. */
  keptTargets(engineName: string): 'one' | ReadonlySet<string> | null {
    const keeps = [...this.#keeps].filter(({ record }) => engineNameOf(record) === engineName);
    if (keeps.length === 0) return null;
    const names = keeps.flatMap(({ targets }) => (targets === 'one' ? [] : targets));
    return names.length === 0 && keeps.some(({ targets }) => targets === 'one') ? 'one' : new Set(names);
  }

  keptRecords(): readonly AdapterRecord[] {
    return [...this.#keeps].map(({ record }) => record);
  }

  /** All that an engine may rightly hold, as it is addressed there. */
  addresses(kept: KeptReplica): ReadonlyMap<string, AdapterAddress> {
    const known = new Map<string, AdapterAddress>();
    for (const [engineName, { record }] of this.snapshot.adapters)
      if (record !== null) known.set(engineName, this.#address(record, kept));
    for (const record of this.keptRecords()) known.set(engineNameOf(record), this.#address(record, kept));
    for (const { engineName, address } of kept.places.values()) known.set(engineName, address);
    return known;
  }

  /** A place for an adapter that has none here. */
  newPlace(kept: KeptReplica, record: AdapterRecord): Place {
    const place = new Place(record, this.#address(record, kept));
    kept.places.set(place.engineName, place);
    return place;
  }

  /** What had failed may be tried at once. */
  startAfresh(engineName: string): void {
    for (const { places } of this.connected()) {
      const place = places.get(engineName);
      if (place?.stage === 'failed') place.move('gone', null);
      if (place?.stage === 'gone') places.delete(engineName);
    }
  }

  /** Places that say nothing any more: of what is gone without trouble, and of what nobody publishes. */
  forgetGone(): void {
    for (const { places } of this.connected())
      for (const [engineName, { stage, setbacks }] of places) {
        const isOver = stage === 'gone' || stage === 'failed';
        const isPlain = stage === 'gone' && setbacks === 0;
        if (isPlain || (isOver && this.record(engineName) === null)) places.delete(engineName);
        else if (isOver && !this.isPublished(engineName) && this.keptTargets(engineName) === null)
          places.delete(engineName);
      }
  }

  views(): readonly ReplicaView[] {
    const up = this.connected().map((kept) => kept.view((engineName) => this.isPinned(engineName)));
    const down = [...this.down].map(([engine, { base }]) => ({
      engine,
      base,
      isUp: false,
      slots: null,
      slotsUsed: 0,
      bytes: 0,
      bytesMax: null,
      swapsLastMinute: 0,
      isThrashing: false,
      adapters: [],
    }));
    return [...up, ...down].sort((a, b) => (a.engine < b.engine ? -1 : 1));
  }

  /** What the plan must know of: what is somewhere, should be somewhere, or is wanted. */
  planned(demands: Demands): readonly PlanAdapter[] {
    const names = new Set(demands.wanted);
    for (const kept of this.connected()) {
      for (const engineName of kept.places.keys()) names.add(engineName);
      for (const engineName of kept.restores) names.add(engineName);
    }
    for (const [engineName, { published, isTagged }] of this.snapshot.adapters)
      if (isTagged || published.isPinned) names.add(engineName);
    for (const record of this.keptRecords()) names.add(engineNameOf(record));
    return [...names].flatMap((engineName) => {
      const record = this.record(engineName);
      if (record === null) return [];
      const known = this.snapshot.adapters.get(engineName);
      return [
        {
          engineName,
          base: record.base,
          rank: record.rank,
          bytes: bytesOf(record),
          isPublished: known !== undefined,
          isPinned: known?.published.isPinned ?? false,
          isTagged: known?.isTagged ?? false,
          kept: this.keptTargets(engineName),
          demand: demands.of(engineName),
        },
      ];
    });
  }

  #address(record: AdapterRecord, kept: KeptReplica): AdapterAddress {
    return addressOf(record, this.#directory, kept.replica.artefactRoot);
  }
}

/** Whether adapters come by a call at all; else only what it was started with is there. */
export function loadsByCall(replica: AdapterReplica): boolean {
  return replica.engine.traits.loads !== 'start';
}

/** Which of the two files an engine holds is its own business; the larger one is the safe figure. */
export function bytesOf(record: AdapterRecord): number {
  return Math.max(record.bytes, record.ggufBytes);
}
