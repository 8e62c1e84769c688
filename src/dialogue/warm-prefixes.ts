/**
 * Persona prefixes that are read into an engine before a player arrives: on a hint of the game, and when the adapter of a
 * persona has come to an engine. One at a time, only at free engines that cost nothing, and only where nobody waits: a
 * warm-up never holds up a player, and one that would is dropped.
 */
import type { Cast } from '../cast/cast.ts';
import type { Persona } from '../cast/persona.ts';
import type { AdapterKeeper, AdapterLease } from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import type { TaskGroup } from '../lib/async.ts';
import { LruCache } from '../lib/lru.ts';
import type { Pool } from '../routing/pool.ts';
import type { Replica } from '../routing/replica.ts';
import type { Tiers } from '../routing/tiers.ts';
import { type Prompts, prefixKeyOf, type StablePrompt } from './script.ts';

export type PrefixState = 'warm' | 'warming' | 'cold';
export type WarmUpResult = 'warmed' | 'failed' | 'busy';

export interface WarmPrefixParts {
  readonly cast: Cast;
  readonly tiers: Tiers;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly adapters: Pick<AdapterKeeper, 'resolve' | 'lease'>;
  readonly prompts: Prompts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tasks: TaskGroup;
  readonly onWarmUp: (engine: string, result: WarmUpResult) => void;
}

/** So long after it was last read a prefix is taken to be in the engine's cache still (ms). */
const WARM_FOR_MS = 300_000;
const KNOWN_MAX = 10_000;
/** Hints that wait; the one that waits longest is dropped for one more. */
const WAITING_MAX = 64;
/** Of the personas of one adapter. */
const PERSONAS_MAX = 4;
/** An engine that is busier than this has players to serve. */
const BUSY_SHARE = 0.5;
const PLACE_WITHIN_MS = 500;
const WARM_WITHIN_MS = 20_000;

interface Aim {
  readonly persona: Persona;
  readonly replica: Replica;
  readonly contextTokens: number | null;
  /** Engine-side name; null: the base. */
  readonly adapter: string | null;
  readonly key: string;
}

export class WarmPrefixes {
  readonly #parts: WarmPrefixParts;
  /** Prefix at replica → until when it is warm, monotonic ms. */
  readonly #warmUntil = new LruCache<string, number>({ maxEntries: KNOWN_MAX });
  readonly #waiting = new Set<string>();
  /** By engine: what answered there last. */
  readonly #adapters = new Map<string, ReadonlySet<string>>();
  #isWorking = false;

  constructor(parts: WarmPrefixParts) {
    this.#parts = parts;
  }

  /** The replica has read this prefix just now. */
  noted(prefixKey: string, replica: string): void {
    this.#warmUntil.set(`${prefixKey} ${replica}`, this.#parts.clock.monotonicMs() + WARM_FOR_MS);
  }

  /** Players will soon meet this NPC. Returns at once. */
  hint(npcId: string): PrefixState {
    const aim = this.#aim(npcId);
    if (aim === null) return 'cold';
    if (this.#isWarm(aim)) return 'warm';
    this.#waiting.delete(npcId);
    this.#waiting.add(npcId);
    for (const oldest of this.#waiting) {
      if (this.#waiting.size <= WAITING_MAX) break;
      this.#waiting.delete(oldest);
    }
    if (!this.#isWorking) this.#parts.tasks.tryStart('warm-prefixes', (signal) => this.#work(signal));
    return this.#isWorking ? 'warming' : 'cold';
  }

  /** These adapters, `name@version`, answer at the engine now: who speaks with a new one is warmed. */
  adaptersAt(engine: string, ids: readonly string[]): void {
    const before = this.#adapters.get(engine) ?? new Set();
    this.#adapters.set(engine, new Set(ids));
    for (const id of ids) if (!before.has(id)) this.#adapterCame(id);
  }

  #adapterCame(id: string): void {
    const name = id.slice(0, id.lastIndexOf('@'));
    let count = 0;
    for (const { id: npcId, model } of this.#parts.cast.npcs.values()) {
      if (model.adapter?.split('@')[0] !== name) continue;
      this.hint(npcId);
      count += 1;
      if (count >= PERSONAS_MAX) return;
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    this.#isWorking = true;
    try {
      for (const npcId of this.#waiting) {
        this.#waiting.delete(npcId);
        const aim = this.#aim(npcId);
        if (aim !== null && !this.#isWarm(aim)) await this.#warm(aim, signal);
        signal.throwIfAborted();
      }
    } finally {
      this.#isWorking = false;
    }
  }

  async #warm(aim: Aim, signal: AbortSignal): Promise<void> {
    const { clock, log, onWarmUp } = this.#parts;
    const { replica, persona } = aim;
    const { running, waiting, maxInFlight } = replica.snapshot();
    if (waiting > 0 || running >= maxInFlight * BUSY_SHARE) {
      onWarmUp(replica.name, 'busy');
      return;
    }
    using link = linkSignals(signal);
    using _timer = clock.timer(WARM_WITHIN_MS, () =>
      link.abort(new ServiceError('deadline_exceeded', `not warm within ${WARM_WITHIN_MS} ms`)),
    );
    try {
      using lease = this.#lease(aim);
      const { messages, tokens } = await this.#prefix(aim, link.signal);
      using _place = await replica.admission.acquire(
        {
          priority: 'ambient',
          player: null,
          source: 'warm-up',
          promptTokens: tokens,
          maxTokens: 1,
          deadlineMonoMs: clock.monotonicMs() + PLACE_WITHIN_MS,
        },
        link.signal,
      );
      const events = replica.engine.generate(
        {
          requestId: 'warm-up',
          model: replica.model,
          ...(lease === null ? {} : { adapter: lease.address }),
          messages,
          assistantPrefix: '',
          maxTokens: 1,
          temperature: 0,
          stop: [],
          priority: 'ambient',
          scene: {
            npcId: persona.id,
            tier: persona.tier,
            playerId: null,
            trigger: null,
            cause: null,
            mood: null,
            facts: [],
            committed: [],
          },
        },
        link.signal,
      );
      for await (const _event of events);
      this.noted(aim.key, replica.name);
      replica.prefixes.learn(aim.key, 0);
      onWarmUp(replica.name, 'warmed');
    } catch (error) {
      if (signal.aborted) throw error;
      onWarmUp(replica.name, 'failed');
      log.debug('prefix.cold', {
        engine: replica.name,
        npcId: persona.id,
        reason: ServiceError.from(error).message,
      });
    }
  }

  /** Throws `adapter_failed` when the adapter has left meanwhile: the base's keys and values would be of no use. */
  #lease({ persona, replica, adapter }: Aim): AdapterLease | null {
    if (adapter === null) return null;
    const resolved = this.#parts.adapters.resolve(persona.model.adapter ?? '');
    const lease = typeof resolved === 'string' ? null : this.#parts.adapters.lease(resolved, replica.name);
    if (lease === null)
      throw new ServiceError('adapter_failed', `${adapter} is not resident at ${replica.name} any more`);
    return lease;
  }

  async #prefix({ persona, replica, contextTokens }: Aim, signal: AbortSignal): Promise<StablePrompt> {
    const { prompts, tiers } = this.#parts;
    const asked = { counter: replica.counter, contextTokens };
    return await prompts.stable(persona, tiers[persona.tier], asked, signal);
  }

  #isWarm({ key, replica }: Aim): boolean {
    return (this.#warmUntil.get(`${key} ${replica.name}`) ?? 0) > this.#parts.clock.monotonicMs();
  }

  /** The replica that its next line would go to; null when there is none, it costs money, or its adapter is not there. */
  #aim(npcId: string): Aim | null {
    const { cast, tiers, pools, adapters } = this.#parts;
    const persona = cast.npcs.get(npcId);
    if (persona === undefined) return null;
    const pool = tiers[persona.tier].rungs.map((rung) => pools.get(rung)).find((each) => each !== undefined);
    if (pool === undefined) return null;
    const reference = persona.model.adapter;
    const resolved = reference === undefined ? null : adapters.resolve(reference);
    if (typeof resolved === 'string') return null;
    const adapter = resolved?.engineName ?? null;
    const key = prefixKeyOf({ persona, tier: persona.tier }, adapter);
    const replica = pool.pick({
      prefixKey: key,
      adapter,
      promptTokens: 0,
      priority: 'ambient',
      deadlineLeftMs: WARM_WITHIN_MS,
      mayPay: false,
    });
    if (typeof replica === 'string' || replica.isPaid) return null;
    if (adapter !== null && !replica.residentAdapters.has(adapter)) return null;
    return { persona, replica, contextTokens: pool.contextTokens, adapter, key };
  }
}
