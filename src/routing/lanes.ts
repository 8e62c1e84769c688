/**
 * The lane of short work: embeddings and vision on servers of tensors. It has its own places and its own connections, so
 * that it never waits behind generation (design §5), and it knows which server has which model. Where the configuration
 * names no models the servers' own indexes are asked, and remembered for a moment.
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { RepositoryEntry, TensorEngine } from '../core/tensors.ts';
import { abortable } from '../lib/abort.ts';
import { Admission } from './admission.ts';

export interface TensorServer {
  readonly engine: TensorEngine;
  /** Models it is asked for; empty: all that its repository lists. */
  readonly models: readonly string[];
  readonly maxInFlight: number;
  readonly maxQueued: number;
  /** Milliseconds that an answer is of use, waiting included. */
  readonly timeoutMs: number;
}

/** Where one model's requests go. */
export interface TensorRoute {
  readonly engine: TensorEngine;
  readonly admission: Admission;
  readonly timeoutMs: number;
}

/** How long an index is believed for models that it has, and asked no more for those that it has not. */
const INDEX_FRESH_MS = 5_000;
const INDEX_TIMEOUT_MS = 2_000;

class Server {
  readonly route: TensorRoute;
  readonly #models: readonly string[];
  readonly #clock: Clock;
  #index: readonly RepositoryEntry[] = [];
  #askedMonoMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;

  constructor({ engine, models, maxInFlight, maxQueued, timeoutMs }: TensorServer, clock: Clock) {
    this.#models = models;
    this.#clock = clock;
    this.route = {
      engine,
      timeoutMs,
      admission: new Admission({ engine: engine.name, maxInFlight, maxQueued }, { clock }),
    };
  }

  /** Names it has, as known now; asks the server when that is old. Throws when it cannot be asked and nothing is known. */
  async names(signal: AbortSignal): Promise<readonly string[]> {
    if (this.#models.length > 0) return this.#models;
    if (this.#clock.monotonicMs() - this.#askedMonoMs >= INDEX_FRESH_MS) {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = null;
      });
      await abortable(this.#asking, signal);
    }
    return [...new Set(this.#index.map(({ name }) => name))];
  }

  /** One question for all who wait; it outlives each of them and has its own time. */
  async #ask(): Promise<void> {
    const patience = new AbortController();
    using _timer = this.#clock.timer(INDEX_TIMEOUT_MS, () =>
      patience.abort(
        new ServiceError(
          'engine_unavailable',
          `${this.route.engine.name} did not list its models within ${INDEX_TIMEOUT_MS} ms`,
        ),
      ),
    );
    this.#index = await this.route.engine.repositoryIndex(patience.signal);
    this.#askedMonoMs = this.#clock.monotonicMs();
  }

  /** The next question is asked anew: a model was loaded or unloaded. */
  forget(): void {
    this.#askedMonoMs = Number.NEGATIVE_INFINITY;
  }
}

export class TensorLanes {
  readonly #servers: readonly Server[];

  constructor(servers: readonly TensorServer[], clock: Clock) {
    this.#servers = servers.map((server) => new Server(server, clock));
  }

  get routes(): readonly TensorRoute[] {
    return this.#servers.map(({ route }) => route);
  }

  /**
   * The server that has this model; the first in the configuration when several do. Throws `unknown_model` with what
   * exists, or what kept a server from saying: a model is not called unknown while a server that may have it is silent.
   */
  async find(model: string, signal: AbortSignal): Promise<TensorRoute> {
    const looked = await Promise.allSettled(this.#servers.map((server) => server.names(signal)));
    signal.throwIfAborted();
    const at = looked.findIndex((each) => each.status === 'fulfilled' && each.value.includes(model));
    const found = this.#servers[at];
    if (found !== undefined) return found.route;
    const silent = looked.find((each) => each.status === 'rejected');
    if (silent !== undefined) throw ServiceError.from(silent.reason);
    const available = looked.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
    throw new ServiceError(
      'unknown_model',
      `no server of tensors has a model ${JSON.stringify(model.slice(0, 120))}; there is ${available.length === 0 ? 'none' : available.join(', ')}`,
      { details: { available } },
    );
  }

  /** What all servers list, each entry once; a server that is silent leaves its models out. */
  async index(signal: AbortSignal): Promise<readonly RepositoryEntry[]> {
    const lists = await Promise.allSettled(this.routes.map(({ engine }) => engine.repositoryIndex(signal)));
    signal.throwIfAborted();
    return lists.flatMap((list) => (list.status === 'fulfilled' ? list.value : []));
  }

  /** Forgets what was listed, after a load or an unload. */
  forget(): void {
    for (const server of this.#servers) server.forget();
  }
}
