/**
 * The adapters in memory: what loads, what serves by its name, what drains. One load is one instance with a number of its
 * own, so that nothing computed under it is ever taken for another's, whatever the names. Loading reads and checks beside
 * the loop; only llama.cpp's part runs in it, between two passes. An instance is freed there too, when its last line ended.
 *
 *     loading ──▶ serving ──unload──▶ draining ──last line ended──▶ freed
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import type { BaseTensors, CheckedAdapter } from './adapter-file.ts';
import { checkAdapterFile, readBaseTensors } from './adapter-file.ts';
import type { LineAdapter } from './line.ts';
import type { Lora } from './llama/lora.ts';

/** The loop, as far as adapters need it. */
export interface AdapterLoop {
  between<T>(work: () => Promise<T>): Promise<T>;
  forgetAdapter(id: number): void;
}

export interface AdaptersOptions {
  readonly modelName: string;
  readonly modelPath: string;
  readonly adapterSlots: number;
  readonly adapterRankMax: number;
}

export interface AdapterParts {
  readonly loop: AdapterLoop;
  readonly loadLora: (file: string) => Promise<Lora>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An adapter that serves. */
export interface ServingAdapter {
  readonly name: string;
  /** As it was given to `load`. */
  readonly path: string;
  readonly bytes: number;
  readonly rank: number;
  readonly id: number;
  /** Epoch milliseconds. */
  readonly loadedAtMs: number;
}

/** Keeps what a request runs on from being freed. */
export interface AdapterLease extends Disposable {
  readonly name: string;
  readonly adapter: LineAdapter | null;
}

interface Instance extends ServingAdapter {
  readonly line: LineAdapter;
  leases: number;
  /** Called when the last lease of a draining instance ends. */
  onIdle: (() => void) | null;
}

export class Adapters implements AsyncDisposable {
  readonly #options: AdaptersOptions;
  readonly #parts: AdapterParts;
  readonly #serving = new Map<string, Instance>();
  readonly #loading = new Set<string>();
  readonly #draining = new Set<Instance>();
  #base: Promise<BaseTensors> | null = null;
  #lastId = 0;

  constructor(options: AdaptersOptions, parts: AdapterParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** Those that serve, in the order of loading. What loads or drains is not among them. */
  get serving(): readonly ServingAdapter[] {
    return [...this.#serving.values()];
  }

  /** Every instance whose weights are in memory. */
  get inMemory(): readonly ServingAdapter[] {
    return [...this.#serving.values(), ...this.#draining];
  }

  /**
   * What `model` of a request stands for: null or the base's name, or an adapter's. Throws `unknown_model`. The instance
   * stays until the lease is disposed.
   */
  lease(model: string | null): AdapterLease {
    const { modelName } = this.#options;
    if (model === null || model === modelName)
      return { name: modelName, adapter: null, [Symbol.dispose]: () => {} };
    const instance = this.#serving.get(model);
    if (instance === undefined) {
      const names = [modelName, ...this.#serving.keys()].slice(0, 8).map((each) => `\`${each}\``);
      throw new ServiceError(
        'unknown_model',
        `The model \`${model}\` does not exist; this engine has ${names.join(', ')}${this.#serving.size > 7 ? ', …' : ''}.`,
      );
    }
    instance.leases += 1;
    let isHeld = true;
    return {
      name: instance.name,
      adapter: instance.line,
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        instance.leases -= 1;
        if (instance.leases === 0) instance.onIdle?.();
      },
    };
  }

  /**
   * Loads the adapter at `path` (a GGUF file, or a folder with adapter.gguf) under a name that is free. Resolves when lines
   * can run on it. Throws `bad_request` when the name is taken, `no_room` when the slots are full, `not_found`,
   * `adapter_invalid`, `adapter_incompatible`, `adapter_failed`, `out_of_memory`. Aborting gives it up until llama.cpp has begun.
   */
  async load(name: string, path: string, signal: AbortSignal): Promise<ServingAdapter> {
    this.#checkName(name);
    this.#checkSlots();
    this.#loading.add(name);
    const startedMs = this.#parts.clock.monotonicMs();
    try {
      const checked = await checkAdapterFile(
        path,
        await this.#baseOnce(),
        this.#options.adapterRankMax,
        signal,
      );
      const lora = await this.#parts.loop.between(() => {
        signal.throwIfAborted();
        return this.#parts.loadLora(checked.file);
      });
      const instance = this.#enter(name, path, checked, lora);
      this.#parts.log.info('engine.adapter_loaded', {
        adapter: name,
        rank: checked.rank,
        bytes: checked.bytes,
        totalBytes: this.inMemory.reduce((sum, each) => sum + each.bytes, 0),
        slots: this.#options.adapterSlots,
        used: this.inMemory.length,
        loadMs: Math.round(this.#parts.clock.monotonicMs() - startedMs),
      });
      return instance;
    } finally {
      this.#loading.delete(name);
    }
  }

  /**
   * Takes the name away at once, lets the lines that run or wait on it end, and resolves when its memory is free. Throws
   * `unknown_adapter`. A caller that leaves changes nothing.
   */
  async unload(name: string): Promise<void> {
    const instance = this.#serving.get(name);
    if (instance === undefined)
      throw new ServiceError('unknown_adapter', `The lora adapter '${name}' cannot be found.`);
    this.#serving.delete(name);
    this.#draining.add(instance);
    const startedMs = this.#parts.clock.monotonicMs();
    const { leases } = instance;
    if (leases > 0)
      await new Promise<void>((resolve) => {
        instance.onIdle = resolve;
      });
    await this.#parts.loop.between(async () => {
      this.#parts.loop.forgetAdapter(instance.id);
      await instance.line.lora[Symbol.asyncDispose]();
    });
    this.#draining.delete(instance);
    this.#parts.log.info('engine.adapter_unloaded', {
      adapter: name,
      bytes: instance.bytes,
      waitedForLines: leases,
      unloadMs: Math.round(this.#parts.clock.monotonicMs() - startedMs),
    });
  }

  #checkName(name: string): void {
    if (name === this.#options.modelName)
      throw new ServiceError(
        'bad_request',
        `lora_name: '${name}' is the base model's name; choose another for the adapter`,
      );
    if (this.#serving.has(name))
      throw new ServiceError(
        'bad_request',
        `The lora adapter '${name}' has already been loaded. A name is never loaded with other weights: unload it first, or choose a new name.`,
      );
    if (this.#loading.has(name))
      throw new ServiceError('bad_request', `The lora adapter '${name}' is being loaded by another request.`);
  }

  #checkSlots(): void {
    const { adapterSlots } = this.#options;
    const used = this.#serving.size + this.#draining.size + this.#loading.size;
    if (used < adapterSlots) return;
    const what = `${this.#serving.size} serve, ${this.#loading.size} are loading, ${this.#draining.size} are leaving`;
    // Not 400: to whoever keeps adapters that says that this one will never be taken.
    throw new ServiceError(
      'no_room',
      `All ${adapterSlots} adapter slots are taken (${what}); unload one or raise adapterSlots`,
      { details: { used, adapterSlots } },
    );
  }

  /** A failure to read it is not kept: the file may be back later. */
  #baseOnce(): Promise<BaseTensors> {
    // Not the first caller's signal: others wait for the same reading.
    this.#base ??= readBaseTensors(this.#options.modelPath, new AbortController().signal).catch(
      (error: unknown) => {
        this.#base = null;
        throw error;
      },
    );
    return this.#base;
  }

  #enter(name: string, path: string, checked: CheckedAdapter, lora: Lora): Instance {
    this.#lastId += 1;
    const instance: Instance = {
      name,
      path,
      bytes: checked.bytes,
      rank: checked.rank,
      id: this.#lastId,
      loadedAtMs: this.#parts.clock.nowMs(),
      line: { id: this.#lastId, lora },
      leases: 0,
      onIdle: null,
    };
    this.#serving.set(name, instance);
    return instance;
  }

  /** Frees all. The loop has ended and the context is gone: nothing can use them. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const instance of [...this.#serving.values(), ...this.#draining])
      await instance.line.lora[Symbol.asyncDispose]();
    this.#serving.clear();
    this.#draining.clear();
  }
}
