/**
 * One event, one voice (npc-domain §4, "Crowds"): of the twenty who saw it one speaks, and areas do not chatter without
 * end. Decided at once, before an engine or a line pool is asked; state is bounded and belongs to this process: equal
 * events that reach two gateways are told apart.
 *
 * What keeps an NPC silent, in this order: the depth of NPCs answering one another, an equal event that is spoken of, no
 * free speaking token in the area, its own cooldown, a listener who has heard enough words. None of it holds for a line
 * to a player who addressed the NPC: it is always spoken, and the barks around it wait for its end.
 */
import type { Unspoken, WorldEvent } from '../core/dialogue.ts';
import type { Clock } from '../core/runtime.ts';
import type { VoicesOptions } from './voices-options.ts';
import { WordsHeard } from './words-heard.ts';

export interface VoiceAsk {
  /** Of the dialogue. */
  readonly id: string;
  readonly npcId: string;
  /** The game server: the id of its API key, or `local`. Areas of two do not meet. */
  readonly source: string;
  readonly event: WorldEvent;
  /** Whether a player waits for this very NPC to answer. */
  readonly isAddressed: boolean;
  /** Ids of the players who would hear it. */
  readonly players: readonly string[];
}

export interface VoicesLimits {
  readonly areasMax: number;
  readonly eventsPerAreaMax: number;
  readonly npcsPerAreaMax: number;
}

/** An area with all its events and NPCs is some 100 KB, one as games have them 1 KB. */
export const VOICES_LIMITS: VoicesLimits = { areasMax: 4_096, eventsPerAreaMax: 256, npcsPerAreaMax: 512 };

/** The right to speak. Disposed before `ended`, the line was cut off: then the area is free at once. */
export interface Voice extends Disposable {
  /** A sentence leaves that takes so many milliseconds to say. */
  said(speechMs: number): void;
  /** Nothing more is said; the token is free when what was said has been heard. */
  ended(): void;
}

interface Speaking {
  readonly npcId: string;
  readonly id: string;
  isOpen: boolean;
  /** When what was said so far has been heard. */
  heardMonoMs: number;
}

interface SpokenOf {
  readonly by: Speaking;
  /** Equal events are one until then at least. */
  readonly untilMonoMs: number;
}

interface Area {
  readonly speaking: Set<Speaking>;
  /** By id; insertion order is age. */
  readonly events: Map<string, SpokenOf>;
  /** When each NPC began its last bark; insertion order is age. */
  readonly barked: Map<string, number>;
}

export class Voices {
  readonly words: WordsHeard;
  readonly #options: VoicesOptions;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #limits: VoicesLimits;
  /** By source and area; the one that was asked of longest ago stands first. */
  readonly #areas = new Map<string, Area>();

  constructor(
    options: VoicesOptions,
    parts: { readonly clock: Pick<Clock, 'monotonicMs'>; readonly limits?: VoicesLimits },
  ) {
    this.#options = options;
    this.#clock = parts.clock;
    this.#limits = parts.limits ?? VOICES_LIMITS;
    this.words = new WordsHeard(parts.clock);
  }

  /** How many areas are remembered. */
  get areaCount(): number {
    return this.#areas.size;
  }

  /** The voice with which this NPC speaks now, or why it does not. A voice must be disposed. */
  ask(ask: VoiceAsk): Voice | Unspoken {
    const nowMs = this.#clock.monotonicMs();
    const area = this.#area(`${ask.source}\n${ask.event.area}`);
    for (const each of area.speaking) if (!isSpeaking(each, nowMs)) area.speaking.delete(each);
    const unspoken = ask.isAddressed ? null : this.#silence(ask, area, nowMs);
    return unspoken ?? this.#speak(ask, area, nowMs);
  }

  #silence({ event, npcId, players }: VoiceAsk, area: Area, nowMs: number): Unspoken | null {
    const { depthMax, tokensPerArea, cooldownMs, wordsPerMinute } = this.#options;
    if (event.depth > depthMax) return { reason: 'depth', voice: null };
    const spokenOf = area.events.get(event.id);
    if (spokenOf !== undefined && (nowMs < spokenOf.untilMonoMs || isSpeaking(spokenOf.by, nowMs)))
      return { reason: 'coalesced', voice: nameOf(spokenOf.by) };
    if (area.speaking.size >= tokensPerArea) {
      const [first] = area.speaking;
      return { reason: 'area_busy', voice: first === undefined ? null : nameOf(first) };
    }
    const barkedMonoMs = area.barked.get(npcId) ?? Number.NEGATIVE_INFINITY;
    if (nowMs - barkedMonoMs < cooldownMs) return { reason: 'cooldown', voice: null };
    if (
      wordsPerMinute !== null &&
      players.some((player) => this.words.inLastMinute(player) >= wordsPerMinute)
    )
      return { reason: 'words_per_minute', voice: null };
    return null;
  }

  #speak({ id, npcId, event, isAddressed }: VoiceAsk, area: Area, nowMs: number): Voice {
    const speaking: Speaking = { npcId, id, isOpen: true, heardMonoMs: nowMs };
    const spokenOf: SpokenOf = { by: speaking, untilMonoMs: nowMs + this.#options.coalesceMs };
    const spokenOfBefore = area.events.get(event.id);
    let hasSpoken = false;
    area.speaking.add(speaking);
    renew(area.events, event.id, spokenOf, this.#limits.eventsPerAreaMax);
    if (!isAddressed) renew(area.barked, npcId, nowMs, this.#limits.npcsPerAreaMax);
    return {
      said: (speechMs) => {
        hasSpoken = true;
        speaking.heardMonoMs = Math.max(speaking.heardMonoMs, this.#clock.monotonicMs()) + speechMs;
      },
      ended: () => {
        speaking.isOpen = false;
      },
      [Symbol.dispose]: () => {
        if (!speaking.isOpen) return;
        speaking.isOpen = false;
        speaking.heardMonoMs = Number.NEGATIVE_INFINITY;
        area.speaking.delete(speaking);
        if (hasSpoken) return;
        // Nobody has heard a word: the next who saw it may speak, and so may this one.
        if (area.events.get(event.id) === spokenOf) {
          if (spokenOfBefore === undefined) area.events.delete(event.id);
          else area.events.set(event.id, spokenOfBefore);
        }
        if (!isAddressed && area.barked.get(npcId) === nowMs) area.barked.delete(npcId);
      },
    };
  }

  #area(key: string): Area {
    const area = this.#areas.get(key) ?? { speaking: new Set(), events: new Map(), barked: new Map() };
    renew(this.#areas, key, area, this.#limits.areasMax);
    return area;
  }
}

function isSpeaking({ isOpen, heardMonoMs }: Speaking, nowMs: number): boolean {
  return isOpen || nowMs < heardMonoMs;
}

function nameOf({ npcId, id }: Speaking): NonNullable<Unspoken['voice']> {
  return { npcId, id };
}

/** Sets the value as the youngest, and drops the oldest beyond the limit. */
function renew<K, V>(map: Map<K, V>, key: K, value: V, sizeMax: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= sizeMax) return;
    map.delete(oldest);
  }
}
