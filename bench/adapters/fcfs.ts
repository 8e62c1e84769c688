/**
 * The rival: adapters as engines keep them by themselves. Lines get slots in the order in which they came; one whose adapter
 * finds no slot is passed over and waits (vLLM's scheduler: `scheduled_loras` full; SGLang #13349), the least lately used
 * adapter without a running line goes, loads are done one after the other. Nobody weighs what a load costs the others, no
 * adapter has a right to stay, and every line waits for its own. With as many slots as adapters it is "all resident".
 */
import type {
  AdapterAbsence,
  AdapterAddress,
  AdapterKeeper,
  AdapterLease,
  EngineAdapters,
  ResolvedAdapter,
} from '../../src/core/adapter.ts';

export interface KnownAdapter {
  readonly resolved: ResolvedAdapter;
  readonly address: AdapterAddress;
}

interface Slot {
  readonly known: KnownAdapter;
  isLoaded: boolean;
  /** Lines that speak with it, or were just told that they may. */
  holds: number;
  lastUse: number;
}

interface Waiting {
  readonly known: KnownAdapter;
  readonly settle: (error: unknown) => void;
}

export interface FirstComeParts {
  readonly engine: EngineAdapters;
  readonly slots: number;
  /** By reference. */
  readonly known: ReadonlyMap<string, KnownAdapter>;
}

export class FirstComeKeeper implements AdapterKeeper, AsyncDisposable {
  readonly #parts: FirstComeParts;
  readonly #slots = new Map<string, Slot>();
  #queue: Waiting[] = [];
  readonly #ending = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #isMoving = false;
  #uses = 0;
  loads = 0;

  constructor(parts: FirstComeParts) {
    this.#parts = parts;
  }

  /** Loads the first adapters, as many as there are slots. */
  async fill(): Promise<void> {
    for (const known of [...this.#parts.known.values()].slice(0, this.#parts.slots)) {
      await this.#parts.engine.load(known.address, this.#ending.signal);
      this.#slots.set(known.resolved.engineName, { known, isLoaded: true, holds: 0, lastUse: 0 });
    }
  }

  resolve(reference: string): ResolvedAdapter | AdapterAbsence {
    return this.#parts.known.get(reference)?.resolved ?? 'unknown';
  }

  /** Waits as long as it takes. Whoever is told that it is there must lease it at once. */
  want(
    adapter: ResolvedAdapter,
    _replicas: readonly string[],
    _wish: unknown,
    signal: AbortSignal,
  ): Promise<null> {
    const known = this.#parts.known.get(adapter.id.split('@')[0] ?? '');
    if (known === undefined) return Promise.reject(new Error(`${adapter.id} is not known`));
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        known,
        settle: (error) => {
          signal.removeEventListener('abort', onAbort);
          if (error === null) resolve(null);
          else reject(error as Error);
        },
      };
      const onAbort = () => {
        this.#queue = this.#queue.filter((each) => each !== waiting);
        waiting.settle(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(waiting);
      this.#move();
    });
  }

  lease(adapter: ResolvedAdapter, _replica: string): AdapterLease | null {
    const slot = this.#slots.get(adapter.engineName);
    if (slot === undefined || slot.holds === 0) return null;
    let isHeld = true;
    return {
      address: slot.known.address,
      adapter,
      lost: () => {},
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        slot.holds -= 1;
        this.#move();
      },
    };
  }

  /** Unloads everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new Error('the keeper has ended'));
    await this.#work;
    for (const { settle } of this.#queue.splice(0)) settle(new Error('the keeper has ended'));
    const { signal } = new AbortController();
    for (const { known } of this.#slots.values()) await this.#parts.engine.unload(known.address, signal);
  }

  /** Lets in whoever finds their adapter, then begins the first load that finds a slot. */
  #move(): void {
    if (this.#ending.signal.aborted) return;
    const left: Waiting[] = [];
    for (const waiting of this.#queue) {
      const slot = this.#slots.get(waiting.known.resolved.engineName);
      if (slot?.isLoaded !== true) {
        left.push(waiting);
        continue;
      }
      slot.holds += 1;
      slot.lastUse = ++this.#uses;
      waiting.settle(null);
    }
    this.#queue = left;
    if (this.#isMoving) return;
    const next = left.find(({ known }) => !this.#slots.has(known.resolved.engineName));
    if (next === undefined) return;
    const isFull = this.#slots.size >= this.#parts.slots;
    const victim = isFull ? this.#leastLatelyUsed() : null;
    if (isFull && victim === null) return;
    this.#isMoving = true;
    this.#work = this.#bring(next.known, victim)
      .catch((error: unknown) => {
        if (!this.#ending.signal.aborted) next.settle(error);
        this.#queue = this.#queue.filter((each) => each !== next);
      })
      .finally(() => {
        this.#isMoving = false;
        this.#move();
      });
  }

  #leastLatelyUsed(): Slot | null {
    const idle = [...this.#slots.values()].filter(({ holds }) => holds === 0);
    return idle.sort((a, b) => a.lastUse - b.lastUse)[0] ?? null;
  }

  async #bring(known: KnownAdapter, victim: Slot | null): Promise<void> {
    const { signal } = this.#ending;
    const slot: Slot = { known, isLoaded: false, holds: 0, lastUse: ++this.#uses };
    if (victim !== null) this.#slots.delete(victim.known.resolved.engineName);
    this.#slots.set(known.resolved.engineName, slot);
    try {
      if (victim !== null) await this.#parts.engine.unload(victim.known.address, signal);
      await this.#parts.engine.load(known.address, signal);
      slot.isLoaded = true;
      this.loads += 1;
    } catch (error) {
      this.#slots.delete(known.resolved.engineName);
      throw error;
    }
  }
}
