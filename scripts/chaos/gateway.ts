/**
 * The gateway under chaos: the real `greenroom serve` as a process at one address, which can be killed and started again
 * over the same data, and whose own page says which engines it counts on.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { freePort, type RunningEngine, startEngine } from '../engines/child.ts';
import { CLOUD_KEY } from './cloud.ts';
import { ROOT } from './engines.ts';

export interface EngineStatus {
  readonly name: string;
  readonly stage: string;
  readonly unusable: string | null;
  readonly pid: number | null;
  readonly restarts: number;
}

export interface Gateway extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  engines(): Promise<readonly EngineStatus[]>;
  /** Pids of all embedded engines that it ever started. */
  readonly children: ReadonlySet<number>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again; resolves once it listens. */
  restart(): Promise<void>;
  /** Whether it was gone at a moment since then (performance.now). */
  wasDownSince(startedMs: number): boolean;
  /** Of these turns, those that are not in its store. */
  missing(turns: readonly StoredTurn[]): readonly StoredTurn[];
  spentUsd(): Promise<number | null>;
  /** Folds the store's log into its file, so that its next write needs room that nobody has set aside. */
  foldStore(): void;
}

export interface StoredTurn {
  readonly conversation: string;
  readonly turn: number;
  readonly marker: string;
}

export interface GatewayOptions {
  readonly config: Readonly<Record<string, unknown>>;
  /** For the configuration file. */
  readonly folder: string;
  readonly dataDirectory: string;
  readonly lifeMs: number;
  readonly onLine: (line: string) => void;
}

const START_TIMEOUT_MS = 60_000;
const QUESTION_TIMEOUT_MS = 5_000;
const FOLDS_MAX = 5;

/** Resolves once every engine is usable. */
export async function startGateway(options: GatewayOptions, signal: AbortSignal): Promise<Gateway> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = path.join(options.folder, 'greenroom.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(options.config, null, 2));
  const storeFile = path.join(options.dataDirectory, 'greenroom.db');
  const children = new Set<number>();
  const onLine = (line: string) => {
    const pid = /"event":"engine\.started".*"pid":(\d+)/.exec(line)?.[1];
    if (pid !== undefined) children.add(Number(pid));
    options.onLine(line);
  };
  const page = async (route: string, within: AbortSignal = AbortSignal.timeout(QUESTION_TIMEOUT_MS)) => {
    const reply = await fetch(url + route, { signal: within });
    if (!reply.ok) throw new Error(`${route}: ${reply.status} ${(await reply.text()).slice(0, 300)}`);
    return (await reply.json()) as Readonly<Record<string, unknown>>;
  };
  const engines = async (within?: AbortSignal) =>
    (await page('/admin/v1/status', within))['engines'] as readonly EngineStatus[];
  const launch = (ready: (within: AbortSignal) => Promise<string>): Promise<RunningEngine> =>
    startEngine(
      {
        name: 'greenroom serve',
        command: {
          program: process.execPath,
          arguments: [path.join(ROOT, 'src/main.ts'), 'serve', '--config', file, '--port', String(port)],
          environment: {
            DATABASE_URL: undefined,
            HOST: undefined,
            PORT: undefined,
            GREENROOM_DATA: options.dataDirectory,
            GREENROOM_LOG_FORMAT: 'json',
            CHAOS_CLOUD_KEY: CLOUD_KEY,
          },
        },
        port,
        startTimeoutMs: START_TIMEOUT_MS,
        lifeMs: options.lifeMs,
        ready: (_origin, within) => ready(within),
        onLine,
      },
      signal,
    );
  let running = await launch(async (within) => {
    const notYet = (await engines(within)).filter(({ unusable }) => unusable !== null);
    if (notYet.length > 0) throw new Error(notYet.map(({ name, stage }) => `${name} is ${stage}`).join(', '));
    return 'ready';
  });
  let isDown = false;
  let upAgainMs = Number.NEGATIVE_INFINITY;
  return {
    url,
    get pid() {
      return running.pid;
    },
    engines: () => engines(),
    children,
    kill: async () => {
      isDown = true;
      process.kill(running.pid, 'SIGKILL');
      await running.exited;
    },
    restart: async () => {
      running = await launch(async (within) => {
        await page('/livez', within);
        return 'live';
      });
      upAgainMs = performance.now();
      isDown = false;
    },
    wasDownSince: (startedMs) => isDown || upAgainMs > startedMs,
    foldStore: () => {
      const database = new DatabaseSync(storeFile);
      try {
        database.exec('pragma busy_timeout = 2000');
        const fold = database.prepare('pragma wal_checkpoint(truncate)');
        // A reader in the way is gone a moment later.
        for (let tries = 0; tries < FOLDS_MAX; tries++)
          if ((fold.get() as { readonly busy: number }).busy === 0) return;
      } finally {
        database.close();
      }
    },
    missing: (turns) => {
      const database = new DatabaseSync(storeFile, { readOnly: true });
      try {
        const look = database.prepare('select player_text from turns where conversation_id = ? and turn = ?');
        return turns.filter(({ conversation, turn, marker }) => {
          const row = look.get(conversation, turn) as { readonly player_text: string } | undefined;
          return row === undefined || !row.player_text.includes(marker);
        });
      } finally {
        database.close();
      }
    },
    spentUsd: async () => {
      const { day } = (await page('/admin/v1/spending')) as { day: { spent_usd: number } | null };
      return day?.spent_usd ?? null;
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}
