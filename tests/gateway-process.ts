/**
 * `greenroom serve` as a process, for tests of its outcomes and faults: its own data folder, a free port, JSON logs that
 * can be waited for, and a client of its doors. What it must not do is decide by time: everything is waited for.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SseDecoder } from '../src/lib/sse.ts';

const ROOT = resolve(import.meta.dirname, '..');
const CAST = join(ROOT, 'examples/body-broker/cast');
/** How long anything may take that no test measures. */
const PATIENCE_MS = 60_000;
const LOG_LINES_MAX = 20_000;

export interface Reply {
  readonly id: string;
  readonly text: string;
  readonly sentences: readonly string[];
  readonly finish_reason: string;
  readonly source: {
    readonly kind: string;
    readonly engine: string;
    readonly model: string | null;
    readonly rung: number;
    readonly cause?: string;
  };
  readonly usage: {
    readonly prompt_tokens: number;
    readonly cached_tokens: number;
    readonly completion_tokens: number;
  };
  readonly timing: { readonly ttft_ms: number | null; readonly total_ms: number };
  readonly conversation?: { readonly turn: number; readonly stored: boolean };
}

export interface StreamEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

export interface GatewayOptions {
  /** Merged over a configuration with the example cast. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Kept when given, so that a second gateway finds what the first one stored. */
  readonly dataDirectory?: string;
}

export interface Gateway extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly log: readonly LogLine[];
  /** Resolves with the first log line, also one already written, that has this event and passes `wanted`. */
  untilLog(event: string, wanted?: (line: LogLine) => boolean): Promise<LogLine>;
  untilReady(): Promise<void>;
  get(path: string): Promise<{ status: number; body: unknown; text: string }>;
  post(
    path: string,
    body: unknown,
    headers?: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Response>;
  /** One dialogue, whole. Throws when the answer is not 200. */
  say(body: Readonly<Record<string, unknown>>, headers?: Record<string, string>): Promise<Reply>;
  /** One dialogue, event by event. Leaving the loop hangs up. */
  stream(body: Readonly<Record<string, unknown>>): AsyncGenerator<StreamEvent>;
  /** The value of a gateway metric, summed over its label sets. */
  metric(name: string): Promise<number>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves once the process has ended. */
  readonly ended: Promise<Exit>;
}

/** Polls until `probe` gives something; fails with `what` when it never does. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
): Promise<Exclude<NonNullable<T>, false>> {
  for (const endMs = performance.now() + PATIENCE_MS; ; await delay(10)) {
    const found = await probe();
    if (found) return found as Exclude<NonNullable<T>, false>;
    if (performance.now() > endMs) throw new Error(`never came true: ${what}`);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'greenroom-serve-'));
}

/** A configuration whose one engine is an HTTP server at `origin`, with tiers that never send a filler. */
export function remoteConfig(origin: string, more: Readonly<Record<string, unknown>> = {}) {
  const quick = { fillerAfterMs: 0, deadlineMs: 20_000 };
  return {
    engines: { local: { kind: 'vllm', baseUrl: origin, model: 'scripted', maxInFlight: 64, maxQueued: 512 } },
    // Every failure is asked for by a test, and must not keep the next test from its engine.
    routing: {
      breaker: { consecutiveFailures: 1_000, minimumOutcomes: 10_000 },
      cooldown: { backoffMs: 1, backoffMaxMs: 1, accountMs: 1 },
    },
    tiers: { '1': quick, '2': quick, '3': quick, '4': quick },
    ...more,
  };
}

interface Spawned {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly log: LogLine[];
  readonly ended: Promise<Exit>;
  readonly remove: () => void;
}

function spawnServe(options: GatewayOptions): Spawned {
  const folder = temporaryFolder();
  const file = join(folder, 'greenroom.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ cast: CAST, ...options.config }));
  const { DATABASE_URL: _database, HOST: _host, ...inherited } = process.env;
  const child = spawn(process.execPath, ['src/main.ts', 'serve', '--config', file], {
    cwd: ROOT,
    env: {
      ...inherited,
      PORT: '0',
      GREENROOM_DATA: options.dataDirectory ?? join(folder, 'data'),
      GREENROOM_LOG_FORMAT: 'json',
      ...options.environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let error = '';
  let rest = '';
  const log: LogLine[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    error = (error + text).slice(-100_000);
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('{') && log.length < LOG_LINES_MAX) log.push(JSON.parse(line) as LogLine);
    }
  });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, error }));
  return {
    child,
    out: () => out,
    log,
    ended,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Runs a `serve` that is expected to end by itself. */
export async function serveUntilExit(options: GatewayOptions): Promise<Exit> {
  const { child, ended, remove } = spawnServe(options);
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  try {
    return await ended;
  } finally {
    clearTimeout(timer);
    remove();
  }
}

/** Runs a `serve`, sends it the signal at its first word, and waits for its end. */
export async function serveInterrupted(options: GatewayOptions, signal: NodeJS.Signals): Promise<Exit> {
  const { child, ended, remove } = spawnServe(options);
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  try {
    if (child.stderr !== null) await Promise.race([once(child.stderr, 'data'), ended]);
    child.kill(signal);
    return await ended;
  } finally {
    clearTimeout(timer);
    remove();
  }
}

/** Resolves once it listens. Disposing stops it with SIGTERM. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { child, out, log, ended, remove } = spawnServe(options);
  let exit: Exit | null = null;
  const url = await until('the gateway listens', async () => {
    if (child.exitCode !== null) {
      exit = await ended;
      remove();
      throw new Error(`the gateway ended with ${exit.code}: ${exit.error}`);
    }
    return /^listening on (\S+)$/m.exec(out())?.[1];
  });
  const post = (path: string, body: unknown, headers = {}, signal?: AbortSignal) =>
    fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      signal: signal ?? AbortSignal.timeout(PATIENCE_MS),
    });
  const get = async (path: string) => {
    const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    return { status: response.status, text, body: isJson ? (JSON.parse(text) as unknown) : null };
  };
  return {
    url,
    pid: child.pid ?? 0,
    log,
    ended,
    get,
    post,
    untilLog: (event, wanted = () => true) =>
      until(`the log says ${event}`, () => log.find((line) => line.event === event && wanted(line))),
    untilReady: async () => {
      await until('the gateway is ready', async () => (await get('/readyz')).status === 200);
    },
    say: async (body, headers) => {
      const response = await post('/v1/dialogue', body, headers);
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
      return JSON.parse(text) as Reply;
    },
    async *stream(body) {
      const hangUp = new AbortController();
      const signal = AbortSignal.any([hangUp.signal, AbortSignal.timeout(PATIENCE_MS)]);
      const response = await post('/v1/dialogue', { ...body, stream: true }, {}, signal);
      if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
      const decoder = new SseDecoder({ maxEventBytes: 1_000_000 });
      try {
        for await (const chunk of response.body ?? []) {
          for (const { event, data } of decoder.push(chunk))
            yield { event, data: JSON.parse(data) as Record<string, unknown> };
        }
      } finally {
        hangUp.abort();
      }
    },
    metric: async (name) => {
      const { text } = await get('/metrics');
      return text
        .split('\n')
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    kill: (signal) => {
      child.kill(signal);
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(timer);
      remove();
    },
  };
}
