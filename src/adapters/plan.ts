/**
 * What to load and what to give up, as a pure function of one moment. A load happens only when somebody pays for it: who
 * publishes, a pin, a line that waits or went without, a hint, or free room for a tagged adapter that is nowhere. What
 * lines speak with is never pushed out; to a starving line one of them is closed for new lines and goes when its last ends.
 *
 *     want ─▶ free place? load │ someone worth less, idle? push out, load │ starving? close one │ else wait
 */
import {
  fitsNow,
  freeBytes,
  freeSlots,
  isComing,
  isHeld,
  type Load,
  type PlanEntry,
  type PlanReplica,
  whyNoRoom,
} from './room.ts';
import {
  type Demand,
  HOT_LEASES,
  holdMs,
  isStarving,
  keepWorth,
  mayPushOut,
  PAYERS,
  type Payer,
  pays,
  tierWorth,
} from './worth.ts';

export interface PlanAdapter extends Load {
  readonly isPublished: boolean;
  readonly isPinned: boolean;
  readonly isTagged: boolean;
  /** Where somebody who publishes needs it; null: nobody does. */
  readonly kept: 'one' | ReadonlySet<string> | null;
  readonly demand: Demand | null;
}

export interface PlanInput {
  readonly nowMonoMs: number;
  /** Over the replicas of one base that stall while they load. */
  readonly loadsAtOnce: number;
  readonly replicas: readonly PlanReplica[];
  readonly adapters: readonly PlanAdapter[];
}

export type PlanAction =
  /** Speak for a place; the victims are closed and unloaded first. */
  | {
      readonly kind: 'stage';
      readonly replica: string;
      readonly engineName: string;
      readonly evicts: readonly string[];
      readonly payer: Payer;
      readonly reason: string;
    }
  /** The place is there: load. */
  | { readonly kind: 'load'; readonly replica: string; readonly engineName: string; readonly reason: string }
  /** No new lines; unloaded when the last one has ended. */
  | { readonly kind: 'drain'; readonly replica: string; readonly engineName: string; readonly reason: string }
  /** It was to come and is not wanted any more. */
  | {
      readonly kind: 'cancel';
      readonly replica: string;
      readonly engineName: string;
      readonly reason: string;
    };

export interface Plan {
  readonly actions: readonly PlanAction[];
  /** Whether somebody waits for what only time may bring: look again soon. */
  readonly isWaiting: boolean;
}

/** Where loading stalls nobody, two at once keep an engine's disk and its memory busy. */
const LOADS_PER_REPLICA = 2;

interface Want {
  readonly adapter: PlanAdapter;
  readonly payer: Payer;
  /** Where a copy is wanted; one of them suffices. */
  readonly replicas: readonly PlanReplica[];
  /** What a further copy would serve, in lines a second. */
  readonly copyWorth: number;
}

export function planResidency(input: PlanInput): Plan {
  const work = new Working(input);
  work.dropUnwanted();
  work.beginStaged();
  let isWaiting = false;
  const held = new Set<string>();
  for (const want of work.wants()) {
    if (work.place(want, held)) continue;
    // Free room is news by itself; whoever pushes another out waits for time to pass.
    if (want.payer !== 'spread' && want.payer !== 'restore') isWaiting = true;
    // Nothing for a hint goes where a player's line waits.
    if (want.payer === 'interactive' || want.payer === 'ambient')
      for (const replica of want.replicas) held.add(replica.name);
  }
  return { actions: work.actions, isWaiting };
}

/** The moment as it will be when the actions so far are done. */
class Working {
  readonly actions: PlanAction[] = [];
  readonly #input: PlanInput;
  readonly #adapters: ReadonlyMap<string, PlanAdapter>;
  readonly #replicas: Map<string, PlanReplica>;
  /** Whether there is room that nobody needs to be pushed out of. */
  readonly #mayTakeRoom: boolean;
  /** Adapters that are much spoken with somewhere. */
  readonly #busy: ReadonlySet<string>;

  constructor(input: PlanInput) {
    this.#input = input;
    this.#adapters = new Map(input.adapters.map((adapter) => [adapter.engineName, adapter]));
    this.#replicas = new Map(input.replicas.map((replica) => [replica.name, replica]));
    this.#mayTakeRoom = input.replicas.some((replica) => replica.restores.size > 0 || freeSlots(replica) > 0);
    this.#busy = new Set(
      input.replicas.flatMap(({ entries }) =>
        entries.filter(({ leases }) => leases >= HOT_LEASES).map(({ engineName }) => engineName),
      ),
    );
  }

  dropUnwanted(): void {
    for (const replica of this.#replicas.values())
      for (const entry of replica.entries) {
        const adapter = this.#adapters.get(entry.engineName);
        if (adapter !== undefined && (adapter.isPublished || adapter.kept !== null)) continue;
        const what = { replica: replica.name, engineName: entry.engineName, reason: 'not published' };
        if (entry.stage === 'resident') this.#do({ kind: 'drain', ...what });
        else if (entry.stage === 'staged') this.#do({ kind: 'cancel', ...what });
      }
  }

  beginStaged(): void {
    for (const { name } of this.#input.replicas)
      for (const { engineName, stage, bytes } of this.#replica(name).entries)
        if (stage === 'staged' && fitsNow(this.#replica(name), bytes))
          this.#do({ kind: 'load', replica: name, engineName, reason: 'its place is free' });
  }

  /** The most pressing first. */
  wants(): readonly Want[] {
    const { nowMonoMs } = this.#input;
    const wants = this.#input.adapters.flatMap((adapter) => this.#wantsOf(adapter));
    const since = ({ adapter }: Want) => adapter.demand?.sinceMonoMs ?? nowMonoMs;
    const starves = ({ adapter, payer }: Want) =>
      payer === 'interactive' && isStarving(adapter.demand, nowMonoMs) ? 0 : 1;
    return wants.sort(
      (a, b) =>
        PAYERS.indexOf(a.payer) - PAYERS.indexOf(b.payer) ||
        starves(a) - starves(b) ||
        (starves(a) === 0 ? since(a) - since(b) : 0) ||
        pays(b.adapter.demand) - pays(a.adapter.demand) ||
        since(a) - since(b) ||
        (a.adapter.engineName < b.adapter.engineName ? -1 : 1),
    );
  }

  /** False when it has to wait. */
  place(want: Want, held: ReadonlySet<string>): boolean {
    const open = want.replicas.filter((replica) => this.#mayBegin(want, this.#replica(replica.name), held));
    const roomy = open
      .map(({ name }) => this.#replica(name))
      .filter((replica) => freeSlots(replica) > 0 && freeBytes(replica) >= want.adapter.bytes)
      .sort((a, b) => freeSlots(b) - freeSlots(a) || (a.name < b.name ? -1 : 1))[0];
    if (roomy !== undefined) return this.#stage(want, roomy, []);
    let best: { readonly replica: PlanReplica; readonly victims: readonly PlanEntry[] } | null = null;
    let bestWorth = Number.POSITIVE_INFINITY;
    for (const { name } of open) {
      const replica = this.#replica(name);
      if (this.#rests(want, replica)) continue;
      const victims = this.#victims(want, replica);
      if (victims === null) continue;
      const worth = victims.reduce((sum, entry) => sum + keepWorth(entry, this.#input.nowMonoMs), 0);
      if (worth < bestWorth) {
        best = { replica, victims };
        bestWorth = worth;
      }
    }
    if (best !== null) return this.#stage(want, best.replica, best.victims);
    this.#closeOneFor(
      want,
      open.map(({ name }) => this.#replica(name)).filter((replica) => !this.#rests(want, replica)),
    );
    return false;
  }

  /** Of thousands that are published most want nothing: seen without a look at every replica. */
  #isIdle(adapter: PlanAdapter): boolean {
    const isAsked = adapter.kept !== null || adapter.demand !== null || adapter.isPinned;
    return !isAsked && !this.#mayTakeRoom && !this.#busy.has(adapter.engineName);
  }

  #wantsOf(adapter: PlanAdapter): readonly Want[] {
    if (this.#isIdle(adapter)) return [];
    const possible = this.#input.replicas.filter((replica) => this.#isPossible(adapter, replica));
    if (possible.length === 0) return [];
    const wants: Want[] = [];
    const want = (payer: Payer, replicas: readonly PlanReplica[], copyWorth = 0) => {
      if (replicas.length > 0) wants.push({ adapter, payer, replicas, copyWorth });
    };
    const copies = this.#input.replicas.flatMap(({ name }) => {
      const entry = this.#entry(name, adapter.engineName);
      return entry !== null && (isComing(entry) || entry.stage === 'resident') ? [{ name, entry }] : [];
    });
    const missing = possible.filter(({ name }) => !copies.some((copy) => copy.name === name));
    if (adapter.kept === 'one') {
      if (copies.length === 0) want('publish', missing);
    } else if (adapter.kept !== null)
      for (const replica of missing) if (adapter.kept.has(replica.name)) want('publish', [replica]);
    if (!adapter.isPublished) return wants;
    for (const replica of missing) if (replica.restores.has(adapter.engineName)) want('restore', [replica]);
    const { demand } = adapter;
    const useful = missing.filter(({ name }) => demand?.replicas?.has(name) ?? true);
    const isServed = copies.some(({ name }) => demand?.replicas?.has(name) ?? true);
    if (demand !== null && !isServed) {
      if (demand.interactive > 0) want('interactive', useful);
      else if (demand.ambient > 0) want('ambient', useful);
      else if (demand.hint > 0) want('hint', useful);
    }
    if (copies.length === 0) {
      if (adapter.isPinned) want('pin', missing);
      else if (adapter.isTagged)
        want(
          'spread',
          missing.filter((replica) => freeSlots(replica) > 0),
        );
    } else if (copies.every(({ entry }) => entry.stage === 'resident' && entry.leases >= HOT_LEASES)) {
      const rate = copies.reduce((sum, { entry }) => sum + entry.rate, 0);
      const tier = Math.max(...copies.map(({ entry }) => entry.tier));
      want('hot', missing, (tierWorth(tier) * rate) / (copies.length + 1));
    }
    return wants;
  }

  /** Whether it could come to this replica, with somebody else pushed out if need be. */
  #isPossible(adapter: PlanAdapter, replica: PlanReplica): boolean {
    if (replica.base !== adapter.base || !replica.loadsByCall) return false;
    const entry = this.#entry(replica.name, adapter.engineName);
    if (entry?.stage === 'failed' || (entry?.notBeforeMonoMs ?? 0) > this.#input.nowMonoMs) return false;
    return whyNoRoom(adapter, replica, (name) => this.#isFixed(name)) === null;
  }

  #isFixed(engineName: string): boolean {
    const adapter = this.#adapters.get(engineName);
    return adapter !== undefined && ((adapter.isPublished && adapter.isPinned) || adapter.kept !== null);
  }

  /** Whether loads are not too many already, here and where it would stall others. */
  #mayBegin(want: Want, replica: PlanReplica, held: ReadonlySet<string>): boolean {
    const entry = this.#entry(replica.name, want.adapter.engineName);
    if (entry !== null && (isComing(entry) || isHeld(entry))) return false;
    if (want.payer === 'hint' && held.has(replica.name)) return false;
    const coming = replica.entries.filter(isComing).length;
    if (!replica.stallsWhileLoading || replica.isStarting) return coming < LOADS_PER_REPLICA;
    const isPressing = PAYERS.indexOf(want.payer) <= PAYERS.indexOf('interactive');
    if (!isPressing && this.#input.nowMonoMs < replica.restsUntilMonoMs) return false;
    const everywhere = [...this.#replicas.values()]
      .filter((each) => each.base === replica.base && each.stallsWhileLoading && !each.isStarting)
      .reduce((sum, each) => sum + each.entries.filter(isComing).length, 0);
    return coming === 0 && everywhere < this.#input.loadsAtOnce;
  }

  /** Whether lines had too many loads lately for one more swap, whoever wants it; who publishes is not kept waiting. */
  #rests({ payer }: Want, replica: PlanReplica): boolean {
    if (!replica.stallsWhileLoading || replica.isStarting) return false;
    return payer === 'interactive' && this.#input.nowMonoMs < replica.restsUntilMonoMs;
  }

  /** Whom to push out so that it fits; null when those who may go are too few. */
  #victims(want: Want, replica: PlanReplica): readonly PlanEntry[] | null {
    const { nowMonoMs } = this.#input;
    const candidates = replica.entries
      .filter((entry) => entry.stage === 'resident' && entry.leases === 0 && !this.#isFixed(entry.engineName))
      .filter((entry) =>
        mayPushOut(entry, {
          payer: want.payer,
          demand: want.adapter.demand,
          copyWorth: want.copyWorth,
          isWanted: this.#isWanted(entry.engineName),
          stalls: replica.stallsWhileLoading,
          nowMonoMs,
        }),
      )
      .sort((a, b) => keepWorth(a, nowMonoMs) - keepWorth(b, nowMonoMs));
    const victims: PlanEntry[] = [];
    let slots = freeSlots(replica);
    let bytes = freeBytes(replica);
    for (const entry of candidates) {
      if (slots > 0 && bytes >= want.adapter.bytes) break;
      victims.push(entry);
      slots += 1;
      bytes += entry.bytes;
    }
    return slots > 0 && bytes >= want.adapter.bytes ? victims : null;
  }

  #isWanted(engineName: string): boolean {
    const demand = this.#adapters.get(engineName)?.demand;
    return demand != null && demand.interactive + demand.ambient > 0;
  }

  /** All who could go are spoken with: for a line that starves, and for who publishes, one takes no more lines. */
  #closeOneFor(want: Want, replicas: readonly PlanReplica[]): void {
    const { nowMonoMs } = this.#input;
    const isOwed =
      want.payer === 'publish' ||
      want.payer === 'pin' ||
      (want.payer === 'interactive' && isStarving(want.adapter.demand, nowMonoMs));
    if (!isOwed) return;
    const entries = replicas.flatMap((replica) =>
      replica.entries
        .filter(({ stage, engineName }) => stage === 'draining' || !this.#isFixed(engineName))
        .map((entry) => ({ replica, entry })),
    );
    // A place comes free by itself: one is on its way out, or only has to stay a little longer.
    if (entries.some(({ entry }) => entry.stage === 'draining')) return;
    if (entries.some(({ entry }) => entry.stage === 'resident' && entry.leases === 0)) return;
    const candidates = entries.filter(
      ({ replica, entry }) =>
        entry.stage === 'resident' &&
        (want.payer !== 'interactive' ||
          nowMonoMs - entry.residentSinceMonoMs >= holdMs(entry.loadMs, replica.stallsWhileLoading)),
    );
    const least = candidates.sort(
      (a, b) =>
        a.entry.leases - b.entry.leases || keepWorth(a.entry, nowMonoMs) - keepWorth(b.entry, nowMonoMs),
    )[0];
    if (least === undefined) return;
    this.#do({
      kind: 'drain',
      replica: least.replica.name,
      engineName: least.entry.engineName,
      reason: `${want.adapter.engineName} was kept waiting (${want.payer})`,
    });
  }

  #stage(want: Want, replica: PlanReplica, victims: readonly PlanEntry[]): boolean {
    const { engineName, bytes } = want.adapter;
    this.#do({
      kind: 'stage',
      replica: replica.name,
      engineName,
      evicts: victims.map((entry) => entry.engineName),
      payer: want.payer,
      reason:
        victims.length === 0
          ? `${want.payer}: there is room`
          : `${want.payer}: worth more than ${victims.map((entry) => entry.engineName).join(', ')}`,
    });
    if (fitsNow(this.#replica(replica.name), bytes))
      this.#do({ kind: 'load', replica: replica.name, engineName, reason: 'its place is free' });
    return true;
  }

  #replica(name: string): PlanReplica {
    return this.#replicas.get(name) as PlanReplica;
  }

  #entry(replica: string, engineName: string): PlanEntry | null {
    return this.#replica(replica).entries.find((entry) => entry.engineName === engineName) ?? null;
  }

  #do(action: PlanAction): void {
    this.actions.push(action);
    const replica = this.#replica(action.replica);
    this.#replicas.set(action.replica, {
      ...replica,
      entries: entriesAfter(replica.entries, action, this.#adapters.get(action.engineName)?.bytes ?? 0),
    });
  }
}

/** The entries of a replica once the action has been taken. */
export function entriesAfter(
  entries: readonly PlanEntry[],
  action: PlanAction,
  bytes: number,
): readonly PlanEntry[] {
  const { engineName } = action;
  switch (action.kind) {
    case 'stage': {
      const before = entries.find((entry) => entry.engineName === engineName);
      const staged = { ...(before ?? newEntry(engineName)), stage: 'staged' as const, bytes };
      return [
        ...entries
          .filter((entry) => entry !== before)
          .map((entry) =>
            action.evicts.includes(entry.engineName)
              ? { ...entry, stage: 'draining' as const, claimedBy: engineName }
              : entry,
          ),
        staged,
      ];
    }
    case 'load':
      return entries.map((entry) =>
        entry.engineName === engineName ? { ...entry, stage: 'loading' as const } : entry,
      );
    case 'drain':
      return entries.map((entry) =>
        entry.engineName === engineName ? { ...entry, stage: 'draining' as const } : entry,
      );
    case 'cancel':
      return entries.map((entry) =>
        entry.engineName === engineName
          ? { ...entry, stage: 'gone' as const }
          : entry.claimedBy === engineName
            ? { ...entry, claimedBy: null }
            : entry,
      );
  }
}

function newEntry(engineName: string): PlanEntry {
  return {
    engineName,
    stage: 'staged',
    leases: 0,
    bytes: 0,
    residentSinceMonoMs: 0,
    lastUsedMonoMs: 0,
    rate: 0,
    tier: 1,
    loadMs: 0,
    notBeforeMonoMs: 0,
    claimedBy: null,
  };
}
