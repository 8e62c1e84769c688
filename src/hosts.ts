/**
 * An engine host is what runs for one engine of the configuration: its model file, its process, its connection, its
 * warm-up and its places. An engine is usable only after it generated a real line; `/health` alone proves nothing.
 *
 *     fetching → loading → warming → ready ⇄ restarting          failed: said with its reason, and tried again
 */
import { resolve } from 'node:path';
import type { EmbeddedEngineConfig, EngineConfig } from './config/schema.ts';
import type { Engine, TokenCounter } from './core/engine.ts';
import { ServiceError } from './core/errors.ts';
import type { Logger, Runtime } from './core/runtime.ts';
import type { Transport } from './core/transport.ts';
import { EngineSupervisor } from './embedded/supervisor.ts';
import { createOpenAiCompatible } from './engines/openai-compatible.ts';
import { createTokenCounter } from './engines/token-counter.ts';
import type { TransportOptions } from './engines/transport.ts';
import { createVllm } from './engines/vllm.ts';
import type { TaskGroup } from './lib/async.ts';
import { cacheDirectory } from './models/cache.ts';
import { ensureModel } from './models/ensure.ts';
import { type ModelProgress, percent } from './models/progress.ts';
import { Admission } from './routing/admission.ts';
import type { EngineEntry } from './routing/plan.ts';

export interface HostState {
  readonly stage: 'starting' | 'fetching' | 'loading' | 'warming' | 'ready' | 'restarting' | 'failed';
  /** For people: `fetching 41 %`, or why it failed. */
  readonly detail: string;
  readonly percent?: number;
}

export interface EngineHost extends AsyncDisposable {
  readonly name: string;
  readonly kind: string;
  readonly model: string;
  readonly entry: EngineEntry;
  readonly counter: TokenCounter;
  /** Prompt and answer together, in tokens; null where the engine does not say. */
  readonly contextTokens: number | null;
  readonly state: HostState;
  readonly restarts: number;
  readonly pid: number | null;
  /** The connection now. Throws `not_ready` while there is none. */
  transport(): Transport;
}

export interface HostParts {
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly tasks: TaskGroup;
  readonly connect: (options: TransportOptions) => Transport;
  /** Folder that paths of the configuration are relative to. */
  readonly directory: string;
  readonly onModelProgress: (progress: ModelProgress) => void;
  readonly onModelNotice: (message: string) => void;
  readonly onRestart: (engine: string) => void;
}

/** Waits between tries of a fetch or a warm-up that failed: doubling up to the second figure (ms). */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;
/** A cold small model on a busy laptop needs some seconds for its first line. */
const WARM_UP_TIMEOUT_MS = 60_000;
const REMOTE_CONTEXT_TOKENS = null;
const EMBEDDED_CONNECTIONS = 256;

export function startHost(name: string, config: EngineConfig, parts: HostParts): EngineHost {
  return config.kind === 'embedded' ? startEmbedded(name, config, parts) : startRemote(name, config, parts);
}

type RemoteConfig = Exclude<EngineConfig, EmbeddedEngineConfig>;

class Host implements EngineHost {
  readonly name: string;
  readonly kind: string;
  readonly model: string;
  readonly contextTokens: number | null;
  readonly entry: EngineEntry;
  readonly counter: TokenCounter;
  readonly #parts: HostParts;
  readonly #engine: Engine;
  #transport: Transport | null = null;
  #state: HostState = { stage: 'starting', detail: 'starting' };
  #ended = false;
  /** Rises with every new connection, so that the warm-up of an old one changes nothing. */
  #generation = 0;
  restarts = 0;
  pid: number | null = null;
  stopProcess: (() => Promise<void>) | null = null;

  constructor(name: string, config: EngineConfig, contextTokens: number | null, parts: HostParts) {
    this.name = name;
    this.kind = config.kind;
    this.model = config.model;
    this.contextTokens = contextTokens;
    this.#parts = parts;
    const transport = () => this.transport();
    this.#engine =
      config.kind === 'openai-compatible'
        ? createOpenAiCompatible({
            name,
            kind: config.kind,
            transport,
            dialect: {
              continuesAssistant: false,
              honoursPriority: false,
              reportsRunningUsage: false,
            },
          })
        : createVllm({ name, kind: config.kind, transport });
    this.counter = createTokenCounter({ transport, model: config.model });
    this.entry = {
      engine: this.#engine,
      model: config.model,
      modelVersion: null,
      admission: new Admission({
        engine: name,
        maxInFlight: config.maxInFlight,
        maxQueued: config.maxQueued,
      }),
      unusable: () => (this.#state.stage === 'ready' ? null : 'offline'),
    };
  }

  get state(): HostState {
    return this.#state;
  }

  transport(): Transport {
    if (this.#transport !== null) return this.#transport;
    throw new ServiceError('not_ready', `engine ${this.name} is not there: ${this.#state.detail}`);
  }

  set(state: HostState): void {
    if (state.stage !== this.#state.stage)
      this.#parts.log.info('engine.stage', { engine: this.name, stage: state.stage, detail: state.detail });
    this.#state = state;
  }

  /** Takes a connection (or none) and warms it up before any player meets it. */
  connect(transport: Transport | null): void {
    this.#generation += 1;
    const old = this.#transport;
    this.#transport = transport;
    if (old !== null)
      this.#parts.tasks.tryStart('close-transport', () => Promise.resolve(old[Symbol.asyncDispose]()));
    if (transport === null || this.#ended) return;
    const generation = this.#generation;
    this.set({ stage: 'warming', detail: 'warming' });
    this.#parts.tasks.tryStart('warm-up', (signal) =>
      this.#untilDone(
        'warm-up',
        signal,
        () => generation !== this.#generation,
        async () => {
          const startedMonoMs = this.#parts.runtime.clock.monotonicMs();
          await this.#warmUp(signal);
          if (generation !== this.#generation) return;
          this.set({ stage: 'ready', detail: 'ready' });
          this.#parts.log.info('engine.warm', {
            engine: this.name,
            warmUpMs: Math.round(this.#parts.runtime.clock.monotonicMs() - startedMonoMs),
          });
        },
      ),
    );
  }

  /** Runs `work` until it succeeds, with growing waits. */
  async #untilDone(
    what: string,
    signal: AbortSignal,
    isStale: () => boolean,
    work: () => Promise<void>,
  ): Promise<void> {
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
        await this.#parts.runtime.clock.sleep(waitMs, signal).catch(() => {});
      }
    }
  }

  /** One real line; silence or a failure means the engine is not ready, whatever its health page says. */
  async #warmUp(signal: AbortSignal): Promise<void> {
    const timeout = new AbortController();
    using _timer = this.#parts.runtime.clock.timer(WARM_UP_TIMEOUT_MS, () =>
      timeout.abort(new ServiceError('deadline_exceeded', `no warm-up line within ${WARM_UP_TIMEOUT_MS} ms`)),
    );
    const onAbort = () => timeout.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      let text = '';
      for await (const event of this.#engine.generate(
        {
          requestId: 'warm-up',
          model: this.model,
          messages: [{ role: 'user', content: 'Hello. Who goes there?' }],
          assistantPrefix: '',
          maxTokens: 12,
          temperature: 0,
          stop: [],
          priority: 'ambient',
          scene: {
            npcId: '',
            tier: 1,
            playerId: null,
            trigger: null,
            cause: null,
            mood: null,
            facts: [],
            committed: [],
          },
        },
        timeout.signal,
      )) {
        if (event.type === 'text') text += event.text;
      }
      if (text.trim() === '') throw new ServiceError('engine_error', 'the warm-up line was empty');
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  retrying(what: string, work: (signal: AbortSignal) => Promise<void>): void {
    this.#parts.tasks.tryStart(what, (signal) =>
      this.#untilDone(
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
    await this.#transport?.[Symbol.asyncDispose]();
    this.#transport = null;
    await this.stopProcess?.();
  }
}

function startEmbedded(name: string, config: EmbeddedEngineConfig, parts: HostParts): EngineHost {
  const { kind: _kind, model, file, maxInFlight: _inFlight, maxQueued: _queued, ...options } = config;
  const host = new Host(name, config, options.contextTokens ?? 2_048, parts);
  const { clock, random, environment } = parts.runtime;
  host.retrying('fetch', async (signal) => {
    host.set({ stage: 'fetching', detail: 'looking for the model' });
    const ready = await ensureModel(
      model,
      {
        cacheDirectory: cacheDirectory(environment),
        environment,
        clock,
        ...(file === undefined ? {} : { file: resolve(parts.directory, file) }),
        onProgress: (progress) => {
          const share = percent(progress);
          if (progress.stage !== 'checking')
            host.set({ stage: 'fetching', detail: `${progress.stage} ${share} %`, percent: share });
          parts.onModelProgress(progress);
        },
        onNotice: parts.onModelNotice,
      },
      signal,
    );
    host.set({ stage: 'loading', detail: 'loading' });
    const supervisor = new EngineSupervisor(
      { engine: { ...options, modelPath: ready.path, modelName: model }, environment },
      { clock, random, log: parts.log.child({ engine: name }) },
    );
    host.stopProcess = () => Promise.resolve(supervisor[Symbol.asyncDispose]());
    let baseUrl: string | null = null;
    supervisor.onChange((state) => {
      host.pid = state.pid;
      if (state.restarts > host.restarts) parts.onRestart(name);
      host.restarts = state.restarts;
      if (state.baseUrl !== baseUrl) {
        baseUrl = state.baseUrl;
        host.connect(
          baseUrl === null
            ? null
            : parts.connect({
                baseUrl,
                connections: EMBEDDED_CONNECTIONS,
                connectTimeoutMs: 1_000,
              }),
        );
      }
      if (state.stage === 'starting' || state.stage === 'loading') {
        const isRestart = state.restarts > 0;
        host.set({
          stage: isRestart ? 'restarting' : 'loading',
          detail: `${isRestart ? 'restarting' : 'loading'} ${Math.round(state.loadedRatio * 100)} %`,
          percent: Math.round(state.loadedRatio * 100),
        });
      } else if (state.stage === 'restarting' || state.stage === 'failed') {
        host.set({ stage: state.stage, detail: state.reason ?? state.stage });
      }
    });
    supervisor.start();
  });
  return host;
}

function startRemote(name: string, config: RemoteConfig, parts: HostParts): EngineHost {
  const host = new Host(name, config, REMOTE_CONTEXT_TOKENS, parts);
  host.connect(
    parts.connect({
      baseUrl: config.baseUrl,
      connections: config.connections,
      connectTimeoutMs: config.connectTimeoutMs,
      headers: apiKeyHeader(config, parts.runtime),
    }),
  );
  return host;
}

function apiKeyHeader(config: RemoteConfig, runtime: Runtime): Record<string, string> {
  if (config.apiKeyEnv === undefined) return {};
  const key = runtime.environment[config.apiKeyEnv];
  if (key === undefined || key === '') {
    throw new ServiceError(
      'config_invalid',
      `the environment variable ${config.apiKeyEnv} that apiKeyEnv names is not set`,
    );
  }
  return { authorization: `Bearer ${key}` };
}
