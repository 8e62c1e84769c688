/**
 * What each player has heard: when a written line was last said to them, and the last sentences of each NPC. The line
 * pool chooses by it and the guard finds repetitions in it. Kept in memory only, and bounded: the player who was silent
 * longest is forgotten first, and within a player the line heard longest ago.
 */
import type { Clock } from '../core/runtime.ts';

export interface HeardLimits {
  readonly playersMax: number;
  readonly linesPerPlayerMax: number;
  readonly npcsPerPlayerMax: number;
  readonly textsPerNpcMax: number;
}

/** About 60 MB when 20,000 players have all filled their share; a thousand players stay under 5 MB. */
export const HEARD_LIMITS: HeardLimits = {
  playersMax: 20_000,
  linesPerPlayerMax: 400,
  npcsPerPlayerMax: 24,
  textsPerNpcMax: 24,
};

/** Longest remembered sentence, in UTF-16 units. */
const TEXT_LENGTH_MAX = 240;
/** Lines marked `once` for the world, remembered at most this many. */
const WORLD_LINES_MAX = 20_000;
/** Sentences that a line for many ears is held against: a crowd has mostly heard the same ones. */
const TEXTS_OF_MANY_MAX = 64;

interface Listener {
  /** Line id to monotonic ms; insertion order is age. */
  readonly lines: Map<string, number>;
  /** NPC id to its last sentences, newest last; insertion order is age. */
  readonly texts: Map<string, string[]>;
}

export class HeardLines {
  readonly #clock: Clock;
  readonly #limits: HeardLimits;
  readonly #listeners = new Map<string, Listener>();
  readonly #world = new Set<string>();

  constructor(clock: Clock, limits: HeardLimits = HEARD_LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Monotonic milliseconds: the time that `lastHeardMs` is in. */
  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** How many players are remembered. */
  get playerCount(): number {
    return this.#listeners.size;
  }

  /** When this player last heard the line, in monotonic milliseconds; null when never, or forgotten. */
  lastHeardMs(listener: string, lineId: string): number | null {
    return this.#listeners.get(listener)?.lines.get(lineId) ?? null;
  }

  /** When one of these last heard the line; null when none has. */
  lastHeardByAnyMs(listeners: readonly string[], lineId: string): number | null {
    let latest: number | null = null;
    for (const listener of listeners) {
      const heardMs = this.lastHeardMs(listener, lineId);
      if (heardMs !== null && (latest === null || heardMs > latest)) latest = heardMs;
    }
    return latest;
  }

  /** Whether anyone has heard the line since the start. */
  wasHeardByAnyone(lineId: string): boolean {
    return this.#world.has(lineId);
  }

  /** The last sentences that this player heard from this NPC, oldest first. */
  recentTexts(listener: string, npcId: string): readonly string[] {
    return this.#listeners.get(listener)?.texts.get(npcId) ?? [];
  }

  /** The last different sentences that any of these heard from this NPC, at most 64: the newest of each of them first. */
  recentTextsOfAny(listeners: readonly string[], npcId: string): readonly string[] {
    const [only] = listeners;
    if (listeners.length === 1 && only !== undefined) return this.recentTexts(only, npcId);
    const texts = new Set<string>();
    const heard = listeners.map((listener) => this.recentTexts(listener, npcId));
    const longest = Math.max(0, ...heard.map(({ length }) => length));
    for (let age = 1; age <= longest; age++)
      for (const own of heard) {
        const text = own.at(-age);
        if (text !== undefined) texts.add(text);
        if (texts.size >= TEXTS_OF_MANY_MAX) return [...texts];
      }
    return [...texts];
  }

  /** As `record`, for each of these. */
  recordForAll(listeners: readonly string[], npcId: string, text: string, lineId: string | null): void {
    for (const listener of listeners) this.record(listener, npcId, text, lineId);
  }

  /** Notes that the player heard a sentence of the NPC; `lineId` when it was a written one. */
  record(listener: string, npcId: string, text: string, lineId: string | null): void {
    const entry = this.#touch(listener);
    if (lineId !== null) {
      entry.lines.delete(lineId);
      entry.lines.set(lineId, this.nowMs());
      dropOldest(entry.lines, this.#limits.linesPerPlayerMax);
      this.#world.add(lineId);
      dropOldest(this.#world, WORLD_LINES_MAX);
    }
    const texts = entry.texts.get(npcId) ?? [];
    entry.texts.delete(npcId);
    entry.texts.set(npcId, texts);
    dropOldest(entry.texts, this.#limits.npcsPerPlayerMax);
    texts.push(text.slice(0, TEXT_LENGTH_MAX));
    if (texts.length > this.#limits.textsPerNpcMax) texts.shift();
  }

  #touch(listener: string): Listener {
    const entry = this.#listeners.get(listener) ?? { lines: new Map(), texts: new Map() };
    this.#listeners.delete(listener);
    this.#listeners.set(listener, entry);
    dropOldest(this.#listeners, this.#limits.playersMax);
    return entry;
  }
}

/** The key to remember by: the player, or all anonymous listeners of one NPC together. */
export function listenerKey(playerId: string | null, npcId: string): string {
  return playerId === null ? `anonymous near ${npcId}` : `player ${playerId}`;
}

/** The keys of all who hear a line of this NPC; at least one, each once. */
export function listenerKeys(
  playerId: string | null,
  others: readonly string[],
  npcId: string,
): readonly string[] {
  const players = playersHearing(playerId, others);
  return players.length === 0
    ? [listenerKey(null, npcId)]
    : players.map((player) => listenerKey(player, npcId));
}

/** The players that are known to hear a line, each once. */
export function playersHearing(playerId: string | null, others: readonly string[]): readonly string[] {
  return [...new Set(playerId === null ? others : [playerId, ...others])];
}

function dropOldest(collection: Map<string, unknown> | Set<string>, sizeMax: number): void {
  for (const key of collection.keys()) {
    if (collection.size <= sizeMax) return;
    collection.delete(key);
  }
}
