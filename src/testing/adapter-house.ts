/** A gateway's keeping of adapters over engines that are doubles, on a clock of its own: for tests of residency and publish. */

import { Publisher } from '../adapters/publish.ts';
import { Residency, type ResidencyParts } from '../adapters/residency.ts';
import { type AdapterRecord, adapterId } from '../core/adapter.ts';
import type { AdapterEvent } from '../core/adapter-event.ts';
import type { Logger } from '../core/runtime.ts';
import { SeededRandom } from '../planning/seeded-random.ts';
import { VirtualClock } from '../planning/virtual-clock.ts';
import { silentLogger } from '../telemetry/log.ts';
import { AdapterEngine, type AdapterEngineOptions } from './adapter-engine.ts';
import { anAdapter } from './adapter-store-conformance.ts';
import { MemoryAdapterStore } from './memory-adapter-store.ts';

export interface AdapterHouseOptions {
  readonly engines: readonly AdapterEngineOptions[];
  readonly options?: Partial<ResidencyParts['options']>;
  readonly seed?: string;
  readonly log?: Logger;
  /** One that several gateways share. */
  readonly store?: MemoryAdapterStore;
  readonly clock?: VirtualClock;
}

const never = new AbortController().signal;

export class AdapterHouse implements AsyncDisposable {
  readonly store: MemoryAdapterStore;
  readonly clock: VirtualClock;
  readonly residency: Residency;
  readonly publisher: Publisher;
  readonly engines: readonly AdapterEngine[];
  readonly events: AdapterEvent[] = [];
  /** What was logged as an error, which is never a fault of an engine. */
  readonly broken: string[] = [];

  constructor(settings: AdapterHouseOptions) {
    const random = new SeededRandom(settings.seed ?? 'house');
    this.store = settings.store ?? new MemoryAdapterStore();
    this.clock = settings.clock ?? new VirtualClock({ random, latenessMaxMs: 1, remembersSetters: false });
    const log = settings.log ?? { ...silentLogger, error: (event: string) => void this.broken.push(event) };
    const parts = { store: this.store, clock: this.clock, log };
    const options = {
      loadsAtOnce: 1,
      loadAttempts: 3,
      swapsPerMinuteMax: 60,
      pollMs: 2_000,
      ...settings.options,
    };
    this.residency = new Residency({
      ...parts,
      random,
      options,
      directory: '/adapters',
      onEvent: (event) => this.events.push(event),
    });
    this.publisher = new Publisher({ ...parts, residency: this.residency, options });
    this.engines = settings.engines.map((options) => new AdapterEngine(options, this.clock));
  }

  /** Lets virtual time pass until the promise has settled. Fails when nothing is left that could settle it. */
  async settle<T>(promise: Promise<T>, atMostMs = 3_600_000): Promise<T> {
    let isOver = false;
    const end = () => {
      isOver = true;
    };
    promise.then(end, end);
    const how = await this.clock.run(() => isOver, atMostMs);
    if (how !== 'over') throw new Error(`nothing happens any more (${how})`);
    return await promise;
  }

  async pass(durationMs: number): Promise<void> {
    await this.clock.run(() => false, durationMs);
  }

  /** Starts the keeper and connects every engine. */
  async open(): Promise<this> {
    await this.residency.start();
    for (const engine of this.engines) await this.settle(this.residency.replicaUp(engine.replica(), never));
    return this;
  }

  /** Registers one whose digest is of its id. */
  async add(id: string, changes: Partial<AdapterRecord> = {}): Promise<AdapterRecord> {
    const record = aRecord(id, changes);
    await this.store.add(record);
    return record;
  }

  async publish(id: string, options: Parameters<Publisher['publish']>[1] = {}): Promise<void> {
    const [name = '', version = ''] = id.split('@');
    await this.settle(this.publisher.publish({ name, version }, options, () => {}, never));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.residency[Symbol.asyncDispose]();
  }
}

export function aRecord(id: string, changes: Partial<AdapterRecord> = {}): AdapterRecord {
  const digest = [...adapterId(anAdapter(id))]
    .map((letter) => letter.charCodeAt(0).toString(16))
    .reverse()
    .join('')
    .padEnd(64, '0');
  return anAdapter(id, { digest, base: 'base', bytes: 1_000, ggufBytes: 1_000, ...changes });
}
