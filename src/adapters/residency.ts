/**
 * The one owner of which adapters are where. Whatever happens (a line wants one, a lease comes back, a load ends, an engine
 * dies, another gateway publishes) ends in one turn: plan, act, tell who waits. Nothing else moves a stage. A lease is given
 * only on what is verified here, and nothing is unloaded under one.
 */
import {
  type AdapterAbsence,
  type AdapterKeeper,
  type AdapterLease,
  type AdapterRecord,
  type AdapterStore,
  type AdapterWish,
  type DesiredAdapters,
  engineNameOf,
  type ResolvedAdapter,
} from '../core/adapter.ts';
import type { AdapterEvent } from '../core/adapter-event.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import { abortable, linkSignals } from '../lib/abort.ts';
import { TaskGroup } from '../lib/async.ts';
import { Census } from './census.ts';
import { Demands } from './demand.ts';
import { Holdings, loadsByCall, type Targets } from './holdings.ts';
import { KeptReplica } from './kept-replica.ts';
import type { AdaptersOptions } from './options.ts';
import type { Place } from './place.ts';
import { type PlanAction, planResidency } from './plan.ts';
import { hindrance, isWhereItShould, roomReason, whyUseless } from './prospects.ts';
import type { AdapterReplica } from './replica.ts';
import { isComing, isHeld } from './room.ts';
import { DesiredSnapshot } from './snapshot.ts';
import { withinTime } from './time-limit.ts';
import { Verifier } from './verify.ts';
import type { ReplicaView, ResidencyView } from './views.ts';
import { Watchers } from './watchers.ts';
import { HOT_LEASES } from './worth.ts';

export interface ResidencyParts {
  readonly store: AdapterStore;
  /** Folder of the staged artefacts, absolute. */
  readonly directory: string;
  readonly options: Pick<AdaptersOptions, 'loadsAtOnce' | 'loadAttempts' | 'swapsPerMinuteMax' | 'pollMs'>;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly log: Logger;
  readonly onEvent: (event: AdapterEvent) => void;
}

/** How soon to look again when only time can bring what somebody waits for. */
const LOOK_AGAIN_MS = 100;
/** After a turn that broke. */
const BROKEN_TURN_MS = 1_000;
/** How often an engine is asked whether it still holds what we believe. */
const AUDIT_MS = 10_000;
/** What was resident must be back before traffic, but players wait no longer than this for it. */
const RESTORE_MS = 60_000;
/** A store that does not answer must not keep an engine from traffic. */
const STORE_MS = 2_000;
const TASKS_MAX = 4_096;
/** Lines that wait for an adapter at once; beyond it the base answers. */
const WAITERS_MAX = 10_000;

export class Residency implements AdapterKeeper, AsyncDisposable {
  readonly #parts: ResidencyParts;
  readonly #tasks: TaskGroup;
  readonly #holdings: Holdings;
  readonly #census: Census;
  readonly #verifier: Verifier;
  readonly #demands = new Demands();
  readonly #watchers = new Watchers();
  #waiters = 0;
  #isTurnDue = false;
  #timer: Disposable | null = null;
  #timerMonoMs = 0;
  /** Whether somebody waits for a place that is not there. */
  #isWaiting = false;
  #hasEnded = false;

  constructor(parts: ResidencyParts) {
    this.#parts = parts;
    const { clock, log, onEvent } = parts;
    this.#holdings = new Holdings(new DesiredSnapshot(parts), parts.directory);
    this.#census = new Census({
      holdings: this.#holdings,
      clock,
      log,
      onEvent,
      refresh: () => this.refresh(),
      onMove: () => this.#wake(),
    });
    this.#verifier = new Verifier(parts.store);
    this.#tasks = new TaskGroup({
      maxTasks: TASKS_MAX,
      onFailure: (task, error) =>
        parts.log.error('adapter.task-failed', { task, reason: ServiceError.from(error).message }),
    });
  }

  /** Reads the desired document and follows it from now on. Resolves when it was read, or the store did not answer. */
  async start(): Promise<void> {
    await this.refresh();
    this.#tasks.tryStart('adapters-poll', async (signal) => {
      for (;;) {
        await this.#parts.clock.sleep(this.#parts.options.pollMs, signal);
        await this.refresh();
      }
    });
  }

  /** The document as this gateway knows it. */
  get desired(): DesiredAdapters {
    return this.#holdings.snapshot.desired;
  }

  /** Reads the desired document now. Never throws: without a store all goes on as it was. */
  async refresh(): Promise<void> {
    if (await this.#holdings.snapshot.refresh()) this.#wake();
  }

  /** A document that this gateway has just kept: it holds from this moment. */
  take(desired: DesiredAdapters): void {
    const { snapshot } = this.#holdings;
    if (!snapshot.take(desired)) return;
    for (const record of this.#holdings.keptRecords()) snapshot.learn(record);
    this.#wake();
    if ([...snapshot.adapters.values()].some(({ record }) => record === null))
      this.#tasks.tryStart('adapters-records', () => this.refresh());
  }

  resolve(reference: string): ResolvedAdapter | AdapterAbsence {
    return this.#holdings.snapshot.resolve(reference);
  }

  async want(
    adapter: ResolvedAdapter,
    replicas: readonly string[],
    wish: AdapterWish & { readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<AdapterAbsence | null> {
    signal.throwIfAborted();
    const { clock } = this.#parts;
    const { engineName } = adapter;
    const { priority } = wish;
    const sinceMonoMs = clock.monotonicMs();
    const tell = (absence: AdapterAbsence | null) => {
      const waitedMs = clock.monotonicMs() - sinceMonoMs;
      this.#parts.onEvent({ type: 'wanted', priority, absence, waitedMs });
      return absence;
    };
    if (priority !== 'hint') this.#demands.count(engineName, sinceMonoMs);
    for (const name of replicas) this.#holdings.place(name, engineName)?.wantedBy(wish.tier, sinceMonoMs);
    if (this.#holdings.isResidentAt(engineName, replicas)) return tell(null);
    const useless = whyUseless(this.#holdings, engineName, replicas);
    if (useless !== null) return tell(useless);
    const recall = () =>
      this.#demands.recall(engineName, { wish, replicas, sinceMonoMs }, clock.monotonicMs());
    this.#wake();
    if (priority === 'hint' || wish.waitMs <= 0 || this.#waiters >= WAITERS_MAX || this.#hasEnded) {
      recall();
      return tell('loading');
    }
    let absence: AdapterAbsence | null = 'loading';
    this.#waiters += 1;
    try {
      absence = await this.#demands.untilSettled({ engineName, replicas, wish, sinceMonoMs }, clock, signal);
    } finally {
      this.#waiters -= 1;
    }
    if (absence === 'loading') recall();
    return tell(absence);
  }

  lease(adapter: ResolvedAdapter, replica: string): AdapterLease | null {
    const { clock } = this.#parts;
    const place = this.#holdings.place(replica, adapter.engineName);
    const lease = place?.lease(adapter, {
      nowMonoMs: () => clock.monotonicMs(),
      onRelease: () => {
        if (place?.stage === 'draining' || this.#isWaiting) this.#wake();
      },
      onLost: () => {
        const kept = this.#holdings.replicas.get(replica);
        if (kept !== undefined && place !== undefined) this.#census.lost(kept, place);
      },
    });
    // A busy one may have earned a copy; that is no matter of a single line.
    if (place !== undefined && place.leases >= HOT_LEASES) this.#lookWithin(LOOK_AGAIN_MS);
    return lease ?? null;
  }

  /**
   * An engine speaks: what it held, what is pinned and what is tagged is brought back and verified. Resolves when it is, or
   * when it failed, or after 60 s; then traffic may come. Of a connection that lives on (the engine was silent for a
   * while) only what the engine lost comes back: lines may speak there, and their leases hold. Aborting ends the waiting, not
   * the work: that ends with `replicaDown`, which rejects this too.
   */
  async replicaUp(replica: AdapterReplica, signal: AbortSignal): Promise<void> {
    const living = this.#holdings.replicas.get(replica.name);
    if (living?.replica === replica && (await this.#bringBack(living, signal))) return;
    this.replicaDown(replica.name);
    const { clock, random, log, onEvent, options } = this.#parts;
    const kept = new KeptReplica(replica, {
      clock,
      random,
      log,
      onEvent,
      tasks: this.#tasks,
      verifier: this.#verifier,
      published: () => this.desired.published.map(({ digest }) => digest),
      loadAttempts: options.loadAttempts,
      swapsPerMinuteMax: options.swapsPerMinuteMax,
      onMove: () => this.#wake(),
    });
    const before = this.#holdings.down.get(replica.name)?.resident ?? new Set<string>();
    this.#holdings.down.delete(replica.name);
    this.#holdings.replicas.set(replica.name, kept);
    const isStarted = this.#tasks.tryStart(`adapters-keep ${replica.name}`, async (stopping) => {
      using until = linkSignals(stopping, kept.signal);
      await this.#keepUp(kept, before, until.signal).catch((error: unknown) => {
        if (!until.signal.aborted) throw error;
      });
    });
    if (!isStarted) {
      this.replicaDown(replica.name);
      throw new ServiceError('draining', 'the keeper of adapters has ended, or keeps too many engines');
    }
    using link = linkSignals(signal, kept.signal);
    await this.#until(() => !kept.isStarting, link.signal);
  }

  /** False when the engine does not say what it holds, or cannot be loaded by a call. */
  async #bringBack(kept: KeptReplica, signal: AbortSignal): Promise<boolean> {
    if (!kept.isListed || kept.replica.engine.traits.loads !== 'call') return false;
    const before = [...kept.places.values()].filter(({ stage }) => stage === 'resident');
    const hasAnswered = await abortable(this.#census.audit(kept), signal);
    if (!hasAnswered || kept.signal.aborted) return false;
    const lost = before.filter(({ stage }) => stage !== 'resident').map(({ engineName }) => engineName);
    kept.restores = new Set([...kept.restores, ...lost]);
    kept.isStarting = true;
    const isStarted = this.#tasks.tryStart(`adapters-restore ${kept.name}`, async (stopping) => {
      using until = linkSignals(stopping, kept.signal);
      await this.#restore(kept, until.signal).catch((error: unknown) => {
        if (!until.signal.aborted) throw error;
      });
    });
    if (!isStarted) return false;
    using link = linkSignals(signal, kept.signal);
    await this.#until(() => !kept.isStarting, link.signal);
    return true;
  }

  /** Its connection is lost: nothing is there any more. Leases on it mean nothing and may still be given back. */
  replicaDown(name: string): void {
    const kept = this.#holdings.replicas.get(name);
    if (kept === undefined) return;
    this.#holdings.replicas.delete(name);
    const resident = [...kept.places.values()].filter(({ stage }) => stage === 'resident');
    this.#holdings.down.set(name, {
      base: kept.replica.base,
      resident: new Set(resident.map(({ engineName }) => engineName)),
    });
    kept.end(new ServiceError('engine_unavailable', `the connection to ${name} is over`));
    kept.replica.setResident(new Set());
    this.#parts.onEvent({ type: 'resident', engine: name, ids: [], bytes: 0, isThrashing: false });
    this.#wake();
  }

  /**
   * Holds an adapter at the targets (or at any one replica) for who publishes, published or not, until it is disposed; it
   * starts afresh where it had failed. Nothing of it is pushed out meanwhile.
   */
  keep(record: AdapterRecord, targets: Targets): Disposable {
    const keep = this.#holdings.keep(record, targets);
    this.#holdings.startAfresh(engineNameOf(record));
    this.#wake();
    return {
      [Symbol.dispose]: () => {
        if (this.#holdings.giveUp(keep)) this.#wake();
      },
    };
  }

  /**
   * Resolves when the adapter is verified at every target that is connected (or at any one replica). Rejects with
   * `adapter_failed` or `no_room` and the reason when it will not be, and with the signal's reason.
   */
  whenResident(record: AdapterRecord, targets: Targets, signal: AbortSignal): Promise<void> {
    return this.#until(() => isWhereItShould(this.#holdings, record, targets), signal);
  }

  /** Resolves when no engine that is connected holds it. */
  whenGone(engineName: string, signal: AbortSignal): Promise<void> {
    return this.#until(
      () =>
        this.#holdings.connected().every((kept) => {
          const place = kept.places.get(engineName);
          return place === undefined || !(isComing(place) || isHeld(place));
        }),
      signal,
    );
  }

  /** Names of connected replicas where it is resident now. */
  residentAt(engineName: string): readonly string[] {
    return this.#holdings.residentAt(engineName);
  }

  /**
   * Whether the adapter, which is kept, could be brought to at least one connected replica. Throws `adapter_incompatible`
   * when none runs its base, `no_room` with figures when none has room, `not_ready` when none is connected.
   */
  async requireRoom(record: AdapterRecord): Promise<void> {
    const connected = this.#holdings.connected();
    if (connected.length === 0)
      throw new ServiceError(
        'not_ready',
        'no engine that takes adapters is connected; try again when one is',
      );
    const fits = connected.filter(({ replica }) => replica.base === record.base);
    if (fits.length === 0) {
      const bases = [...new Set(connected.map(({ replica }) => replica.base))].join(', ');
      throw new ServiceError(
        'adapter_incompatible',
        `${record.name}@${record.version} is for the base ${record.base}; the engines that are connected run ${bases}`,
      );
    }
    // What an engine was started with is only known by asking it.
    for (const kept of fits) if (!loadsByCall(kept.replica)) await this.#census.audit(kept);
    const reasons = fits.map((kept) => roomReason(this.#holdings, record, kept));
    if (reasons.every((reason) => reason !== null))
      throw new ServiceError('no_room', `${record.name}@${record.version}: ${reasons.join('; ')}`);
  }

  views(): readonly ReplicaView[] {
    return this.#holdings.views();
  }

  /** Where one adapter is, by its id (`lich@7`). */
  viewsOf(id: string): readonly (ResidencyView & { readonly engine: string })[] {
    return this.views().flatMap(({ engine, adapters }) =>
      adapters.filter((view) => view.id === id).map((view) => ({ ...view, engine })),
    );
  }

  /** Stops all loads and waits for them; engines keep what they hold. Who waits is told `loading`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#hasEnded = true;
    this.#timer?.[Symbol.dispose]();
    for (const { settle } of this.#demands.waiters) settle('loading');
    this.#watchers.end();
    const ended = new ServiceError('draining', 'the keeper of adapters has ended');
    for (const kept of this.#holdings.connected()) kept.end(ended);
    await this.#tasks[Symbol.asyncDispose]();
  }

  #wake(): void {
    if (this.#isTurnDue || this.#hasEnded) return;
    this.#isTurnDue = true;
    queueMicrotask(() => {
      this.#isTurnDue = false;
      if (!this.#hasEnded) this.#tryTurn();
    });
  }

  /** A turn that breaks is a fault of ours, and no reason to take every line of the gateway with it: it is told, and tried again. */
  #tryTurn(): void {
    try {
      this.#turn();
    } catch (error) {
      this.#parts.log.error('adapter.turn-broke', { error: ServiceError.from(error) });
      this.#lookWithin(BROKEN_TURN_MS);
    }
  }

  #turn(): void {
    const nowMonoMs = this.#parts.clock.monotonicMs();
    this.#demands.forgetOld(nowMonoMs);
    const plan = planResidency({
      nowMonoMs,
      loadsAtOnce: this.#parts.options.loadsAtOnce,
      replicas: this.#holdings
        .connected()
        .filter(({ isListed }) => isListed)
        .map((kept) => kept.toPlan(nowMonoMs)),
      adapters: this.#holdings.planned(this.#demands),
    });
    for (const action of plan.actions) this.#act(action);
    for (const kept of this.#holdings.connected()) {
      kept.unloadDrained(nowMonoMs);
      kept.watchThrashing();
      kept.announce();
    }
    this.#settleWaiters();
    this.#watchers.look();
    this.#holdings.forgetGone();
    this.#isWaiting = plan.isWaiting;
    this.#lookAgain(nowMonoMs);
  }

  #act(action: PlanAction): void {
    const kept = this.#holdings.replicas.get(action.replica);
    if (kept === undefined) return;
    const { engineName, reason } = action;
    switch (action.kind) {
      case 'stage': {
        const record = this.#holdings.record(engineName);
        if (record === null) return;
        for (const victim of action.evicts) {
          const place = kept.places.get(victim);
          if (place === undefined) continue;
          kept.drain(place, reason);
          place.claimedBy = engineName;
        }
        if (action.evicts.length > 0) kept.countSwap();
        const place = kept.places.get(engineName) ?? this.#newPlace(kept, record);
        place.payer = action.payer;
        place.move('staged', reason);
        return;
      }
      case 'load': {
        const place = kept.places.get(engineName);
        if (place !== undefined) kept.load(place);
        return;
      }
      case 'drain': {
        const place = kept.places.get(engineName);
        if (place !== undefined) kept.drain(place, reason);
        return;
      }
      case 'cancel': {
        const place = kept.places.get(engineName);
        if (place !== undefined) kept.cancel(place, reason);
      }
    }
  }

  #settleWaiters(): void {
    for (const waiter of this.#demands.waiters)
      if (this.#holdings.isResidentAt(waiter.engineName, waiter.replicas)) waiter.settle(null);
      else {
        const useless = whyUseless(this.#holdings, waiter.engineName, waiter.replicas);
        if (useless !== null) waiter.settle(useless);
        // Where loads are rare, waiting for a place that others hold is mostly in vain: the base speaks, and the wish goes on
        // paying. Where they hold up nobody, the turn comes soon.
        else if (
          this.#holdings.stallsAtAll(waiter.replicas) &&
          !this.#holdings.isComingAt(waiter.engineName, waiter.replicas)
        )
          waiter.settle('loading');
      }
    for (const engineName of this.#demands.wanted) {
      const where = this.#demands.of(engineName)?.replicas;
      if (this.residentAt(engineName).some((name) => where?.has(name) ?? true))
        this.#demands.served(engineName);
    }
  }

  /** From the connection's first moment to its last: learn, restore, then look now and then whether all is still there. */
  async #keepUp(kept: KeptReplica, before: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const limit = { what: 'reading what should be served', timeoutMs: STORE_MS };
    await withinTime(clock, limit, signal, () => this.refresh()).catch(() => signal.throwIfAborted());
    kept.restores = await this.#census.restores(kept, before, signal);
    kept.isListed = true;
    await this.#restore(kept, signal);
    for (;;) {
      await clock.sleep(AUDIT_MS, signal);
      await this.#census.audit(kept);
    }
  }

  async #restore(kept: KeptReplica, signal: AbortSignal): Promise<void> {
    this.#wake();
    await this.#whenRestored(kept, signal);
    kept.isStarting = false;
    kept.restores = new Set();
    this.#wake();
  }

  async #whenRestored(kept: KeptReplica, signal: AbortSignal): Promise<void> {
    const isSettled = (engineName: string): boolean => {
      const stage = kept.places.get(engineName)?.stage;
      if (stage === 'resident' || stage === 'failed') return true;
      const record = this.#holdings.snapshot.adapters.get(engineName)?.record ?? null;
      return record === null || hindrance(this.#holdings, record, kept) !== null;
    };
    const limit = { what: `restoring adapters at ${kept.name}`, timeoutMs: RESTORE_MS };
    const { clock, log } = this.#parts;
    await withinTime(clock, limit, signal, (within) =>
      this.#until(() => [...kept.restores].every(isSettled), within),
    ).catch((error: unknown) => {
      signal.throwIfAborted();
      log.warn('adapter.restore-late', { engine: kept.name, reason: ServiceError.from(error).message });
    });
  }

  /** When time alone may change something, if nothing else happens before. */
  #lookAgain(nowMonoMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    if (this.#isWaiting) this.#lookWithin(LOOK_AGAIN_MS);
    for (const kept of this.#holdings.connected())
      for (const { notBeforeMonoMs, stage } of kept.places.values())
        if (notBeforeMonoMs > nowMonoMs && (stage === 'gone' || stage === 'draining'))
          this.#lookWithin(notBeforeMonoMs - nowMonoMs);
  }

  #lookWithin(durationMs: number): void {
    const { clock } = this.#parts;
    const atMonoMs = clock.monotonicMs() + durationMs;
    if (this.#hasEnded || (this.#timer !== null && this.#timerMonoMs <= atMonoMs)) return;
    this.#timer?.[Symbol.dispose]();
    this.#timerMonoMs = atMonoMs;
    this.#timer = clock.timer(Math.max(1, Math.ceil(durationMs)), () => {
      this.#timer = null;
      this.#wake();
    });
  }

  /** What lines did while it was out counts: else whatever has just come would look unused, and be pushed out again. */
  #newPlace(kept: KeptReplica, record: AdapterRecord): Place {
    const nowMonoMs = this.#parts.clock.monotonicMs();
    const place = this.#holdings.newPlace(kept, record);
    const { engineName } = place;
    const copies = this.residentAt(engineName).length + 1;
    place.expect(this.#demands.rateOf(engineName, nowMonoMs) / copies, nowMonoMs);
    place.wantedBy(this.#demands.of(engineName)?.tier ?? 1, nowMonoMs);
    return place;
  }

  #until(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    const becomes = this.#watchers.until(isSo, signal);
    this.#wake();
    return becomes;
  }
}
