/**
 * The gateway's side of `greenroom engine`: starts the child, watches it, starts it again. A native crash never takes
 * the gateway down; a child that cannot start is tried again ever more slowly, with the reason in `state`.
 *
 *   stopped ──start──▶ starting ──first word──▶ loading ──▶ ready
 *                         ▲                        │          │ exit
 *                         └── backoff ── restarting ◀─────────┘     dispose: any ──▶ stopped
 *
 * `failed` is `restarting` after a permanent reason (a broken model file): the same clock, a longer wait.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '../core/errors.ts';
import { ERRORS, ServiceError } from '../core/errors.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import { abortable } from '../lib/abort.ts';
import type { ChildMessage } from './child.ts';
import type { EmbeddedOptionsInput } from './options.ts';

export interface SupervisorState {
  readonly stage: 'stopped' | 'starting' | 'loading' | 'ready' | 'restarting' | 'failed';
  readonly pid: number | null;
  /** Starts after the first one. */
  readonly restarts: number;
  /** `http://127.0.0.1:<port>` while ready. */
  readonly baseUrl: string | null;
  /** Why it is not ready, when something went wrong. */
  readonly reason: string | null;
  /** Share of the model that is loaded, 0..1, while loading. */
  readonly loadedRatio: number;
}

export interface SupervisorOptions {
  readonly engine: EmbeddedOptionsInput;
  /** Environment of the child beside what it needs; usually the gateway's own. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** First wait before a restart; doubles per failure in a row (ms). */
  readonly backoffMinMs?: number;
  /** Longest wait (ms). */
  readonly backoffMaxMs?: number;
  /** Ready for so long, the next failure counts as the first (ms). */
  readonly stableAfterMs?: number;
  /** Loading may take so long before the child is killed (ms). */
  readonly loadTimeoutMs?: number;
  /** From SIGTERM to SIGKILL at the end (ms). */
  readonly stopTimeoutMs?: number;
}

export interface SupervisorParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const DEFAULTS = {
  backoffMinMs: 250,
  backoffMaxMs: 30_000,
  stableAfterMs: 30_000,
  loadTimeoutMs: 300_000,
  stopTimeoutMs: 5_000,
};

/** These will not go away by themselves soon: begin with a longer wait. */
const PERMANENT: readonly ErrorCode[] = ['model_invalid', 'out_of_memory', 'config_invalid'];
const PERMANENT_BACKOFF_FACTOR = 8;
const STDERR_KEPT = 2_000;

const STOPPED: SupervisorState = {
  stage: 'stopped',
  pid: null,
  restarts: 0,
  baseUrl: null,
  reason: null,
  loadedRatio: 0,
};

const ENTRY = fileURLToPath(new URL('../main.ts', import.meta.url));

export class EngineSupervisor implements AsyncDisposable {
  readonly #options: Required<SupervisorOptions>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Logger;
  readonly #listeners = new Set<(state: SupervisorState) => void>();
  readonly #stop = new AbortController();
  #state: SupervisorState = STOPPED;
  #loop: Promise<void> | null = null;

  constructor(options: SupervisorOptions, parts: SupervisorParts) {
    this.#options = { ...DEFAULTS, ...options };
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#log = parts.log;
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** Calls back at every change of state until disposed. */
  onChange(listener: (state: SupervisorState) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Starts the child and keeps it running; does nothing the second time. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** The engine's address once it is ready; rejects with `signal.reason`, or with `draining` when disposed first. */
  async whenReady(signal: AbortSignal): Promise<string> {
    if (this.#state.baseUrl !== null) return this.#state.baseUrl;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    using _listener = this.onChange((state) => {
      if (state.baseUrl !== null) resolve(state.baseUrl);
      else if (state.stage === 'stopped') reject(new ServiceError('draining', 'the engine was stopped'));
    });
    return await abortable(promise, signal);
  }

  /** SIGTERM, a bounded wait, SIGKILL; resolves when the child is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new ServiceError('draining', 'the engine is stopped'));
    await this.#loop;
    this.#set({ ...STOPPED, restarts: this.#state.restarts });
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const run = await this.#runChild();
      if (this.#stop.signal.aborted) return;
      failures = run.readyMs >= this.#options.stableAfterMs ? 1 : failures + 1;
      const waitMs = this.#backoffMs(failures, run.isPermanent);
      this.#log.warn('engine.exited', { reason: run.reason, waitMs: Math.round(waitMs), failures });
      this.#set({
        stage: run.isPermanent ? 'failed' : 'restarting',
        pid: null,
        restarts: this.#state.restarts,
        baseUrl: null,
        reason: run.reason,
        loadedRatio: 0,
      });
      await this.#clock.sleep(waitMs, this.#stop.signal).catch(() => {});
      if (!this.#stop.signal.aborted)
        this.#set({ ...this.#state, stage: 'starting', restarts: this.#state.restarts + 1 });
    }
  }

  /** Exponential with full jitter on the upper half, so that several gateways on one machine do not start at once. */
  #backoffMs(failures: number, isPermanent: boolean): number {
    const { backoffMinMs, backoffMaxMs } = this.#options;
    const first = isPermanent ? backoffMinMs * PERMANENT_BACKOFF_FACTOR : backoffMinMs;
    const ceiling = Math.min(backoffMaxMs, first * 2 ** Math.min(failures - 1, 20));
    return ceiling * (0.5 + 0.5 * this.#random.next());
  }

  /** One life of the child, from spawn to exit. */
  async #runChild(): Promise<{ reason: string; isPermanent: boolean; readyMs: number }> {
    const child = this.#spawn();
    let failure: { code: string; message: string } | null = null;
    let readyAtMs: number | null = null;
    let lastWords = '';
    this.#set({ ...this.#state, stage: 'starting', pid: child.pid ?? null, baseUrl: null, loadedRatio: 0 });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-STDERR_KEPT);
      this.#log.debug('engine.stderr', { text: text.trimEnd() });
    });
    let loadTimer: Disposable | null = this.#clock.timer(this.#options.loadTimeoutMs, () => {
      failure = { code: 'engine_unavailable', message: `not ready after ${this.#options.loadTimeoutMs} ms` };
      child.kill('SIGKILL');
    });
    child.on('message', (message: ChildMessage) => {
      switch (message.type) {
        case 'loading':
          this.#set({ ...this.#state, stage: 'loading', loadedRatio: message.ratio });
          break;
        case 'ready':
          readyAtMs = this.#clock.monotonicMs();
          loadTimer?.[Symbol.dispose]();
          loadTimer = null;
          this.#set({
            ...this.#state,
            stage: 'ready',
            baseUrl: message.baseUrl,
            reason: null,
            loadedRatio: 1,
          });
          this.#log.info('engine.started', { pid: child.pid, baseUrl: message.baseUrl });
          break;
        case 'failed':
          failure = { code: message.code, message: message.message };
          break;
      }
    });
    const exited = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`cannot be started: ${error.message}`));
      child.once('exit', (code, signal) =>
        resolve(signal === null ? `exit code ${code}` : `killed by ${signal}`),
      );
    });
    const onStop = () => child.kill('SIGTERM');
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    if (this.#stop.signal.aborted) onStop();
    const killTimer = this.#killAfterStop(child);
    const ending = await exited;
    killTimer[Symbol.dispose]();
    loadTimer?.[Symbol.dispose]();
    this.#stop.signal.removeEventListener('abort', onStop);
    const known = failure as { code: string; message: string } | null;
    const words = known?.message ?? lastLines(lastWords);
    return {
      reason: words === '' ? ending : `${words} (${ending})`,
      isPermanent: known !== null && PERMANENT.includes(known.code as ErrorCode) && known.code in ERRORS,
      readyMs: readyAtMs === null ? 0 : this.#clock.monotonicMs() - readyAtMs,
    };
  }

  #killAfterStop(child: ChildProcess): Disposable {
    let timer: Disposable | null = null;
    const arm = () => {
      timer = this.#clock.timer(this.#options.stopTimeoutMs, () => child.kill('SIGKILL'));
    };
    this.#stop.signal.addEventListener('abort', arm, { once: true });
    if (this.#stop.signal.aborted) arm();
    return {
      [Symbol.dispose]: () => {
        this.#stop.signal.removeEventListener('abort', arm);
        timer?.[Symbol.dispose]();
      },
    };
  }

  #spawn(): ChildProcess {
    const { modelPath, ...rest } = this.#options.engine;
    return spawn(
      process.execPath,
      [ENTRY, 'engine', '--model', modelPath, '--port', '0', '--options', JSON.stringify(rest)],
      {
        // One libuv thread: decode and sampling are libuv jobs, and more of them fight the decode threads.
        env: { ...this.#options.environment, UV_THREADPOOL_SIZE: '1' },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        // Ctrl-C reaches the gateway alone, which lets running lines end before it stops the engine.
        detached: process.platform !== 'win32',
      },
    );
  }

  #set(state: SupervisorState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}

/** The end of what the child wrote: the command line gives an error and what to do, a line each. */
function lastLines(text: string): string {
  return text
    .trim()
    .split('\n')
    .slice(-2)
    .map((line) => line.trim())
    .join(' ')
    .slice(-500);
}
