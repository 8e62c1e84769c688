/**
 * The two connections to the server: one that asks, one that hears what is told to this gateway's inbox. Nothing waits
 * for a connection: without one a question is refused at once. What is asked and not answered is bounded, and a server
 * that answers nothing for seconds is dialled anew.
 */
import { Redis, type RedisOptions } from 'ioredis';
import type { Random } from '../../core/runtime.ts';
import type { SharedAddress } from './address.ts';
import { dialling } from './dial.ts';
import { SCRIPTS, type Script } from './scripts.ts';

const CONNECT_TIMEOUT_MS = 2_000;
/** Without a byte for this long while questions are open, the connection counts as dead. */
const SILENCE_MAX_MS = 3_000;
const KEEP_ALIVE_MS = 10_000;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 5_000;
const RETRY_DOUBLINGS_MAX = 10;

/** Why a question was not even asked. */
export class NotAsked extends Error {
  readonly fault: 'unreachable' | 'busy';

  constructor(fault: 'unreachable' | 'busy') {
    super(fault);
    this.fault = fault;
  }
}

export interface ConnectionParts {
  readonly address: SharedAddress;
  readonly random: Pick<Random, 'next'>;
  /** The channel of this gateway. */
  readonly inbox: string;
  readonly unansweredMax: number;
  readonly onMessage: (text: string) => void;
  readonly onReady: () => void;
  /** Either connection is gone. */
  readonly onLost: () => void;
  readonly onError: (error: Error) => void;
}

export class Connection {
  readonly #asking: Redis;
  readonly #hearing: Redis;
  readonly #unansweredMax: number;
  #unanswered = 0;
  #hears = false;
  #whenIdle: (() => void) | null = null;

  constructor(parts: ConnectionParts) {
    this.#unansweredMax = parts.unansweredMax;
    const options = optionsOf(parts);
    this.#asking = new Redis(options);
    this.#asking.on('ready', () => {
      // Loaded before the first question: each would else be sent twice.
      for (const { lua } of SCRIPTS) this.#asking.script('LOAD', lua).catch(() => {});
      parts.onReady();
    });
    this.#hearing = new Redis(options);
    this.#hearing.on('ready', () => {
      const subscribed = () => {
        this.#hears = true;
      };
      this.#hearing.subscribe(parts.inbox).then(subscribed, parts.onError);
    });
    this.#hearing.on('message', (_channel: string, text: string) => parts.onMessage(text));
    this.#hearing.on('close', () => {
      this.#hears = false;
    });
    for (const client of [this.#asking, this.#hearing]) {
      client.on('error', parts.onError);
      client.on('close', parts.onLost);
    }
  }

  /** Whether questions can be asked. */
  get isReady(): boolean {
    return this.#asking.status === 'ready';
  }

  /** Whether what is told to our inbox arrives. */
  get hears(): boolean {
    return this.#hears;
  }

  /** What the script gives. Rejects with NotAsked, with the server's error, or when the connection goes. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.#ask(() => this.#evaluate(script, keys, args));
  }

  /** As `run`, for a caller who bounds what is open himself. */
  runBounded(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.#ask(() => this.#evaluate(script, keys, args), Number.POSITIVE_INFINITY);
  }

  ping(): Promise<unknown> {
    return this.#ask(() => this.#asking.ping());
  }

  /** One step of a walk over all keys that match: where to go on ('0': at the end) and what was found. */
  scan(cursor: string, pattern: string, count: number): Promise<[cursor: string, keys: string[]]> {
    return this.#ask(() => this.#asking.scan(cursor, 'MATCH', pattern, 'COUNT', count));
  }

  /** Resolves to how many keys there were. */
  unlink(keys: readonly string[]): Promise<number> {
    return this.#ask(() => this.#asking.unlink(...keys));
  }

  /** Resolves when nothing is unanswered; at once when nothing is. */
  idle(): Promise<void> {
    if (this.#unanswered === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  close(): void {
    this.#asking.disconnect();
    this.#hearing.disconnect();
  }

  async #evaluate(
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    try {
      return await this.#asking.evalsha(script.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.includes('NOSCRIPT'))) throw error;
      // Its scripts were flushed since we loaded them.
      return await this.#asking.eval(script.lua, keys.length, ...keys, ...args);
    }
  }

  async #ask<T>(question: () => Promise<T>, unansweredMax = this.#unansweredMax): Promise<T> {
    if (!this.isReady) throw new NotAsked('unreachable');
    if (this.#unanswered >= unansweredMax) throw new NotAsked('busy');
    this.#unanswered += 1;
    try {
      return await question();
    } finally {
      this.#unanswered -= 1;
      if (this.#unanswered === 0) this.#whenIdle?.();
    }
  }
}

function optionsOf({ address, random }: ConnectionParts) {
  return {
    Connector: dialling(address),
    db: address.database,
    ...(address.username === null ? {} : { username: address.username }),
    ...(address.password === null ? {} : { password: address.password }),
    // Only so that the client waits for the handshake; what it is made with is said in dial.ts.
    ...(address.tls === null ? {} : { tls: {} }),
    // Version 2 is what every server, fork and proxy speaks; we need nothing of 3.
    protocol: 2 as const,
    connectionName: 'greenroom',
    disableClientInfo: true,
    // A server that is loading or forbids INFO answers questions with its reason, which is what we want to tell.
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MAX_MS,
    keepAlive: KEEP_ALIVE_MS,
    retryStrategy: (times: number) =>
      Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(times, RETRY_DOUBLINGS_MAX)) *
      (0.5 + random.next() / 2),
  } satisfies RedisOptions;
}
