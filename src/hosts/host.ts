/**
 * What runs for one engine of the configuration: its connection, its warm-up, its watch. An engine is usable only after
 * it spoke a real line, and only while lines come; a green health page proves nothing (engines.md §14.7).
 *
 *     fetching → loading → warming → ready ⇄ restarting          failed: said with its reason, and tried again
 */
import type { AdapterReplica } from '../adapters/replica.ts';
import type { AdapterCapacity } from '../core/adapter.ts';
import type { Engine, EngineProbe, GenerateRequest, TokenCounter } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Logger, Runtime } from '../core/runtime.ts';
import type { Transport } from '../core/transport.ts';
import type { Driver } from '../engines/driver.ts';
import type { TransportOptions } from '../engines/transport.ts';
import { linkSignals } from '../lib/abort.ts';
import type { TaskGroup } from '../lib/async.ts';
import type { ModelProgress } from '../models/progress.ts';
import { Admission } from '../routing/admission.ts';
import { CanaryWatch } from '../routing/canary.ts';
import type { CanaryOptions } from '../routing/options.ts';
import { Replica, type ReplicaSettings } from '../routing/replica.ts';
import { boundedCounter } from './bounded-counter.ts';
import { answerTo, dummyLine, speakDummyLine } from './dummy-line.ts';

export interface HostState {
  readonly stage: 'starting' | 'fetching' | 'loading' | 'warming' | 'ready' | 'restarting' | 'failed';
  /** For people: `fetching 41 %`, or why it failed. */
  readonly detail: string;
  readonly percent?: number;
}

/** Who is told of engines that take adapters. */
export interface AdapterReplicas {
  /**
   * The engine speaks; resolves when what was resident, or should be, is loaded and verified, as far as the signal lets it.
   * Called again for an engine that may have been started anew.
   */
  replicaUp(replica: AdapterReplica, signal: AbortSignal): Promise<void>;
  /** Its connection is gone, and with it whatever was loaded. */
  replicaDown(name: string): void;
}

export interface HostParts {
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly tasks: TaskGroup;
  /** Opens a connection to an engine. */
  readonly connect: (options: TransportOptions) => Transport;
  /** Folder that paths of the configuration are relative to. */
  readonly directory: string;
  readonly routing: Pick<ReplicaSettings, 'breaker' | 'cooldown' | 'pace'> & {
    readonly canary: CanaryOptions;
  };
  /** The prompts that were used most lately; what they share is read in before players come. */
  readonly warmPrompts: () => readonly GenerateRequest['messages'][];
  readonly adapters: AdapterReplicas;
  readonly onModelProgress: (progress: ModelProgress) => void;
  readonly onModelNotice: (message: string) => void;
  readonly onRestart: (engine: string) => void;
}

export interface HostSettings {
  readonly name: string;
  /** As the configuration writes it: `embedded` speaks vLLM's wire and is not called so. */
  readonly kind: string;
  readonly model: string;
  readonly modelVersion: string | null;
  /** Prompt and answer together, in tokens; null: the engine is asked. */
  readonly contextTokens: number | null;
  readonly isPaid: boolean;
  readonly origin: string | null;
  /** Whether `/v1/chat/completions` may be passed to it as it came. */
  readonly relaysOpenAi: boolean;
  readonly admission: ReplicaSettings['admission'];
  /** The base model of its adapters; engines of one base share them. */
  readonly base: string;
  readonly adapterLimits: AdapterCapacity & { readonly bytesMax: number | null };
  /** Where the engine sees the staged artefacts; null: where we see them. */
  readonly artefactRoot: string | null;
  readonly createDriver: (transport: () => Transport) => Driver;
}

/** Waits between tries of a fetch or a warm-up that failed: doubling up to the second figure (ms). */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;
/** A cold small model on a busy laptop needs some seconds for its first line. */
const WARM_UP_TIMEOUT_MS = 60_000;
const WARM_UP_TOKENS = 12;
const SHORT_CONNECTIONS = 16;
/** Loading tens of gigabytes from a slow disk, where the engine loads when it is asked to. */
const PREPARE_TIMEOUT_MS = 600_000;
/** Persona prefixes are read in at most so long: a player who waits is worth more than a warm cache. */
const WARM_PREFIXES_MS = 10_000;
/** Adapters are loaded again for at most so long before the engine takes players; what is late comes while it speaks. */
const RESTORE_ADAPTERS_MS = 15_000;
/** Questions beside the lines: version, models, load. */
const QUESTION_TIMEOUT_MS = 5_000;

export class Host implements AsyncDisposable {
  readonly name: string;
  readonly kind: string;
  readonly model: string;
  /** The base model of its adapters. */
  readonly base: string;
  readonly takesAdapters: boolean;
  readonly relaysOpenAi: boolean;
  readonly replica: Replica;
  /** Places for short unary work, beside those for generation. */
  readonly shortAdmission: Admission;
  readonly counter: TokenCounter;
  readonly probe: EngineProbe;
  readonly #parts: HostParts;
  readonly #engine: Engine;
  readonly #prepare: NonNullable<Driver['prepare']> | null;
  readonly #isPaid: boolean;
  readonly #adapterReplica: AdapterReplica | null;
  #transport: Transport | null = null;
  #shortTransport: Transport | null = null;
  #state: HostState = { stage: 'starting', detail: 'starting' };
  #ended = false;
  /** Rises with every new connection, so that the warm-up of an old one changes nothing. */
  #generation = 0;
  version: string | null = null;
  restarts = 0;
  pid: number | null = null;
  /** The model's file or folder, once it is here; null for a server that has its own. */
  modelFile: { readonly path: string; readonly sha256: string | null } | null = null;
  stopProcess: (() => Promise<void>) | null = null;

  constructor(settings: HostSettings, parts: HostParts) {
    this.name = settings.name;
    this.kind = settings.kind;
    this.model = settings.model;
    this.base = settings.base;
    this.relaysOpenAi = settings.relaysOpenAi;
    this.#parts = parts;
    this.#isPaid = settings.isPaid;
    const driver = settings.createDriver(() => this.transport());
    this.#engine = driver.engine;
    this.#prepare = driver.prepare ?? null;
    this.probe = driver.probe;
    this.counter = boundedCounter(driver.counter, parts.runtime.clock);
    this.replica = new Replica(
      { ...settings, ...parts.routing, engine: driver.engine, counter: this.counter },
      parts.runtime,
    );
    this.takesAdapters = driver.adapters !== undefined;
    this.#adapterReplica =
      driver.adapters === undefined
        ? null
        : {
            name: settings.name,
            base: settings.base,
            scope: `${settings.kind}/${settings.model}`,
            engine: driver.adapters,
            limits: settings.adapterLimits,
            artefactRoot: settings.artefactRoot,
            probe: (prompt, adapter, maxTokens, signal) =>
              answerTo(driver.engine, settings.model, { prompt, adapter, maxTokens }, signal),
            setResident: (engineNames) => {
              this.replica.residentAdapters = engineNames;
            },
          };
    this.shortAdmission = new Admission(
      { engine: settings.name, maxInFlight: SHORT_CONNECTIONS, maxQueued: settings.admission.maxQueued },
      parts.runtime,
    );
  }

  /** Whether it was disposed: what a background task was about to start must not start any more. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  get state(): HostState {
    return this.#state;
  }

  /** The connection now. Throws `not_ready` while there is none. */
  transport(): Transport {
    if (this.#transport !== null) return this.#transport;
    throw new ServiceError('not_ready', `engine ${this.name} is not there: ${this.#state.detail}`);
  }

  set(state: HostState): void {
    if (state.stage !== this.#state.stage)
      this.#parts.log.info('engine.stage', { engine: this.name, stage: state.stage, detail: state.detail });
    this.#state = state;
    this.replica.setReady(state.stage === 'ready');
  }

  /** Connections of its own for short unary work, which must not wait behind generation. Throws as `transport`. */
  shortTransport(): Transport {
    if (this.#shortTransport !== null) return this.#shortTransport;
    return this.transport();
  }

  /** Takes an address (or none), warms the engine up before any player meets it, and watches it from then on. */
  connect(address: TransportOptions | null): void {
    this.#generation += 1;
    if (this.#adapterReplica !== null) this.#parts.adapters.replicaDown(this.name);
    for (const old of [this.#transport, this.#shortTransport])
      if (old !== null)
        this.#parts.tasks.tryStart('close-transport', () => Promise.resolve(old[Symbol.asyncDispose]()));
    const { connect } = this.#parts;
    this.#transport = address === null ? null : connect(address);
    this.#shortTransport = address === null ? null : connect({ ...address, connections: SHORT_CONNECTIONS });
    if (address === null || this.#ended) return;
    const generation = this.#generation;
    const isStale = () => generation !== this.#generation || this.#ended;
    this.#parts.tasks.tryStart('engine', async (signal) => {
      this.set({ stage: 'warming', detail: 'warming' });
      await this.untilDone('warm-up', signal, isStale, () => this.#warmUp(signal, isStale));
      if (!signal.aborted) await this.#watch(signal, isStale);
    });
  }

  /** Runs `work` until it succeeds, with growing waits. */
  async untilDone(
    what: string,
    signal: AbortSignal,
    isStale: () => boolean,
    work: () => Promise<void>,
  ): Promise<void> {
    const { clock } = this.#parts.runtime;
    for (
      let waitMs = RETRY_FIRST_MS;
      !signal.aborted && !isStale();
      waitMs = Math.min(RETRY_MAX_MS, waitMs * 2)
    ) {
      try {
        await work();
        return;
      } catch (error) {
        if (signal.aborted || isStale()) return;
        const { message } = ServiceError.from(error);
        this.set({ stage: 'failed', detail: `${what}: ${message}` });
        this.#parts.log.warn('engine.retry', { engine: this.name, what, reason: message, waitMs });
        await clock.sleep(waitMs, signal).catch(() => {});
      }
    }
  }

  async #warmUp(signal: AbortSignal, isStale: () => boolean): Promise<void> {
    const { clock } = this.#parts.runtime;
    const startedMonoMs = clock.monotonicMs();
    const prepare = this.#prepare;
    if (prepare !== null) await this.#within(PREPARE_TIMEOUT_MS, signal, (within) => prepare(within));
    await this.#within(WARM_UP_TIMEOUT_MS, signal, (within) => this.#prove(WARM_UP_TOKENS, within));
    if (!this.#isPaid) await this.#warmPrefixes(signal);
    if (isStale()) return;
    await this.#restoreAdapters(signal);
    if (isStale()) return;
    await this.#introduce(signal);
    if (isStale()) return;
    this.set({ stage: 'ready', detail: 'ready' });
    this.#parts.log.info('engine.warm', {
      engine: this.name,
      version: this.version,
      warmUpMs: Math.round(clock.monotonicMs() - startedMonoMs),
    });
  }

  /** The prefixes that players will ask for next, one token each; a failure costs only their warmth. */
  async #warmPrefixes(signal: AbortSignal): Promise<void> {
    const prompts = this.#parts.warmPrompts();
    if (prompts.length === 0) return;
    await this.#within(WARM_PREFIXES_MS, signal, async (within) => {
      for (const messages of prompts)
        await speakDummyLine(this.#engine, { ...dummyLine(this.model), messages, maxTokens: 1 }, within);
    }).catch((error: unknown) => {
      if (signal.aborted) throw error;
      this.#parts.log.debug('engine.prefixes-cold', {
        engine: this.name,
        reason: ServiceError.from(error).message,
      });
    });
  }

  /** What should be resident is, before a player could be answered by the base instead. */
  async #restoreAdapters(signal: AbortSignal): Promise<void> {
    const replica = this.#adapterReplica;
    if (replica === null) return;
    await this.#within(RESTORE_ADAPTERS_MS, signal, (within) =>
      this.#parts.adapters.replicaUp(replica, within),
    ).catch((error: unknown) => {
      if (signal.aborted) throw error;
      this.#parts.log.warn('engine.adapters-late', {
        engine: this.name,
        reason: ServiceError.from(error).message,
      });
    });
  }

  /** Version and context, for the log, the console and the prompt; an engine that does not say is used all the same. */
  async #introduce(signal: AbortSignal): Promise<void> {
    try {
      await this.#within(QUESTION_TIMEOUT_MS, signal, async (within) => {
        this.version = await this.probe.version(within);
        const models = await this.probe.models(within);
        const own = models.find(({ id }) => id === this.model);
        if (own?.maxModelTokens != null) this.replica.learnContext(own.maxModelTokens);
      });
    } catch (error) {
      if (signal.aborted) throw error;
      this.#parts.log.debug('engine.unintroduced', {
        engine: this.name,
        reason: ServiceError.from(error).message,
      });
    }
  }

  /**
   * Sends canary lines as long as the connection is this one. What they find, the replica's breaker acts on; it comes
   * back by a line that was spoken.
   */
  async #watch(signal: AbortSignal, isStale: () => boolean): Promise<void> {
    const { clock } = this.#parts.runtime;
    const { canary } = this.#parts.routing;
    const watch = new CanaryWatch(this.replica, canary);
    let wasAway = false;
    while (!isStale()) {
      await clock.sleep(canary.retryMs, signal);
      const reason = isStale() ? null : watch.due(clock.monotonicMs());
      if (reason === null) continue;
      const hasSpoken = await watch.send(async () => {
        await this.#within(watch.timeoutMs, signal, (within) => this.#prove(1, within)).catch(
          (error: unknown) => {
            wasAway = true;
            throw error;
          },
        );
        // It may have been started anew, and then it has lost what was loaded.
        if (wasAway) await this.#restoreAdapters(signal);
        wasAway = false;
      }, clock.monotonicMs());
      if (!hasSpoken && !isStale())
        this.#parts.log.warn('engine.canary-failed', { engine: this.name, reason });
    }
  }

  /** A line that it speaks. A paid engine is only asked whether it is there: its lines cost money. */
  async #prove(maxTokens: number, signal: AbortSignal): Promise<void> {
    if (this.#isPaid) await this.probe.ready(signal);
    else await speakDummyLine(this.#engine, { ...dummyLine(this.model), maxTokens }, signal);
  }

  /** Runs `work` under a limit of its own; throws `deadline_exceeded` when it passes. */
  async #within(
    timeoutMs: number,
    signal: AbortSignal,
    work: (within: AbortSignal) => Promise<void>,
  ): Promise<void> {
    using link = linkSignals(signal);
    using _timer = this.#parts.runtime.clock.timer(timeoutMs, () =>
      link.abort(new ServiceError('deadline_exceeded', `${this.name} did not answer within ${timeoutMs} ms`)),
    );
    await work(link.signal);
  }

  /** Starts background work that is tried until it succeeds. */
  retrying(what: string, work: (signal: AbortSignal) => Promise<void>): void {
    this.#parts.tasks.tryStart(what, (signal) =>
      this.untilDone(
        what,
        signal,
        () => this.#ended,
        () => work(signal),
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#generation += 1;
    this.replica.setReady(false);
    if (this.#adapterReplica !== null) this.#parts.adapters.replicaDown(this.name);
    await this.#transport?.[Symbol.asyncDispose]();
    await this.#shortTransport?.[Symbol.asyncDispose]();
    this.#transport = null;
    this.#shortTransport = null;
    await this.stopProcess?.();
  }
}
