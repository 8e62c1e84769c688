/** The host of the default engine: its model file is fetched and made fast, its process started and watched, its address followed. */
import { resolve } from 'node:path';
import type { EmbeddedEngineConfig } from '../config/schema.ts';
import type { EngineAdapters } from '../core/adapter.ts';
import { EngineSupervisor } from '../embedded/supervisor.ts';
import { vllm } from '../engines/vllm.ts';
import { cacheDirectory, modelPaths } from '../models/cache.ts';
import { findModel } from '../models/catalogue.ts';
import { ensureModel, type ReadyModel } from '../models/ensure.ts';
import { fastWeights } from '../models/fast-weights.ts';
import { percent } from '../models/progress.ts';
import { Host, type HostParts } from './host.ts';

const EMBEDDED_CONNECTIONS = 256;
const EMBEDDED_CONTEXT_TOKENS = 2_048;
const CONNECT_TIMEOUT_MS = 1_000;

export function startEmbedded(name: string, config: EmbeddedEngineConfig, parts: HostParts): Host {
  const { kind: _kind, model, version, file, maxInFlight, maxQueued, maxPromptTokens, ...rest } = config;
  const { base, adapterBytesMax, fastWeights: isRewritten, ...options } = rest;
  const host = new Host(
    {
      name,
      kind: 'embedded',
      model,
      modelVersion: version ?? null,
      contextTokens: options.contextTokens ?? EMBEDDED_CONTEXT_TOKENS,
      isPaid: false,
      origin: null,
      relaysOpenAi: true,
      base: base ?? model,
      adapterLimits: {
        slots: options.adapterSlots,
        rankMax: options.adapterRankMax,
        bytesMax: adapterBytesMax ?? null,
      },
      artefactRoot: null,
      admission: { engine: name, maxInFlight, maxQueued, maxPromptTokens: maxPromptTokens ?? null },
      createDriver: (transport) => {
        const driver = vllm.create({ name, model, options: vllm.options.parse({}), transport });
        return driver.adapters === undefined
          ? driver
          : { ...driver, adapters: loadingBeside(driver.adapters) };
      },
    },
    parts,
  );
  const { clock, random, environment } = parts.runtime;
  const cache = cacheDirectory(environment);
  /** For the CPU alone: a GPU, or `auto` where there may be one, reads the file's own form well. */
  const fastPath = (ready: ReadyModel, signal: AbortSignal) =>
    fastWeights(
      ready,
      {
        paths: modelPaths(cache, findModel(model)),
        clock,
        onProgress: (progress) => {
          const share = percent(progress);
          host.set({ stage: 'loading', detail: `${progress.stage} weights ${share} %`, percent: share });
          parts.onModelProgress(progress);
        },
        onNotice: parts.onModelNotice,
      },
      signal,
    );
  host.retrying('fetch', async (signal) => {
    host.set({ stage: 'fetching', detail: 'looking for the model' });
    const ready = await ensureModel(
      model,
      {
        cacheDirectory: cache,
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
    host.modelFile = ready;
    // Stopped while the model was looked for: a process that starts now nobody would end.
    if (host.hasEnded) return;
    host.set({ stage: 'loading', detail: 'loading' });
    const modelPath = isRewritten && options.gpu === false ? await fastPath(ready, signal) : ready.path;
    if (host.hasEnded) return;
    host.set({ stage: 'loading', detail: 'loading' });
    const supervisor = new EngineSupervisor(
      { engine: { ...options, modelPath, modelName: model }, environment },
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
            : { baseUrl, connections: EMBEDDED_CONNECTIONS, connectTimeoutMs: CONNECT_TIMEOUT_MS },
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

/** Our own engine reads an adapter beside the lines that run, and takes it in between two passes. */
export function loadingBeside(adapters: EngineAdapters): EngineAdapters {
  return { ...adapters, traits: { ...adapters.traits, stallsWhileLoading: false } };
}
