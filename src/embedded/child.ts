/**
 * The body of `greenroom engine`: load, serve, report, and end with the parent. Stages go to the parent over the IPC
 * channel when there is one. A parent that dies closes the channel, and the child ends by itself: nothing is left
 * behind, not even after `kill -9`.
 */
import { ServiceError } from '../core/errors.ts';
import type { Logger, Runtime } from '../core/runtime.ts';
import { abortable, linkSignals } from '../lib/abort.ts';
import { EmbeddedEngine } from './engine.ts';
import { EngineMetrics } from './metrics.ts';
import type { EmbeddedOptions } from './options.ts';
import { startEngineServer } from './server.ts';

/** What the child tells its supervisor. */
export type ChildMessage =
  | { readonly type: 'loading'; readonly ratio: number }
  | { readonly type: 'ready'; readonly port: number; readonly baseUrl: string }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

/** The IPC channel as the child needs it; `process` has this shape. */
export interface ParentChannel {
  readonly connected?: boolean;
  send?: ((message: ChildMessage, sent: () => void) => boolean) | undefined;
  disconnect?: () => void;
  once(event: 'disconnect', listener: () => void): unknown;
}

export interface EngineRun {
  readonly options: EmbeddedOptions;
  readonly host: string;
  readonly port: number;
  readonly version: string;
}

/**
 * Serves until `signal` aborts or the parent is gone. Throws what loading throws, after telling the parent.
 * `onReady` is called once with the address.
 */
export async function runEngine(
  run: EngineRun,
  parts: { runtime: Runtime; log: Logger; parent: ParentChannel; onReady: (baseUrl: string) => void },
  signal: AbortSignal,
): Promise<void> {
  const { runtime, log, parent } = parts;
  const orphaned = new AbortController();
  const hasParent = parent.send !== undefined && parent.connected === true;
  const tell = (message: ChildMessage) =>
    new Promise<void>((resolve) => {
      if (!hasParent || parent.connected !== true || parent.send === undefined) return resolve();
      parent.send(message, resolve);
    });
  if (hasParent)
    parent.once('disconnect', () =>
      orphaned.abort(new ServiceError('draining', 'the parent process is gone')),
    );
  using ends = linkSignals(signal, orphaned.signal);
  const metrics = new EngineMetrics(run.options);
  try {
    void tell({ type: 'loading', ratio: 0 });
    const startedMs = runtime.clock.monotonicMs();
    await using engine = await EmbeddedEngine.load(run.options, {
      clock: runtime.clock,
      log,
      observer: metrics.observer,
      onProgress: (ratio) => void tell({ type: 'loading', ratio }),
    });
    metrics.watch({
      scheduler: engine.scheduler,
      adapters: engine.adapters,
      nowSeconds: () => runtime.clock.nowMs() / 1_000,
    });
    await using server = await startEngineServer(
      {
        engine,
        metrics,
        options: run.options,
        clock: runtime.clock,
        random: runtime.random,
        log,
        version: run.version,
      },
      { host: run.host, port: run.port },
    );
    log.info('engine.ready', {
      baseUrl: server.baseUrl,
      model: run.options.modelName,
      contextTokens: engine.contextTokens,
      loadMs: Math.round(runtime.clock.monotonicMs() - startedMs),
    });
    parts.onReady(server.baseUrl);
    void tell({ type: 'ready', port: server.port, baseUrl: server.baseUrl });
    await abortable(new Promise<never>(() => {}), ends.signal).catch(() => {});
    log.info('engine.stopping', { reason: ServiceError.from(ends.signal.reason).message });
  } catch (error) {
    const failure = ServiceError.from(error);
    await tell({ type: 'failed', code: failure.code, message: failure.message });
    throw failure;
  } finally {
    // An open channel would keep the process alive.
    if (hasParent && parent.connected === true) parent.disconnect?.();
  }
}
