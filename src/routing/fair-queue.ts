/**
 * Who is served next: sources share tokens fairly, players share within their source, and as far as that allows
 * queue-order.ts decides: what is due, then the deadline class, then the shortest prefill. Fair queueing by start tags (Goyal, Vin, Cheng 1996, "Start-time Fair Queuing"), counted in
 * tokens as in "Fairness in Serving Large Language Models" (Sheng et al. 2024), on two levels. Pure: the time is handed in.
 *
 * A flow's tag is the tokens it was given in this time of contention. A flow may be served while its tag is at most
 * `slackTokens` above the lowest. So two flows that wait all along are never
 * further apart than 2 · (slackTokens + the dearest request), and a flow is overtaken by at most slackTokens plus one
 * request of each other flow, however late its deadline. While its flow may be served, a request is passed over by later
 * ones at most PASSED_OVER_MAX times. Nobody starves.
 */
import { invariant } from '../lib/invariant.ts';
import {
  compareWaiting,
  deadlineClassOf,
  goesBefore,
  type Waiting as Ordered,
  prefillStepsOf,
} from './queue-order.ts';

export interface QueueEntry<T> {
  readonly source: string;
  readonly player: string;
  /** Tokens that it will be charged; more than 0. */
  readonly cost: number;
  /** Tokens that probably have to be read, at least 0: those of the prompt that no cache holds. */
  readonly prefillTokens: number;
  readonly askedMonoMs: number;
  /** Infinite: whenever its turn comes. */
  readonly deadlineMonoMs: number;
  readonly value: T;
}

/** An entry while it waits. */
interface Waiting<T> extends Ordered {
  readonly entry: QueueEntry<T>;
}

interface Flow {
  tag: number;
  /** Requests waiting, and what they cost together. */
  waiting: number;
  waitingCost: number;
  /** Requests being served, and what they were charged. */
  running: number;
  runningCost: number;
}

interface PlayerFlow<T> extends Flow {
  /** By arrival. */
  readonly entries: Waiting<T>[];
}

interface SourceFlow<T> extends Flow {
  readonly players: Flows<PlayerFlow<T>>;
}

/** Flows that neither wait nor run keep their tag while it is ahead; beyond this many the oldest are forgotten. */
const IDLE_FLOWS_MAX = 1_024;
/** So many are left then: looking through all of them is not done for each one that comes. */
const IDLE_FLOWS_KEPT = 768;

/** The flows of one level, and their virtual time: the tag that a flow with nothing to its account begins with. */
class Flows<F extends Flow> {
  readonly byKey = new Map<string, F>();
  /** Those of them that wait: decisions look at these alone, however many others are remembered. */
  readonly #waiting = new Set<F>();
  readonly #slack: number;
  readonly #create: () => F;
  #virtual = 0;
  #active = 0;

  constructor(slack: number, create: () => F) {
    this.#slack = slack;
    this.#create = create;
  }

  /** The flow of this key, which begins at virtual time when it waited and ran for nothing. */
  open(key: string): F {
    let flow = this.byKey.get(key);
    if (flow === undefined) {
      flow = this.#create();
      this.byKey.set(key, flow);
    }
    if (flow.waiting === 0 && flow.running === 0) {
      flow.tag = Math.max(flow.tag, this.#virtual);
      this.#active += 1;
    }
    return flow;
  }

  get waiting(): ReadonlySet<F> {
    return this.#waiting;
  }

  /** A request of this flow begins to wait (1), or waits no longer (-1). */
  wait(flow: F, cost: number, sign: 1 | -1): void {
    flow.waiting += sign;
    flow.waitingCost += sign * cost;
    if (flow.waiting === 0) this.#waiting.delete(flow);
    else this.#waiting.add(flow);
  }

  /** To be called after a flow may have come to rest. It is remembered only while others wait. */
  rest(key: string, flow: F, isContended: boolean): void {
    if (!isContended) flow.tag = flow.runningCost;
    if (flow.waiting > 0 || flow.running > 0) return;
    this.#active -= 1;
    if (!isContended) this.byKey.delete(key);
    else if (this.byKey.size - this.#active > IDLE_FLOWS_MAX) this.#forgetIdle();
  }

  /** The waiting flows that fairness lets be served now: at least one, when any waits. */
  *eligible(): Iterable<F> {
    const limit = this.#lowestTag() + this.#slack;
    for (const flow of this.#waiting) if (flow.tag <= limit) yield flow;
  }

  /** What is next of the eligible flows, each by its own first; between equal ones the flow that was given less. */
  next<T>(firstOf: (flow: F) => Waiting<T> | null, nowMonoMs: number): Waiting<T> | null {
    let next: Waiting<T> | null = null;
    let nextTag = 0;
    for (const flow of this.eligible()) {
      const first = firstOf(flow);
      if (first === null) continue;
      if (next !== null) {
        const order =
          compareWaiting(first, next, nowMonoMs) || flow.tag - nextTag || first.order - next.order;
        if (order >= 0) continue;
      }
      next = first;
      nextTag = flow.tag;
    }
    return next;
  }

  /** A flow was given tokens while others waited: virtual time moves by the fair share of each active flow. */
  charge(flow: F, cost: number): void {
    flow.tag += cost;
    this.#virtual += cost / Math.max(1, this.#active);
    const lowest = this.#lowestTag();
    if (lowest !== Number.POSITIVE_INFINITY) this.#virtual = Math.max(this.#virtual, lowest);
  }

  /** Nobody waits: what was used of idle capacity is nobody's debt; what is in flight counts at the next contention. */
  settle(): void {
    this.#virtual = 0;
    for (const [key, flow] of this.byKey) {
      if (flow.running === 0 && flow.waiting === 0) this.byKey.delete(key);
      else flow.tag = flow.runningCost;
    }
  }

  #lowestTag(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { tag } of this.#waiting) if (tag < lowest) lowest = tag;
    return lowest;
  }

  #forgetIdle(): void {
    for (const [key, flow] of this.byKey)
      if (flow.waiting === 0 && flow.running === 0 && flow.tag <= this.#virtual) this.byKey.delete(key);
    for (const [key, flow] of this.byKey) {
      if (this.byKey.size - this.#active <= IDLE_FLOWS_KEPT) break;
      if (flow.waiting === 0 && flow.running === 0) this.byKey.delete(key);
    }
  }
}

export class FairQueue<T> {
  readonly #sources: Flows<SourceFlow<T>>;
  #size = 0;
  #pushed = 0;
  /** What `peek` found, until something changes. */
  #first: { readonly nowMonoMs: number; readonly next: Waiting<T> | null } | null = null;
  #cost = 0;

  /** `slackTokens`: how far the earliest deadline may bend fairness, in tokens. */
  constructor(slackTokens: number) {
    this.#sources = new Flows(slackTokens, () => ({
      ...emptyFlow(),
      players: new Flows<PlayerFlow<T>>(slackTokens, () => ({ ...emptyFlow(), entries: [] })),
    }));
  }

  get size(): number {
    return this.#size;
  }

  /** What all that waits will be charged. */
  get cost(): number {
    return this.#cost;
  }

  /** Flows that are remembered, at most those that wait or run and a bounded number of others; for tests of memory. */
  get flows(): number {
    let count = this.#sources.byKey.size;
    for (const { players } of this.#sources.byKey.values()) count += players.byKey.size;
    return count;
  }

  push(entry: QueueEntry<T>): void {
    this.#first = null;
    const source = this.#sources.open(entry.source);
    const player = source.players.open(entry.player);
    const allowedMs = entry.deadlineMonoMs - entry.askedMonoMs;
    player.entries.push({
      entry,
      order: this.#pushed++,
      deadlineClass: deadlineClassOf(allowedMs),
      prefillSteps: prefillStepsOf(entry.prefillTokens),
      deadlineMonoMs: entry.deadlineMonoMs,
      halfGoneMonoMs: entry.askedMonoMs + allowedMs / 2,
      passedOver: 0,
    });
    this.#wait(source, player, entry, 1);
  }

  /** The entry that `take` would give at this time; null when none waits. */
  peek(nowMonoMs: number): QueueEntry<T> | null {
    return this.#next(nowMonoMs)?.entry ?? null;
  }

  /** Serves the next entry: it runs until `release`. */
  take(nowMonoMs: number): QueueEntry<T> | null {
    const next = this.#next(nowMonoMs);
    if (next === null) return null;
    this.#first = null;
    const { entry } = next;
    this.#passOver(next.order);
    const [source, player] = this.#flowsOf(entry);
    player.entries.splice(player.entries.indexOf(next), 1);
    this.#wait(source, player, entry, -1);
    run(source, entry.cost, 1);
    run(player, entry.cost, 1);
    source.players.charge(player, entry.cost);
    this.#sources.charge(source, entry.cost);
    if (this.#size === 0) this.#settle();
    return entry;
  }

  /** Serves an entry that never waited because there was room. */
  serve(entry: Pick<QueueEntry<T>, 'source' | 'player' | 'cost'>): void {
    this.#first = null;
    const source = this.#sources.open(entry.source);
    const player = source.players.open(entry.player);
    run(source, entry.cost, 1);
    run(player, entry.cost, 1);
    if (this.#size > 0) {
      source.players.charge(player, entry.cost);
      this.#sources.charge(source, entry.cost);
    } else {
      source.tag = source.runningCost;
      player.tag = player.runningCost;
    }
  }

  /** What was taken or served has ended. */
  release(entry: Pick<QueueEntry<T>, 'source' | 'player' | 'cost'>): void {
    this.#first = null;
    const [source, player] = this.#flowsOf(entry);
    run(source, entry.cost, -1);
    run(player, entry.cost, -1);
    this.#rest(entry, source, player);
  }

  /** Takes an entry out unserved. False when it does not wait. */
  remove(entry: QueueEntry<T>): boolean {
    const source = this.#sources.byKey.get(entry.source);
    const player = source?.players.byKey.get(entry.player);
    const at = player?.entries.findIndex((each) => each.entry === entry) ?? -1;
    if (source === undefined || player === undefined || at === -1) return false;
    this.#first = null;
    player.entries.splice(at, 1);
    this.#wait(source, player, entry, -1);
    this.#rest(entry, source, player);
    if (this.#size === 0) this.#settle();
    return true;
  }

  /**
   * The tokens that are probably served before a new request of this flow would be: each other flow gets no more than
   * this one does until then. Deadlines are not looked at.
   */
  costAhead(sourceKey: string, playerKey: string, cost: number): number {
    const source = this.#sources.byKey.get(sourceKey);
    const player = source?.players.byKey.get(playerKey);
    const ownPlayer = (player?.waitingCost ?? 0) + cost;
    let ownSource = ownPlayer;
    for (const other of source?.players.waiting ?? [])
      if (other !== player) ownSource += Math.min(other.waitingCost, ownPlayer);
    let all = ownSource;
    for (const other of this.#sources.waiting)
      if (other !== source) all += Math.min(other.waitingCost, ownSource);
    return all - cost;
  }

  /** At most so many tokens are served before a first request of a new source: its own share of each other. Costs nothing. */
  costAheadOfNew(cost: number): number {
    return Math.min(this.#cost, this.#sources.waiting.size * cost);
  }

  /**
   * Who makes room for a newcomer when the queue is full (McKenney 1990: the longest queue is cut): the latest deadline of
   * the player who waits most often in the source that does; null when the newcomer's own flow is as full.
   */
  victimFor(sourceKey: string, playerKey: string): QueueEntry<T> | null {
    const own = this.#sources.byKey.get(sourceKey);
    const source = fullest(this.#sources);
    if (source !== null && source.waiting > (own?.waiting ?? 0) + 1) return lastOf(source);
    const ownPlayer = own?.players.byKey.get(playerKey);
    const player = own === undefined ? null : fullest(own.players);
    return player !== null && player.waiting > (ownPlayer?.waiting ?? 0) + 1 ? latestOf(player) : null;
  }

  /** The latest deadline of the fullest flow; null when none waits. */
  last(): QueueEntry<T> | null {
    const source = fullest(this.#sources);
    return source === null ? null : lastOf(source);
  }

  #next(nowMonoMs: number): Waiting<T> | null {
    if (this.#first?.nowMonoMs === nowMonoMs) return this.#first.next;
    const firstOfPlayer = ({ entries }: PlayerFlow<T>) => {
      let first: Waiting<T> | null = null;
      for (const each of entries) if (first === null || goesBefore(each, first, nowMonoMs)) first = each;
      return first;
    };
    const next = this.#sources.next(({ players }) => players.next(firstOfPlayer, nowMonoMs), nowMonoMs);
    this.#first = { nowMonoMs, next };
    return next;
  }

  /** Counts it for all that asked before the one that is served now, and could have been served by their shares. */
  #passOver(order: number): void {
    for (const { players } of this.#sources.eligible())
      for (const { entries } of players.eligible())
        for (const each of entries) {
          if (each.order > order) break;
          if (each.order < order) each.passedOver += 1;
        }
  }

  #flowsOf(entry: Pick<QueueEntry<T>, 'source' | 'player'>): [SourceFlow<T>, PlayerFlow<T>] {
    const source = this.#sources.byKey.get(entry.source);
    const player = source?.players.byKey.get(entry.player);
    invariant(
      source !== undefined && player !== undefined,
      `a place of ${entry.source} that was never given`,
    );
    return [source, player];
  }

  #wait(source: SourceFlow<T>, player: PlayerFlow<T>, entry: QueueEntry<T>, sign: 1 | -1): void {
    this.#sources.wait(source, entry.cost, sign);
    source.players.wait(player, entry.cost, sign);
    this.#size += sign;
    this.#cost += sign * entry.cost;
  }

  #rest(entry: Pick<QueueEntry<T>, 'source' | 'player'>, source: SourceFlow<T>, player: PlayerFlow<T>): void {
    const isContended = this.#size > 0;
    source.players.rest(entry.player, player, isContended);
    this.#sources.rest(entry.source, source, isContended);
  }

  #settle(): void {
    this.#sources.settle();
    for (const { players } of this.#sources.byKey.values()) players.settle();
  }
}

function emptyFlow(): Flow {
  return { tag: 0, waiting: 0, waitingCost: 0, running: 0, runningCost: 0 };
}

function run(flow: Flow, cost: number, sign: 1 | -1): void {
  flow.running += sign;
  flow.runningCost += sign * cost;
}

function fullest<F extends Flow>(flows: Flows<F>): F | null {
  let fullest: F | null = null;
  for (const flow of flows.waiting) if (fullest === null || flow.waiting > fullest.waiting) fullest = flow;
  return fullest;
}

function lastOf<T>(source: SourceFlow<T>): QueueEntry<T> | null {
  const player = fullest(source.players);
  return player === null ? null : latestOf(player);
}

/** The latest deadline; of equal ones the last that asked. */
function latestOf<T>({ entries }: PlayerFlow<T>): QueueEntry<T> | null {
  let latest: QueueEntry<T> | null = null;
  for (const { entry } of entries)
    if (latest === null || entry.deadlineMonoMs >= latest.deadlineMonoMs) latest = entry;
  return latest;
}
