/**
 * An engine that really knows which weights stand behind which name, so that a test can ask whether a lease gives what it
 * promises. It does what real ones do: takes its time, refuses, says that it has loaded what it has not, puts another's
 * weights into a slot, forgets everything when it dies, and goes on loading after the caller has left.
 */

import type { AdapterReplica } from '../adapters/replica.ts';
import { hash32 } from '../cast/seeded.ts';
import type {
  AdapterAddress,
  AdapterCapacity,
  AdapterTraits,
  EngineAdapters,
  HeldAdapters,
} from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';

/** What the next load does. */
export type LoadFault =
  | 'refused'
  | 'refused for good'
  | 'answers as base'
  | 'answers as other'
  | 'hangs'
  | 'slow';

const WORDS = ['ash', 'bone', 'crypt', 'dusk', 'ember', 'frost', 'grave', 'howl', 'iron', 'jaw'] as const;
const OUR_NAME = /^[a-z0-9._-]+@[A-Za-z0-9._-]+-[0-9a-f]{8}$/;

export interface AdapterEngineOptions {
  readonly name: string;
  readonly base?: string;
  readonly slots: number;
  readonly loadMs?: number;
  readonly traits?: Partial<AdapterTraits>;
  readonly limits?: Partial<AdapterReplica['limits']>;
}

export class AdapterEngine implements EngineAdapters {
  readonly traits: AdapterTraits;
  /** Engine name → digest of the weights that answer to it; null: the base's. */
  readonly weights = new Map<string, string | null>();
  readonly faults: LoadFault[] = [];
  readonly unloadFaults: 'refused'[] = [];
  readonly loads: string[] = [];
  readonly unloads: string[] = [];
  foreign = 0;
  isDead = false;
  /** Whatever is asked of the base is answered by the adapter loaded last: vLLM's fault on the processor, at its worst. */
  mixesIntoBase = false;
  /** Loads that found no slot: somebody counted wrong. */
  roomless = 0;
  /** Rises when the process ends: what it was doing ends with it. */
  #life = 0;
  resident: ReadonlySet<string> = new Set();
  /** Called before the weights of a name are given up. */
  onUnload: (engineName: string) => void = () => {};
  readonly #options: AdapterEngineOptions;
  readonly #clock: Clock;

  constructor(options: AdapterEngineOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.traits = {
      loads: 'call',
      unloads: 'call',
      mixesInBatch: true,
      isCacheIsolated: true,
      stallsWhileLoading: false,
      ...options.traits,
    };
  }

  /** A new connection to it. */
  replica(): AdapterReplica {
    const { name, base = 'base', limits } = this.#options;
    return {
      name,
      base,
      scope: `double/${base}`,
      engine: this,
      limits: { slots: null, rankMax: null, bytesMax: null, ...limits },
      artefactRoot: null,
      probe: async (prompt, adapter) => {
        await this.#answer();
        return this.speak(prompt, adapter?.engineName ?? null);
      },
      setResident: (engineNames) => {
        this.resident = engineNames;
      },
    };
  }

  /** The greedy answer. Throws when the name is not loaded. */
  speak(prompt: string, engineName: string | null): string {
    const digest = engineName === null ? null : this.weights.get(engineName);
    if (digest === undefined)
      throw new ServiceError('unknown_adapter', `${this.#options.name} has no ${engineName ?? ''}`);
    const mixed = this.mixesIntoBase && engineName === null ? [...this.weights.values()].at(-1) : null;
    const voice = digest ?? mixed ?? 'base';
    return Array.from({ length: 6 }, (_, index) => WORDS[hash32(`${voice}/${prompt}/${index}`) % 10]).join(
      ' ',
    );
  }

  /** The process dies: what it held is gone, and it answers nobody until it is revived. */
  die(): void {
    this.isDead = true;
    this.#life += 1;
    this.weights.clear();
  }

  revive(): void {
    this.isDead = false;
  }

  async capacity(): Promise<AdapterCapacity> {
    await this.#answer();
    return { slots: this.#options.slots, rankMax: 64 };
  }

  async load(adapter: AdapterAddress, signal: AbortSignal): Promise<void> {
    const fault = this.faults.shift();
    const { engineName } = adapter;
    const life = this.#life;
    await this.#answer();
    if (this.weights.has(engineName)) return;
    this.loads.push(engineName);
    if (fault === 'refused') throw new ServiceError('adapter_failed', 'refused: bad rank');
    if (fault === 'refused for good')
      throw new ServiceError('adapter_failed', 'refused: no such file', { details: { isPermanent: true } });
    if (fault === 'hangs') await this.#clock.sleep(1_000_000, signal);
    const ms = (this.#options.loadMs ?? 0) * (fault === 'slow' ? 20 : 1);
    // It goes on when the caller has left.
    if (ms > 0) await this.#clock.sleep(ms, new AbortController().signal);
    await this.#answer(life);
    if (this.weights.has(engineName)) return;
    const isFull = this.weights.size + this.foreign >= this.#options.slots;
    if (isFull) this.roomless += 1;
    if (isFull)
      throw new ServiceError(
        'no_room',
        `${this.weights.size + this.foreign} of ${this.#options.slots} slots`,
      );
    const digest = adapter.path.split('/').at(-1) ?? '';
    const other = [...this.weights.values()].find((each) => each !== digest && each !== null);
    const isLie = fault === 'answers as base' || fault === 'answers as other';
    this.weights.set(engineName, isLie ? (fault === 'answers as other' ? (other ?? null) : null) : digest);
  }

  async unload({ engineName }: Pick<AdapterAddress, 'engineName'>): Promise<void> {
    await this.#answer();
    if (this.unloadFaults.shift() !== undefined) throw new ServiceError('adapter_failed', 'unload refused');
    if (!this.weights.has(engineName)) return;
    this.onUnload(engineName);
    this.unloads.push(engineName);
    this.weights.delete(engineName);
  }

  async list(known: readonly AdapterAddress[]): Promise<HeldAdapters> {
    await this.#answer();
    const names = new Set(known.map(({ engineName }) => engineName));
    const held = [...this.weights.keys()];
    return {
      held: held.filter((name) => names.has(name)),
      stale: held.filter((name) => !names.has(name) && OUR_NAME.test(name)),
      foreign: this.foreign,
    };
  }

  async #answer(life = this.#life): Promise<void> {
    await Promise.resolve();
    if (this.isDead || life !== this.#life)
      throw new ServiceError('engine_unavailable', `${this.#options.name} is dead`);
  }
}
