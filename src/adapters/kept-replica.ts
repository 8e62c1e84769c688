/**
 * One connected engine in the keeping of residency: what it holds, and the tasks that bring an adapter in or take it out.
 * It lives as long as the connection: when that is lost every task of it ends and its places mean nothing any more.
 * Whatever a load came to, its end is known: resident, or unloaded again and either tried later or failed.
 */
import type { AdapterAddress, HeldAdapters } from '../core/adapter.ts';
import type { AdapterEvent } from '../core/adapter-event.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import { abortable, linkSignals } from '../lib/abort.ts';
import type { TaskGroup } from '../lib/async.ts';
import type { Place } from './place.ts';
import type { AdapterReplica } from './replica.ts';
import { isHeld, type PlanReplica } from './room.ts';
import { withinTime } from './time-limit.ts';
import { ProbedReplica, type Verifier } from './verify.ts';
import type { ReplicaView } from './views.ts';

export interface KeptReplicaParts {
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly log: Logger;
  readonly tasks: TaskGroup;
  readonly verifier: Verifier;
  /** Digests of all that is published. */
  readonly published: () => readonly string[];
  readonly loadAttempts: number;
  readonly swapsPerMinuteMax: number;
  readonly onEvent: (event: AdapterEvent) => void;
  /** Something moved: look again. */
  readonly onMove: () => void;
}

/** Seeds: 20 adapters a replica where neither the configuration nor the engine says. */
const SLOTS_DEFAULT = 20;
const LOAD_TIMEOUT_MS = 120_000;
const UNLOAD_TIMEOUT_MS = 30_000;
const VERIFY_TIMEOUT_MS = 60_000;
const QUESTION_TIMEOUT_MS = 5_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;
/** How long we believe an engine that had fewer slots than it said. */
const LEARNED_SLOTS_MS = 30_000;
/** A load that stalls lines is followed by so many times of quiet: loading takes a tenth of the time at most. */
const REST_LOADS = 9;
const MINUTE_MS = 60_000;

export class KeptReplica {
  readonly replica: AdapterReplica;
  readonly places = new Map<string, Place>();
  /** What should be back before traffic. */
  restores: ReadonlySet<string> = new Set();
  /** Whether what it holds is known: nothing is planned before. */
  isListed = false;
  isStarting = true;
  readonly #parts: KeptReplicaParts;
  readonly #probed: ProbedReplica;
  readonly #ending = new AbortController();
  /** The base being asked what it answers, or known; shared by all that are loaded at once. */
  #base: Promise<void> | null = null;
  #slots: number | null = null;
  #rankMax: number | null = null;
  #foreign = 0;
  #learned: { readonly slots: number; readonly untilMonoMs: number } | null = null;
  #restsUntilMonoMs = Number.NEGATIVE_INFINITY;
  #swaps: number[] = [];
  #isThrashing = false;
  #announced = '';

  constructor(replica: AdapterReplica, parts: KeptReplicaParts) {
    this.replica = replica;
    this.#parts = parts;
    this.#probed = new ProbedReplica(replica);
  }

  get name(): string {
    return this.replica.name;
  }

  /** Aborts when the connection is over. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  get swapsLastMinute(): number {
    const sinceMonoMs = this.#parts.clock.monotonicMs() - MINUTE_MS;
    this.#swaps = this.#swaps.filter((atMonoMs) => atMonoMs > sinceMonoMs);
    return this.#swaps.length;
  }

  end(reason: Error): void {
    this.#ending.abort(reason);
  }

  /** What the engine says of its size. One that does not answer is taken at its configuration's word. */
  async learnCapacity(signal: AbortSignal): Promise<void> {
    const said = await this.#ask('capacity', signal, (within) => this.replica.engine.capacity(within)).catch(
      (error: unknown) => this.#unanswered('capacity', error),
    );
    this.#slots = said?.slots ?? null;
    this.#rankMax = said?.rankMax ?? null;
  }

  /** What the engine holds; null when it does not answer. */
  async list(known: readonly AdapterAddress[], signal: AbortSignal): Promise<HeldAdapters | null> {
    const held = await this.#ask('list', signal, (within) => this.replica.engine.list(known, within)).catch(
      (error: unknown) => this.#unanswered('list', error),
    );
    if (held !== null) this.#foreign = held.foreign;
    return held;
  }

  /** Gives up what belongs to nobody here: left over from another life. */
  async dismiss(adapter: Pick<AdapterAddress, 'engineName' | 'number'>, signal: AbortSignal): Promise<void> {
    const { engineName } = adapter;
    try {
      await withinTime(
        this.#parts.clock,
        { what: `unloading ${engineName}`, timeoutMs: UNLOAD_TIMEOUT_MS },
        signal,
        (within) => this.replica.engine.unload(adapter, within),
      );
      this.#parts.log.info('adapter.dismissed', { engine: this.name, adapter: engineName });
    } catch (error) {
      if (signal.aborted) throw error;
      this.#unanswered(`unload ${engineName}`, error);
    }
  }

  /** Brings it in and verifies it; it is `loading` from now on and ends `resident`, or unloaded. */
  load(place: Place): void {
    if (place.stage !== 'loading') place.move('loading', null);
    const isStarted = this.#task(`load ${place.engineName}`, (signal) => this.#bringIn(place, signal));
    if (!isStarted) this.#failed(place, new ServiceError('overloaded', 'too many tasks'));
  }

  /** No new lines; it is unloaded when the last has ended. */
  drain(place: Place, reason: string): void {
    if (place.stage !== 'failed') place.endsAs = 'gone';
    place.move('draining', reason);
  }

  /** Unloads what drains, has no line left, and is not being unloaded yet. */
  unloadDrained(nowMonoMs: number): void {
    for (const place of this.places.values()) {
      if (place.stage !== 'draining' || place.leases > 0 || place.isUnloading) continue;
      if (nowMonoMs < place.notBeforeMonoMs) continue;
      place.isUnloading = this.#task(`unload ${place.engineName}`, (signal) => this.#takeOut(place, signal));
    }
  }

  countSwap(): void {
    const isThrashing = this.#countsAsThrashing(1);
    this.#swaps.push(this.#parts.clock.monotonicMs());
    this.#parts.onEvent({ type: 'swapped', engine: this.name, isThrashing });
  }

  /** One warning an episode; the episode is over when the last minute had half as many. */
  watchThrashing(): void {
    const wasThrashing = this.#isThrashing;
    const { swapsPerMinuteMax } = this.#parts;
    this.#isThrashing = wasThrashing
      ? this.swapsLastMinute * 2 > swapsPerMinuteMax
      : this.#countsAsThrashing(0);
    if (this.#isThrashing && !wasThrashing)
      this.#parts.log.warn('adapter.thrashing', {
        engine: this.name,
        swapsLastMinute: this.swapsLastMinute,
        swapsPerMinuteMax,
        advice: 'more adapters are in use than fit; add slots or replicas, or pin the ones that matter',
      });
  }

  /** Tells routing and metrics when what answers at once has changed. */
  announce(): void {
    const resident = [...this.places.values()].filter(({ stage }) => stage === 'resident');
    const names = resident.map(({ engineName }) => engineName).sort();
    const announced = `${this.#isThrashing} ${names.join(' ')}`;
    if (announced === this.#announced) return;
    this.#announced = announced;
    this.replica.setResident(new Set(names));
    this.#parts.onEvent({
      type: 'resident',
      engine: this.name,
      ids: resident.map(({ id }) => id),
      bytes: resident.reduce((sum, { bytes }) => sum + bytes, 0),
      isThrashing: this.#isThrashing,
    });
  }

  toPlan(nowMonoMs: number): PlanReplica {
    const { base, engine, limits } = this.replica;
    return {
      name: this.name,
      base,
      slots: this.#slotsNow(nowMonoMs),
      foreign: this.#foreign,
      bytesMax: limits.bytesMax,
      rankMax: limits.rankMax ?? this.#rankMax,
      loadsByCall: engine.traits.loads !== 'start',
      stallsWhileLoading: engine.traits.stallsWhileLoading,
      isStarting: this.isStarting,
      restores: this.restores,
      restsUntilMonoMs: this.#restsUntilMonoMs,
      entries: [...this.places.values()].map((place) => place.toPlan(nowMonoMs)),
    };
  }

  /** What fits here, now. */
  size(): PlanReplica {
    return this.toPlan(this.#parts.clock.monotonicMs());
  }

  view(isPinned: (engineName: string) => boolean): ReplicaView {
    const nowMonoMs = this.#parts.clock.monotonicMs();
    const places = [...this.places.values()];
    const held = places.filter(isHeld);
    return {
      engine: this.name,
      base: this.replica.base,
      isUp: true,
      slots: this.#slotsNow(nowMonoMs),
      slotsUsed: held.length + this.#foreign,
      bytes: held.reduce((sum, { bytes }) => sum + bytes, 0),
      bytesMax: this.replica.limits.bytesMax,
      swapsLastMinute: this.swapsLastMinute,
      isThrashing: this.#isThrashing,
      adapters: places.map((place) => place.view(nowMonoMs, isPinned(place.engineName))),
    };
  }

  #slotsNow(nowMonoMs: number): number {
    const slots = this.replica.limits.slots ?? this.#slots ?? SLOTS_DEFAULT;
    const learned =
      this.#learned !== null && nowMonoMs < this.#learned.untilMonoMs ? this.#learned.slots : slots;
    return Math.min(slots, learned);
  }

  async #bringIn(place: Place, signal: AbortSignal): Promise<void> {
    const { clock, verifier } = this.#parts;
    const { engineName } = place;
    try {
      await this.#learnBase(signal);
      const startedMonoMs = clock.monotonicMs();
      await withinTime(
        clock,
        { what: `loading ${engineName} at ${this.name}`, timeoutMs: LOAD_TIMEOUT_MS },
        signal,
        (within) => this.replica.engine.load(place.address, within),
      );
      const loadedMonoMs = clock.monotonicMs();
      place.loadMs = Math.round(loadedMonoMs - startedMonoMs);
      place.move('verifying', null);
      this.#parts.onMove();
      const { digest } = place.record;
      const isFull = place.payer === 'publish' || place.payer === 'restore' || place.failures > 0;
      await withinTime(
        clock,
        { what: `verifying ${engineName} at ${this.name}`, timeoutMs: VERIFY_TIMEOUT_MS },
        signal,
        (within) =>
          verifier.verify(
            this.#probed,
            { address: place.address, digest, isFull, others: this.#parts.published() },
            within,
          ),
      );
      const nowMonoMs = clock.monotonicMs();
      place.verifyMs = Math.round(nowMonoMs - loadedMonoMs);
      place.failures = 0;
      place.setbacks = 0;
      place.residentSinceMonoMs = nowMonoMs;
      place.move('resident', null);
      this.#restsUntilMonoMs = nowMonoMs + REST_LOADS * place.loadMs;
      const { loadMs, verifyMs, payer, id } = place;
      this.#parts.onEvent({ type: 'loaded', engine: this.name, id, payer, loadMs, verifyMs });
      this.#parts.log.info('adapter.resident', {
        engine: this.name,
        adapter: engineName,
        payer,
        loadMs,
        verifyMs,
      });
    } catch (error) {
      if (signal.aborted) throw error;
      this.#failed(place, ServiceError.from(error));
    }
    this.#parts.onMove();
  }

  /** One that hangs up does not end it for the others; a failure is tried again by the next. */
  async #learnBase(signal: AbortSignal): Promise<void> {
    const limit = { what: `asking the base of ${this.name}`, timeoutMs: VERIFY_TIMEOUT_MS };
    this.#base ??= withinTime(this.#parts.clock, limit, this.signal, (within) =>
      this.#probed.learnBase(within),
    ).catch((error: unknown) => {
      this.#base = null;
      throw error;
    });
    await abortable(this.#base, signal);
  }

  /** What failed is unloaded, too: nobody knows what the engine did with it. */
  #failed(place: Place, error: ServiceError): void {
    const nowMonoMs = this.#parts.clock.monotonicMs();
    const isFullUp = error.code === 'no_room';
    // Of these none speaks against the adapter.
    const isTheirFault = isFullUp || error.code === 'store_unavailable' || error.code === 'overloaded';
    if (!isTheirFault) place.failures += 1;
    place.setbacks += 1;
    if (isFullUp) {
      const others = [...this.places.values()].filter((each) => each !== place && isHeld(each)).length;
      this.#learned = { slots: others + this.#foreign, untilMonoMs: nowMonoMs + LEARNED_SLOTS_MS };
    }
    const isPermanent = error.details['isPermanent'] === true || error.code === 'adapter_incompatible';
    const isFinal = isPermanent || place.failures >= this.#parts.loadAttempts;
    place.endsAs = isFinal ? 'failed' : 'gone';
    place.unloadFailures = 0;
    place.notBeforeMonoMs = nowMonoMs;
    place.move('draining', error.message);
    const { id } = place;
    this.#parts.onEvent({ type: 'load-failed', engine: this.name, id, reason: error.message, isFinal });
    this.#parts.log.warn('adapter.load-failed', {
      engine: this.name,
      adapter: place.engineName,
      reason: error.message,
      failures: place.failures,
      isFinal,
    });
  }

  async #takeOut(place: Place, signal: AbortSignal): Promise<void> {
    const { engineName, reason } = place;
    try {
      await withinTime(
        this.#parts.clock,
        { what: `unloading ${engineName} at ${this.name}`, timeoutMs: UNLOAD_TIMEOUT_MS },
        signal,
        (within) =>
          this.replica.engine.traits.unloads === 'never'
            ? Promise.resolve()
            : this.replica.engine.unload(place.address, within),
      );
      place.isUnloading = false;
      place.unloadFailures = 0;
      const nowMonoMs = this.#parts.clock.monotonicMs();
      place.notBeforeMonoMs = nowMonoMs + (place.setbacks > 0 ? this.#backoffMs(place.setbacks) : 0);
      place.move(place.endsAs, reason);
      const { id } = place;
      this.#parts.onEvent({ type: 'unloaded', engine: this.name, id, reason: reason ?? '' });
      this.#parts.log.info('adapter.unloaded', { engine: this.name, adapter: engineName, reason });
    } catch (error) {
      if (signal.aborted) throw error;
      place.isUnloading = false;
      place.unloadFailures += 1;
      const { message } = ServiceError.from(error);
      place.notBeforeMonoMs = this.#parts.clock.monotonicMs() + this.#backoffMs(place.unloadFailures);
      // Of many tries the last: an engine that is away for a night would make it a book.
      const [because = 'draining'] = reason?.split('; unloading failed: ') ?? [];
      place.reason = `${because}; unloading failed: ${message}`;
      this.#release(place);
      this.#parts.log.warn('adapter.unload-failed', {
        engine: this.name,
        adapter: engineName,
        reason: message,
      });
    }
    this.#parts.onMove();
  }

  /** Whoever waits for this place looks for another one. */
  #release(place: Place): void {
    const claimant = place.claimedBy === null ? undefined : this.places.get(place.claimedBy);
    if (claimant?.stage === 'staged') this.cancel(claimant, `its place at ${this.name} does not come free`);
    place.claimedBy = null;
  }

  /** What was to come does not; those pushed out for it are on their way all the same. */
  cancel(place: Place, reason: string): void {
    place.move('gone', reason);
    for (const each of this.places.values()) if (each.claimedBy === place.engineName) each.claimedBy = null;
  }

  #countsAsThrashing(more: number): boolean {
    return this.swapsLastMinute + more > this.#parts.swapsPerMinuteMax;
  }

  /** Doubling, half of it by chance (as routing's cooldown). */
  #backoffMs(failures: number): number {
    const backoffMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 16));
    return backoffMs * (0.5 + this.#parts.random.next() / 2);
  }

  #task(name: string, work: (signal: AbortSignal) => Promise<void>): boolean {
    return this.#parts.tasks.tryStart(`${name} at ${this.name}`, async (stopping) => {
      using link = linkSignals(stopping, this.#ending.signal);
      try {
        await work(link.signal);
      } catch (error) {
        if (!link.signal.aborted) throw error;
      }
    });
  }

  #ask<T>(what: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = { what: `${what} of ${this.name}`, timeoutMs: QUESTION_TIMEOUT_MS };
    return withinTime(this.#parts.clock, limit, signal, work);
  }

  #unanswered(what: string, error: unknown): null {
    this.#parts.log.warn('adapter.engine-unanswered', {
      engine: this.name,
      what,
      reason: ServiceError.from(error).message,
    });
    return null;
  }
}
