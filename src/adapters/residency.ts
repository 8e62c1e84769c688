/**
 * The one owner of which adapters are where. Whatever happens (a line wants one, a lease comes back, a load ends, an engine
 * dies, another gateway publishes) ends in one turn: plan, act, tell who waits. Nothing else moves a stage. A lease is given
 * only on what is verified here, and nothing is unloaded under one.
 */
import {
  type AdapterAbsence,
  type AdapterAddress,
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
import { linkSignals } from '../lib/abort.ts';
import { TaskGroup } from '../lib/async.ts';
import { adapterNumber, addressOf } from './address.ts';
import { Demands } from './demand.ts';
import { KeptReplica } from './kept-replica.ts';
import type { AdaptersOptions } from './options.ts';
import { Place } from './place.ts';
import { type PlanAction, type PlanAdapter, planResidency } from './plan.ts';
import type { AdapterReplica } from './replica.ts';
import { isComing, isHeld, whyNoRoom } from './room.ts';
import { DesiredSnapshot } from './snapshot.ts';
import { withinTime } from './time-limit.ts';
import { Verifier } from './verify.ts';
import type { ReplicaView, ResidencyView } from './views.ts';
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

/** Where a publisher needs an adapter, before it is published to lines. */
export type Targets = 'one' | readonly string[];

interface Keep {
  readonly record: AdapterRecord;
  readonly targets: Targets;
}

interface Watcher {
  /** True when it is so; throws when it will never be. */
  readonly isSo: () => boolean;
  readonly settle: (error: unknown) => void;
}

/** How soon to look again when only time can bring what somebody waits for. */
const LOOK_AGAIN_MS = 100;
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
  readonly #snapshot: DesiredSnapshot;
  readonly #verifier: Verifier;
  readonly #demands = new Demands();
  readonly #replicas = new Map<string, KeptReplica>();
  /** Of replicas that are down: their base, and what was resident there. */
  readonly #down = new Map<string, { readonly base: string; readonly resident: ReadonlySet<string> }>();
  readonly #keeps = new Set<Keep>();
  readonly #watchers = new Set<Watcher>();
  #waiters = 0;
  #isTurnDue = false;
  #timer: Disposable | null = null;
  #timerMonoMs = 0;
  /** Whether somebody waits for a place that is not there. */
  #isWaiting = false;
  #hasEnded = false;

  constructor(parts: ResidencyParts) {
    this.#parts = parts;
    this.#snapshot = new DesiredSnapshot(parts);
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
    return this.#snapshot.desired;
  }

  /** Reads the desired document now. Never throws: without a store all goes on as it was. */
  async refresh(): Promise<void> {
    if (await this.#snapshot.refresh()) this.#wake();
  }

  /** A document that this gateway has just kept: it holds from this moment. */
  take(desired: DesiredAdapters): void {
    if (!this.#snapshot.take(desired)) return;
    this.#wake();
    if ([...this.#snapshot.adapters.values()].some(({ record }) => record === null))
      this.#tasks.tryStart('adapters-records', () => this.refresh());
  }

  resolve(reference: string): ResolvedAdapter | AdapterAbsence {
    return this.#snapshot.resolve(reference);
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
    for (const name of replicas) this.#place(name, engineName)?.wantedBy(wish.tier, sinceMonoMs);
    if (this.#isResidentAt(engineName, replicas)) return tell(null);
    const useless = this.#whyUseless(engineName, replicas);
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
      absence = await new Promise<AdapterAbsence | null>((resolve, reject) => {
        const waiting = this.#demands.wait({ engineName, replicas, wish, sinceMonoMs, settle });
        const limit = clock.timer(wish.waitMs, () => settle('loading'));
        const onAbort = () => end(() => reject(signal.reason as Error));
        const end = (how: () => void) => {
          waiting[Symbol.dispose]();
          limit[Symbol.dispose]();
          signal.removeEventListener('abort', onAbort);
          how();
        };
        function settle(outcome: AdapterAbsence | null) {
          end(() => resolve(outcome));
        }
        signal.addEventListener('abort', onAbort, { once: true });
      });
    } finally {
      this.#waiters -= 1;
    }
    if (absence === 'loading') recall();
    return tell(absence);
  }

  lease(adapter: ResolvedAdapter, replica: string): AdapterLease | null {
    const { clock } = this.#parts;
    const place = this.#place(replica, adapter.engineName);
    const lease = place?.lease(adapter, {
      nowMonoMs: () => clock.monotonicMs(),
      onRelease: () => {
        if (place.stage === 'draining' || this.#isWaiting) this.#wake();
      },
      onLost: () => this.#lost(replica, adapter.engineName),
    });
    // A busy one may have earned a copy; that is no matter of a single line.
    if (place !== undefined && place.leases >= HOT_LEASES) this.#lookWithin(LOOK_AGAIN_MS);
    return lease ?? null;
  }

  /**
   * An engine speaks: what it held, what is pinned and what is tagged is brought back and verified. Resolves when it is, or
   * when it failed, or after 60 s; then traffic may come. Aborting ends the waiting, not the work: that ends with
   * `replicaDown`, which rejects this too.
   */
  async replicaUp(replica: AdapterReplica, signal: AbortSignal): Promise<void> {
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
    const before = this.#down.get(replica.name)?.resident ?? new Set<string>();
    this.#down.delete(replica.name);
    this.#replicas.set(replica.name, kept);
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

  /** Its connection is lost: nothing is there any more. Leases on it mean nothing and may still be given back. */
  replicaDown(name: string): void {
    const kept = this.#replicas.get(name);
    if (kept === undefined) return;
    this.#replicas.delete(name);
    const resident = [...kept.places.values()].filter(({ stage }) => stage === 'resident');
    this.#down.set(name, {
      base: kept.replica.base,
      resident: new Set(resident.map(({ engineName }) => engineName)),
    });
    kept.end(new ServiceError('engine_unavailable', `the connection to ${name} is over`));
    kept.replica.setResident(new Set());
    this.#parts.onEvent({ type: 'resident', engine: name, count: 0, bytes: 0, isThrashing: false });
    this.#wake();
  }

  /**
   * Holds an adapter at the targets (or at any one replica) for who publishes, published or not, until it is disposed; it
   * starts afresh where it had failed. Nothing of it is pushed out meanwhile.
   */
  keep(record: AdapterRecord, targets: Targets): Disposable {
    const keep = { record, targets };
    this.#keeps.add(keep);
    this.#startAfresh(engineNameOf(record));
    this.#wake();
    return {
      [Symbol.dispose]: () => {
        if (this.#keeps.delete(keep)) this.#wake();
      },
    };
  }

  /**
   * Resolves when the adapter is verified at every target that is connected (or at any one replica). Rejects with
   * `adapter_failed` or `no_room` and the reason when it will not be, and with the signal's reason.
   */
  whenResident(record: AdapterRecord, targets: Targets, signal: AbortSignal): Promise<void> {
    const engineName = engineNameOf(record);
    return this.#until(() => {
      const fits = this.#connected().filter((kept) => kept.replica.base === record.base);
      const asked = targets === 'one' ? [] : fits.filter(({ name }) => targets.includes(name));
      const isOne = asked.length === 0;
      const where = isOne ? fits : asked;
      const hindrances = where.map((kept) => this.#hindrance(record, kept));
      const hindrance = hindrances.find((each) => each !== null);
      const isHopeless = isOne
        ? where.length > 0 && hindrances.every((each) => each !== null)
        : hindrances.some((each) => each !== null);
      const there = where.filter((kept) => kept.places.get(engineName)?.stage === 'resident').length;
      if (isHopeless && there === 0 && hindrance != null) throw hindrance;
      if (isHopeless && !isOne && hindrance != null) throw hindrance;
      return isOne ? there > 0 : there === where.length;
    }, signal);
  }

  /** Resolves when no engine that is connected holds it. */
  whenGone(engineName: string, signal: AbortSignal): Promise<void> {
    return this.#until(
      () =>
        this.#connected().every((kept) => {
          const place = kept.places.get(engineName);
          return place === undefined || !(isComing(place) || isHeld(place));
        }),
      signal,
    );
  }

  /** Names of connected replicas where it is resident now. */
  residentAt(engineName: string): readonly string[] {
    return this.#connected()
      .filter((kept) => kept.places.get(engineName)?.stage === 'resident')
      .map(({ name }) => name);
  }

  /**
   * Whether the adapter, which is kept, could be brought to at least one connected replica. Throws `adapter_incompatible`
   * when none runs its base, `no_room` with figures when none has room, `not_ready` when none is connected.
   */
  async requireRoom(record: AdapterRecord): Promise<void> {
    const connected = this.#connected();
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
    for (const kept of fits) if (!loadsByCall(kept.replica)) await this.#audit(kept);
    const reasons = fits.map((kept) => this.#roomReason(record, kept));
    if (reasons.every((reason) => reason !== null))
      throw new ServiceError('no_room', `${record.name}@${record.version}: ${reasons.join('; ')}`);
  }

  views(): readonly ReplicaView[] {
    const up = this.#connected().map((kept) => kept.view((engineName) => this.#isPinned(engineName)));
    const down = [...this.#down].map(([engine, { base }]) => ({
      engine,
      base,
      isUp: false,
      slots: null,
      slotsUsed: 0,
      bytes: 0,
      bytesMax: null,
      swapsLastMinute: 0,
      isThrashing: false,
      adapters: [],
    }));
    return [...up, ...down].sort((a, b) => (a.engine < b.engine ? -1 : 1));
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
    const ended = new ServiceError('draining', 'the keeper of adapters has ended');
    for (const { settle } of this.#demands.waiters) settle('loading');
    for (const watcher of [...this.#watchers]) watcher.settle(ended);
    for (const kept of this.#connected()) kept.end(ended);
    await this.#tasks[Symbol.asyncDispose]();
  }

  #wake(): void {
    if (this.#isTurnDue || this.#hasEnded) return;
    this.#isTurnDue = true;
    queueMicrotask(() => {
      this.#isTurnDue = false;
      if (!this.#hasEnded) this.#turn();
    });
  }

  #turn(): void {
    const nowMonoMs = this.#parts.clock.monotonicMs();
    this.#demands.forgetOld(nowMonoMs);
    const plan = planResidency({
      nowMonoMs,
      loadsAtOnce: this.#parts.options.loadsAtOnce,
      replicas: this.#connected()
        .filter(({ isListed }) => isListed)
        .map((kept) => kept.toPlan(nowMonoMs)),
      adapters: this.#planned(),
    });
    for (const action of plan.actions) this.#act(action);
    for (const kept of this.#connected()) {
      kept.unloadDrained(nowMonoMs);
      kept.watchThrashing();
      kept.announce();
    }
    this.#settleWaiters();
    for (const watcher of [...this.#watchers]) this.#check(watcher);
    this.#forgetGone();
    this.#isWaiting = plan.isWaiting;
    this.#lookAgain(nowMonoMs);
  }

  #act(action: PlanAction): void {
    const kept = this.#replicas.get(action.replica);
    if (kept === undefined) return;
    const { engineName, reason } = action;
    switch (action.kind) {
      case 'stage': {
        const record = this.#record(engineName);
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

  /** What the plan must know of: what is somewhere, should be somewhere, or is wanted. */
  #planned(): readonly PlanAdapter[] {
    const names = new Set(this.#demands.wanted);
    for (const kept of this.#connected()) {
      for (const engineName of kept.places.keys()) names.add(engineName);
      for (const engineName of kept.restores) names.add(engineName);
    }
    for (const [engineName, { published, isTagged }] of this.#snapshot.adapters)
      if (isTagged || published.isPinned) names.add(engineName);
    for (const { record } of this.#keeps) names.add(engineNameOf(record));
    return [...names].flatMap((engineName) => {
      const record = this.#record(engineName);
      if (record === null) return [];
      const known = this.#snapshot.adapters.get(engineName);
      return [
        {
          engineName,
          base: record.base,
          rank: record.rank,
          bytes: Math.max(record.bytes, record.ggufBytes),
          isPublished: known !== undefined,
          isPinned: known?.published.isPinned ?? false,
          isTagged: known?.isTagged ?? false,
          kept: this.#keptTargets(engineName),
          demand: this.#demands.of(engineName),
        },
      ];
    });
  }

  #keptTargets(engineName: string): 'one' | ReadonlySet<string> | null {
    const keeps = [...this.#keeps].filter(({ record }) => engineNameOf(record) === engineName);
    if (keeps.length === 0) return null;
    const names = keeps.flatMap(({ targets }) => (targets === 'one' ? [] : targets));
    return keeps.some(({ targets }) => targets === 'one') && names.length === 0 ? 'one' : new Set(names);
  }

  #settleWaiters(): void {
    for (const waiter of this.#demands.waiters)
      if (this.#isResidentAt(waiter.engineName, waiter.replicas)) waiter.settle(null);
      else {
        const useless = this.#whyUseless(waiter.engineName, waiter.replicas);
        if (useless !== null) waiter.settle(useless);
      }
    for (const engineName of this.#demands.wanted) {
      const where = this.#demands.of(engineName)?.replicas;
      if (this.residentAt(engineName).some((name) => where?.has(name) ?? true))
        this.#demands.served(engineName);
    }
  }

  /** Why waiting is of no use; null when it may be. */
  #whyUseless(engineName: string, replicas: readonly string[]): AdapterAbsence | null {
    const known = this.#snapshot.adapters.get(engineName);
    const isKept = this.#keptTargets(engineName) !== null;
    if (known === undefined && !isKept) return 'unpublished';
    const record = this.#record(engineName);
    if (record === null) return 'loading';
    let isHopeful = false;
    let worst: AdapterAbsence = 'unsupported';
    for (const name of replicas) {
      const kept = this.#replicas.get(name);
      if (kept === undefined) {
        isHopeful ||= this.#down.get(name)?.base === record.base;
        continue;
      }
      if (kept.replica.base !== record.base) continue;
      const hindrance = this.#hindrance(record, kept);
      if (hindrance === null) isHopeful = true;
      else if (worst !== 'failed') worst = hindrance.code === 'no_room' ? 'no_room' : 'failed';
    }
    return isHopeful ? null : worst;
  }

  /** Why an adapter will not come to a replica of its base; null when it may. */
  #hindrance(record: AdapterRecord, kept: KeptReplica): ServiceError | null {
    const place = kept.places.get(engineNameOf(record));
    if (place !== undefined && isHeld(place)) return null;
    if (place?.stage === 'failed')
      return new ServiceError('adapter_failed', `${place.id} at ${kept.name}: ${place.reason ?? 'unknown'}`);
    const reason = this.#roomReason(record, kept);
    return reason === null
      ? null
      : new ServiceError('no_room', `${record.name}@${record.version}: ${reason}`);
  }

  #roomReason(record: AdapterRecord, kept: KeptReplica): string | null {
    const plan = kept.toPlan(this.#parts.clock.monotonicMs());
    if (!loadsByCall(kept.replica) && kept.places.get(engineNameOf(record)) === undefined)
      return `${kept.name} takes adapters only when it starts`;
    const bytes = Math.max(record.bytes, record.ggufBytes);
    const load = { engineName: engineNameOf(record), base: record.base, rank: record.rank, bytes };
    return whyNoRoom(load, plan, (name) => this.#isPinned(name) || this.#keptTargets(name) !== null);
  }

  /** Asks the engine what it holds, and dismisses what nobody publishes. Resolves to what it holds of ours. */
  async #reconcile(kept: KeptReplica, signal: AbortSignal): Promise<readonly string[] | null> {
    const known = this.#addresses(kept);
    const list = await kept.list([...known.values()], signal);
    for (const engineName of list?.stale ?? []) {
      const isOurs = kept.places.has(engineName) || this.#snapshot.adapters.has(engineName);
      const isLeft = kept.replica.engine.traits.unloads === 'never';
      if (!isOurs && !isLeft && this.#keptTargets(engineName) === null)
        await kept.dismiss({ engineName, number: adapterNumber(engineName.slice(-8)) }, signal);
    }
    return list?.held ?? null;
  }

  /** Compares what we believe with what the engine says; only what did not move meanwhile can be told. */
  async #audit(kept: KeptReplica): Promise<void> {
    const before = new Map([...kept.places.values()].map((place) => [place, place.moves]));
    // What another gateway has just published is not left over from another life.
    await this.refresh();
    const list = await this.#reconcile(kept, kept.signal).catch(() => null);
    if (list === null || kept.signal.aborted) return;
    const held = new Set(list);
    this.#adopt(kept, list);
    const isFixed = !loadsByCall(kept.replica);
    const nowMonoMs = this.#parts.clock.monotonicMs();
    for (const [place, moves] of before) {
      if (place.moves !== moves) continue;
      const isThere = held.has(place.engineName);
      if (place.stage === 'resident' && !isThere) this.#lost(kept.name, place.engineName);
      else if (isThere && place.stage === 'gone' && isFixed) {
        if (nowMonoMs >= place.notBeforeMonoMs) kept.load(place);
      } else if (isThere && !isFixed && (place.stage === 'gone' || place.stage === 'failed'))
        kept.drain(place, place.reason ?? 'the engine holds what it should not');
    }
    this.#wake();
  }

  /** The engine does not hold what we believed: an engine that restarted behind its address, or forgot. */
  #lost(replica: string, engineName: string): void {
    const place = this.#place(replica, engineName);
    if (place?.stage !== 'resident') return;
    place.move('gone', 'the engine does not hold it any more');
    this.#parts.onEvent({ type: 'lost', engine: replica, id: place.id });
    this.#parts.log.warn('adapter.lost', { engine: replica, adapter: engineName });
    this.#wake();
  }

  #addresses(kept: KeptReplica): ReadonlyMap<string, AdapterAddress> {
    const known = new Map<string, AdapterAddress>();
    for (const { engineName, address } of kept.places.values()) known.set(engineName, address);
    for (const [engineName, { record }] of this.#snapshot.adapters)
      if (record !== null) known.set(engineName, this.#address(record, kept));
    for (const { record } of this.#keeps) known.set(engineNameOf(record), this.#address(record, kept));
    return known;
  }

  /** What it holds, what is pinned, what it had, and what is tagged and nowhere else; as many as there are slots. */
  #restoresOf(kept: KeptReplica, held: readonly string[], before: ReadonlySet<string>): ReadonlySet<string> {
    const { slots, foreign } = kept.toPlan(this.#parts.clock.monotonicMs());
    const rank = (engineName: string) =>
      held.includes(engineName) ? 0 : this.#isPinned(engineName) ? 1 : before.has(engineName) ? 2 : 3;
    const wanted = [...this.#snapshot.adapters]
      .filter(([, { record }]) => record?.base === kept.replica.base)
      .filter(
        ([engineName, { isTagged, published }]) =>
          held.includes(engineName) ||
          before.has(engineName) ||
          ((isTagged || published.isPinned) && this.#isNowhere(engineName)),
      )
      .map(([engineName]) => engineName)
      .sort((a, b) => rank(a) - rank(b));
    return new Set(wanted.slice(0, Math.max(0, slots - foreign)));
  }

  #isNowhere(engineName: string): boolean {
    return this.#connected().every((kept) => {
      const place = kept.places.get(engineName);
      return place === undefined || !(isComing(place) || place.stage === 'resident');
    });
  }

  /** From the connection's first moment to its last: learn, restore, then look now and then whether all is still there. */
  async #keepUp(kept: KeptReplica, before: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const limit = { what: 'reading what should be served', timeoutMs: STORE_MS };
    await withinTime(clock, limit, signal, () => this.refresh()).catch(() => signal.throwIfAborted());
    await kept.learnCapacity(signal);
    const held = (await this.#reconcile(kept, signal)) ?? [];
    kept.restores = this.#restoresOf(kept, held, before);
    kept.isListed = true;
    this.#adopt(kept, held);
    await this.#whenRestored(kept, signal);
    kept.isStarting = false;
    kept.restores = new Set();
    this.#wake();
    for (;;) {
      await clock.sleep(AUDIT_MS, signal);
      await this.#audit(kept);
    }
  }

  async #whenRestored(kept: KeptReplica, signal: AbortSignal): Promise<void> {
    const isSettled = (engineName: string): boolean => {
      const stage = kept.places.get(engineName)?.stage;
      if (stage === 'resident' || stage === 'failed') return true;
      const record = this.#snapshot.adapters.get(engineName)?.record ?? null;
      return record === null || this.#hindrance(record, kept) !== null;
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

  /** What is there although nobody here asked for it (it was loaded before we came, or late) is verified and used. */
  #adopt(kept: KeptReplica, held: readonly string[]): void {
    for (const engineName of held) {
      const record = this.#record(engineName);
      if (record === null || kept.places.has(engineName)) continue;
      const place = this.#newPlace(kept, record);
      place.payer = 'restore';
      place.move('loading', 'the engine holds it already');
      kept.load(place);
    }
    this.#wake();
  }

  /** Resolves when `isSo` says true at the end of a turn; rejects with what it throws, or when the signal aborts. */
  #until(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (this.#hasEnded) return reject(new ServiceError('draining', 'the keeper of adapters has ended'));
      const onAbort = () => watcher.settle(signal.reason);
      const watcher: Watcher = {
        isSo,
        settle: (error) => {
          this.#watchers.delete(watcher);
          signal.removeEventListener('abort', onAbort);
          if (error === null) resolve();
          else reject(error as Error);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#watchers.add(watcher);
      this.#wake();
    });
  }

  #check(watcher: Watcher): void {
    try {
      if (watcher.isSo()) watcher.settle(null);
    } catch (error) {
      watcher.settle(error);
    }
  }

  #forgetGone(): void {
    for (const kept of this.#connected())
      for (const [engineName, place] of kept.places)
        if (
          (place.stage === 'gone' && place.setbacks === 0) ||
          ((place.stage === 'gone' || place.stage === 'failed') && this.#record(engineName) === null)
        )
          kept.places.delete(engineName);
  }

  /** When time alone may change something, if nothing else happens before. */
  #lookAgain(nowMonoMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    if (this.#isWaiting) this.#lookWithin(LOOK_AGAIN_MS);
    for (const kept of this.#connected())
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

  #startAfresh(engineName: string): void {
    for (const kept of this.#connected()) {
      const place = kept.places.get(engineName);
      if (place === undefined) continue;
      if (place.stage === 'failed') place.move('gone', null);
      if (place.stage === 'gone') kept.places.delete(engineName);
    }
  }

  #newPlace(kept: KeptReplica, record: AdapterRecord): Place {
    const place = new Place(record, this.#address(record, kept));
    const { engineName } = place;
    const nowMonoMs = this.#parts.clock.monotonicMs();
    const copies = this.residentAt(engineName).length + 1;
    place.expect(this.#demands.rateOf(engineName, nowMonoMs) / copies, nowMonoMs);
    place.wantedBy(this.#demands.of(engineName)?.tier ?? 1, nowMonoMs);
    kept.places.set(place.engineName, place);
    return place;
  }

  #address(record: AdapterRecord, kept: KeptReplica): AdapterAddress {
    return addressOf(record, this.#parts.directory, kept.replica.artefactRoot);
  }

  #record(engineName: string): AdapterRecord | null {
    for (const { record } of this.#keeps) if (engineNameOf(record) === engineName) return record;
    return this.#snapshot.adapters.get(engineName)?.record ?? null;
  }

  #connected(): readonly KeptReplica[] {
    return [...this.#replicas.values()];
  }

  #place(replica: string, engineName: string): Place | undefined {
    return this.#replicas.get(replica)?.places.get(engineName);
  }

  #isResidentAt(engineName: string, replicas: readonly string[]): boolean {
    return replicas.some((name) => this.#place(name, engineName)?.stage === 'resident');
  }

  #isPinned(engineName: string): boolean {
    return this.#snapshot.adapters.get(engineName)?.published.isPinned ?? false;
  }
}

/** Whether adapters come by a call at all; else only what it was started with is there. */
function loadsByCall(replica: AdapterReplica): boolean {
  return replica.engine.traits.loads !== 'start';
}
