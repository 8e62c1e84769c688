/**
 * What the players do: they walk from place to place, talk, are cut short, fight, lose their connection. Gives the events
 * of the whole trace in the order of time, without the words of any prompt. One seed gives one story.
 */
import type { Trigger } from '../../src/core/dialogue.ts';
import type { SeededRandom } from '../../src/planning/seeded-random.ts';
import { demandOf, roadsBetween, SPOTS, spotOf } from './places.ts';
import type { TraceShape } from './shape.ts';

/** One turn of a talk. The words are chosen when it happens, since what was asked before decides them. */
export interface TurnEvent {
  readonly kind: 'turn';
  readonly atMs: number;
  readonly playerId: string;
  readonly npcId: string;
  readonly place: string;
  readonly talk: Talk;
  /** The connection was lost while this was being answered: the same words once more. */
  readonly isAgain: boolean;
}

export interface Talk {
  readonly id: number;
  readonly playerId: string;
  readonly npcId: string;
  readonly place: string;
  turnsLeft: number;
}

/** A line without words of a player. */
export interface BarkEvent {
  readonly kind: 'bark';
  readonly atMs: number;
  readonly playerId: string;
  readonly npcId: string;
  readonly place: string;
  readonly trigger: Trigger;
  readonly isAmbient: boolean;
  /** Other players who stand near enough to hear it. */
  readonly listeners: readonly string[];
  /** Of the player, where it matters to what is said. */
  readonly health?: number;
  readonly event?: { readonly id: string; readonly area: string };
}

export interface HintEvent {
  readonly kind: 'hint';
  readonly atMs: number;
  readonly playerId: string;
  readonly npcIds: readonly string[];
}

export interface ReconnectEvent {
  readonly kind: 'reconnect';
  readonly atMs: number;
  readonly playerId: string;
}

export type WalkEvent = TurnEvent | BarkEvent | HintEvent | ReconnectEvent;

/** What a turn came to: when the player is ready for the next. */
export interface TurnEnd {
  readonly nextAtMs: number;
}

const STAY_MEAN_MS = 70_000;
const STAY_MIN_MS = 15_000;
const ROAD_MS = 12_000;
/** The game sees a player come this long before the arrival (npc-domain §3: "before: player comes near"). */
const HINT_LEAD_MS = [4_000, 8_000] as const;
/** Equal events are told within this (npc-domain §4 "Crowds": coalesce for 500 ms). */
const WITNESS_SPREAD_MS = 400;
const LISTENERS_MAX = 4;
const WITNESSES = [3, 5] as const;
/** A line that began this long ago may still be running when a connection is lost. */
const RUNNING_MS = 2_500;
/** Of the lost connections, those of a player who waits for an answer: the ones that cost something. Our assumption. */
const LOST_WHILE_WAITING = 0.5;
const BACK_AFTER_MS = [1_200, 2_500] as const;
const FIGHT_MIDDLE: readonly Trigger[] = ['attack', 'hit', 'hurt'];
/** Of the player, at each event of a fight. */
const FIGHT_HEALTH = [100, 100, 60, 25] as const;
const FIGHT_END: readonly Trigger[] = ['low_health', 'ally_died', 'flee', 'kill'];

interface Player {
  readonly id: string;
  place: string;
  /** From when on they stand there; Infinity while they walk. */
  hereFromMs: number;
  leavesAtMs: number;
  busyUntilMs: number;
  lastTurn: TurnEvent | null;
}

/** Something that is to happen. */
interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/**
 * Tells the story to `tell`, in the order of time. For a turn `tell` says when the next may come; the talk goes on by
 * itself while it has turns left.
 */
export function walk(
  shape: TraceShape,
  random: SeededRandom,
  tell: (event: WalkEvent) => TurnEnd | undefined,
): void {
  const story = new Story(shape, random, tell);
  story.run();
}

class Story {
  readonly #shape: TraceShape;
  readonly #random: SeededRandom;
  readonly #tell: (event: WalkEvent) => TurnEnd | undefined;
  readonly #endMs: number;
  readonly #demand: ReadonlyMap<string, number>;
  readonly #players: readonly Player[];
  readonly #due: Due[] = [];
  #order = 0;
  #talks = 0;
  #fights = 0;

  constructor(shape: TraceShape, random: SeededRandom, tell: (event: WalkEvent) => TurnEnd | undefined) {
    this.#shape = shape;
    this.#random = random;
    this.#tell = tell;
    this.#endMs = shape.minutes * 60_000;
    this.#demand = demandOf(shape.zipfNpcs);
    const digits = Math.max(3, String(shape.players).length);
    this.#players = Array.from({ length: shape.players }, (_none, index) => ({
      id: `p${String(index + 1).padStart(digits, '0')}`,
      place: this.#placeToGo(null),
      hereFromMs: 0,
      leavesAtMs: 0,
      busyUntilMs: 0,
      lastTurn: null,
    }));
  }

  run(): void {
    for (const player of this.#players) this.#stay(player, 0);
    this.#talkArrivals();
    this.#repeatedly(this.#shape.fightGapMs, (atMs) => this.#fight(atMs));
    for (const { id } of SPOTS) this.#repeatedly(this.#shape.ambientGapMs, (atMs) => this.#ambient(id, atMs));
    const perMs = (this.#shape.reconnectsPerPlayerHour * this.#shape.players) / 3_600_000;
    this.#repeatedly(1 / perMs, (atMs) => this.#reconnect(atMs));
    for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) next.run();
  }

  /** Events in order of time; those of one moment in the order in which they were thought of. */
  #at(atMs: number, run: () => void): void {
    if (atMs >= this.#endMs) return;
    const due = { atMs: Math.round(atMs), order: this.#order++, run };
    let low = 0;
    for (let high = this.#due.length; low < high; ) {
      const middle = (low + high) >>> 1;
      const other = this.#due[middle] as Due;
      if (other.atMs < due.atMs || (other.atMs === due.atMs && other.order < due.order)) low = middle + 1;
      else high = middle;
    }
    this.#due.splice(low, 0, due);
  }

  #repeatedly(meanGapMs: number, run: (atMs: number) => void): void {
    if (!Number.isFinite(meanGapMs)) return;
    const next = (fromMs: number) => {
      const atMs = Math.round(fromMs + this.#exponential(meanGapMs));
      this.#at(atMs, () => {
        run(atMs);
        next(atMs);
      });
    };
    next(0);
  }

  #exponential(mean: number): number {
    return -Math.log(1 - this.#random.next()) * mean;
  }

  /** A Poisson process whose rate is several times higher in bursts; its mean is the one asked for. */
  #talkArrivals(): void {
    const { burstFactor, burstMs, burstGapMs, dialoguesPerPlayerHour, players } = this.#shape;
    const bursts: number[] = [];
    for (let atMs = this.#exponential(burstGapMs); atMs < this.#endMs; atMs += this.#exponential(burstGapMs))
      bursts.push(atMs);
    const burstShare = Math.min(this.#endMs, bursts.length * burstMs) / this.#endMs;
    const meanPerMs = (dialoguesPerPlayerHour * players) / 3_600_000;
    const calmPerMs = meanPerMs / (1 + burstShare * (burstFactor - 1));
    const peakPerMs = calmPerMs * burstFactor;
    const isBurst = (atMs: number) => bursts.some((fromMs) => atMs >= fromMs && atMs < fromMs + burstMs);
    // Thinning: arrivals at the peak rate, of which the calm keeps its share.
    for (let atMs = 0; atMs < this.#endMs; atMs += this.#exponential(1 / peakPerMs)) {
      const startMs = atMs;
      if (isBurst(atMs) || this.#random.chance(1 / burstFactor)) this.#at(startMs, () => this.#talk(startMs));
    }
  }

  #placeToGo(from: string | null): string {
    const weights: Record<string, number> = {};
    for (const { id, residents } of SPOTS)
      if (id !== from)
        weights[id] = residents.reduce((sum, npcId) => sum + (this.#demand.get(npcId) ?? 0), 0);
    return this.#random.weighted(weights);
  }

  #stay(player: Player, fromMs: number): void {
    player.hereFromMs = fromMs;
    player.leavesAtMs = fromMs + STAY_MIN_MS + this.#exponential(STAY_MEAN_MS - STAY_MIN_MS);
    this.#at(player.leavesAtMs, () => this.#leave(player));
  }

  #leave(player: Player): void {
    const nowMs = Math.round(player.leavesAtMs);
    // Nobody walks off in the middle of their own talk; leaving one is a hang-up.
    if (player.busyUntilMs > nowMs) {
      player.leavesAtMs = player.busyUntilMs + 1_000;
      this.#at(player.leavesAtMs, () => this.#leave(player));
      return;
    }
    const to = this.#placeToGo(player.place);
    const arrivesMs = nowMs + roadsBetween(player.place, to) * ROAD_MS;
    player.place = to;
    player.hereFromMs = Number.POSITIVE_INFINITY;
    const [least, most] = HINT_LEAD_MS;
    const hintMs = Math.max(nowMs, arrivesMs - this.#random.between(least, most));
    this.#at(hintMs, () => {
      this.#tell({
        kind: 'hint',
        atMs: Math.round(hintMs),
        playerId: player.id,
        npcIds: spotOf(to).residents,
      });
    });
    this.#at(arrivesMs, () => {
      this.#stay(player, arrivesMs);
      if (this.#random.chance(this.#shape.greetings)) this.#greet(player, Math.round(arrivesMs));
    });
  }

  #greet(player: Player, arrivedMs: number): void {
    const npcId = spotOf(player.place).residents[0] as string;
    const { id: playerId, place } = player;
    this.#tell({
      kind: 'bark',
      atMs: arrivedMs,
      playerId,
      npcId,
      place,
      trigger: 'greet',
      isAmbient: false,
      listeners: this.#listeners(player, arrivedMs),
    });
  }

  #talk(atMs: number): void {
    const free = this.#players.filter((player) => player.hereFromMs <= atMs && player.busyUntilMs <= atMs);
    // All walk or talk: nobody is left to begin, as in a game.
    if (free.length === 0) return;
    const player = this.#random.pick(free);
    this.#talks += 1;
    const talk = {
      id: this.#talks,
      playerId: player.id,
      npcId: this.#resident(player.place),
      place: player.place,
      turnsLeft: this.#turns(),
    };
    this.#turn(player, talk, Math.round(atMs));
  }

  #turn(player: Player, talk: Talk, atMs: number): void {
    talk.turnsLeft -= 1;
    const { playerId, npcId, place } = talk;
    const turn: TurnEvent = { kind: 'turn', atMs, playerId, npcId, place, talk, isAgain: false };
    player.lastTurn = turn;
    const end = this.#tell(turn);
    if (end === undefined) return;
    player.busyUntilMs = end.nextAtMs;
    if (talk.turnsLeft > 0) this.#at(end.nextAtMs, () => this.#turn(player, talk, Math.round(end.nextAtMs)));
  }

  /** A player loses the connection; who was waiting for an answer asks again once it is back. */
  #reconnect(atMs: number): void {
    const waiting = this.#players.filter(
      ({ lastTurn }) => atMs - (lastTurn?.atMs ?? -RUNNING_MS) < RUNNING_MS,
    );
    const isWaiting = waiting.length > 0 && this.#random.chance(LOST_WHILE_WAITING);
    const player = this.#random.pick(isWaiting ? waiting : this.#players);
    this.#tell({ kind: 'reconnect', atMs, playerId: player.id });
    const { lastTurn } = player;
    if (lastTurn === null || atMs - lastTurn.atMs >= RUNNING_MS) return;
    const [least, most] = BACK_AFTER_MS;
    const againMs = atMs + this.#random.between(least, most);
    this.#at(againMs, () => {
      this.#tell({ ...lastTurn, atMs: againMs, isAgain: true });
    });
  }

  /** Geometric, cut off: most talks are one or two turns. */
  #turns(): number {
    let turns = 1;
    while (turns < this.#shape.turnsMax && this.#random.chance(1 - 1 / this.#shape.turnsMean)) turns += 1;
    return turns;
  }

  #resident(place: string): string {
    const weights = Object.fromEntries(
      spotOf(place).residents.map((npcId) => [npcId, this.#demand.get(npcId) ?? 0]),
    );
    return this.#random.weighted(weights);
  }

  #ambient(place: string, atMs: number): void {
    const near = this.#players.filter((player) => player.place === place && player.hereFromMs <= atMs);
    // Beyond hearing nothing is generated (npc-domain §4 "Distance").
    if (near.length === 0) return;
    const player = this.#random.pick(near);
    const trigger = this.#random.weighted({ idle: 8, weather: 1, night: 1 });
    const npcId = this.#resident(place);
    const listeners = this.#listeners(player, atMs);
    this.#tell({
      kind: 'bark',
      atMs,
      playerId: player.id,
      npcId,
      place,
      trigger,
      isAmbient: true,
      listeners,
    });
  }

  /** One player is set upon; each event is seen by several NPCs at once, and one voice would be enough. */
  #fight(atMs: number): void {
    const here = this.#players.filter((player) => player.hereFromMs <= atMs && player.busyUntilMs <= atMs);
    if (here.length === 0) return;
    const player = this.#random.pick(here);
    this.#fights += 1;
    const { id: playerId, place } = player;
    const witnesses = this.#witnesses(place);
    const middle = this.#random.between(1, 3);
    const triggers = [
      'spot' as const,
      ...Array.from({ length: middle }, () => this.#random.pick(FIGHT_MIDDLE)),
      this.#random.pick(FIGHT_END),
    ];
    let eventMs = atMs;
    for (const [index, trigger] of triggers.entries()) {
      const event = { id: `fight-${this.#fights}-${index + 1}`, area: place };
      const health = FIGHT_HEALTH[Math.min(index, FIGHT_HEALTH.length - 1)] as number;
      for (const npcId of witnesses) {
        const seenMs = Math.round(eventMs + this.#random.between(0, WITNESS_SPREAD_MS));
        this.#at(seenMs, () => {
          this.#tell({
            kind: 'bark',
            atMs: seenMs,
            playerId,
            npcId,
            place,
            trigger,
            isAmbient: false,
            listeners: this.#listeners(player, seenMs),
            health,
            event,
          });
        });
      }
      eventMs += this.#random.between(2_000, 5_000);
    }
    player.busyUntilMs = eventMs;
  }

  /** The other players at the place, a few: one line is said once for all of them (npc-domain §4 "Same line"). */
  #listeners(player: Player, atMs: number): readonly string[] {
    return this.#players
      .filter((other) => other !== player && other.place === player.place && other.hereFromMs <= atMs)
      .slice(0, LISTENERS_MAX)
      .map(({ id }) => id);
  }

  /** Who stands there, and the crowd of the neighbouring places that runs up. */
  #witnesses(place: string): readonly string[] {
    const [least, most] = WITNESSES;
    const crowd = spotOf(place).roads.flatMap((id) => spotOf(id).residents.slice(0, 2));
    return [...spotOf(place).residents, ...crowd].slice(0, this.#random.between(least, most));
  }
}
