/** The nouns of one dialogue: what a game asks, what it hears back, and why. Design §4 is the wire form of these. */

import type { AdapterAbsence } from './adapter.ts';

export type Tier = 1 | 2 | 3 | 4;
export const TIERS = [1, 2, 3, 4] as const;

export type Priority = 'interactive' | 'ambient';

/** Why a line came from lower down the ladder than it should have. */
export type Cause =
  | 'timeout'
  | 'overload'
  | 'backend_error'
  | 'safety'
  | 'repetition'
  | 'budget'
  | 'offline'
  | 'disabled';
export const CAUSES = [
  'timeout',
  'overload',
  'backend_error',
  'safety',
  'repetition',
  'budget',
  'offline',
  'disabled',
] as const;

/** A trigger that the game may name; the default set of written lines covers each. */
export const TRIGGERS = [
  'spot',
  'lose',
  'search',
  'attack',
  'hit',
  'hurt',
  'low_health',
  'ally_died',
  'kill',
  'death',
  'flee',
  'idle',
  'greet',
  'farewell',
  'trade',
  'refuse',
  'interrupted',
  'too_far',
  'thinking',
  'no_answer',
  'overload',
  'night',
  'weather',
] as const;
export type Trigger = (typeof TRIGGERS)[number];

/** A fact the game asserts to be true now, e.g. `quest.bell` = 3. */
export interface GameFact {
  readonly key: string;
  readonly value: string | number | boolean;
  /** How the NPC would say it, when it may enter the prompt as a sentence. */
  readonly text?: string;
}

export interface HistoryTurn {
  readonly speaker: 'player' | 'npc';
  readonly text: string;
}

export interface AllowedAction {
  readonly name: string;
  readonly description?: string;
  /** JSON schema of the parameters. */
  readonly params?: Readonly<Record<string, unknown>>;
  readonly ttlMs?: number;
}

/** One thing that happened in the world, which several NPCs may remark on. One of them speaks. */
export interface WorldEvent {
  /** Equal for all that is said of the same thing. */
  readonly id: string;
  /** Where it is heard: a room, a square of the map; unique among what one API key serves. */
  readonly area: string;
  /** 0: of the game itself; n: an answer to what an NPC said at depth n - 1. */
  readonly depth: number;
}

export interface DialogueContext {
  readonly playerId?: string;
  /** Players who hear the line besides `playerId`. Left out: none. */
  readonly listeners?: readonly string[];
  readonly location?: string;
  readonly mood?: string;
  readonly gameTime?: string;
  readonly timelineId: string;
  readonly facts: readonly GameFact[];
  readonly history: readonly HistoryTurn[];
  readonly allowedActions: readonly AllowedAction[];
}

export interface DialogueRequest {
  readonly id: string;
  readonly npcId: string;
  /** The player's words as they came; cleaned in `answer`. May be empty only with `trigger`. */
  readonly prompt: string;
  readonly tier?: Tier;
  readonly context: DialogueContext;
  readonly conversationId?: string;
  readonly units: 'sentence' | 'token';
  readonly maxTokens: number;
  /** Null: the persona's own, else the tier's. */
  readonly temperature: number | null;
  /** Only an operator key may ask for a higher tier than the NPC's own. */
  readonly mayRaiseTier: boolean;
  readonly deadlineMs?: number;
  readonly priority: Priority;
  /** How the sentences of a cached line follow one another: at once (left out), or as they would be spoken. */
  readonly pacing?: 'natural';
  readonly trigger?: Trigger;
  /** What it remarks on; the rules of one event, one voice hold for it. Only with `trigger`. */
  readonly event?: WorldEvent;
  /** Instead of the persona's adapter, `lich@8`; null: the base. Only operators may ask so. */
  readonly adapter?: string | null;
  /** Header x-model-version: the version of the tier's models that must answer. */
  readonly modelVersion?: string;
  /** Who asks, for fairness: the id of the API key, or `local`. */
  readonly source?: string;
  /** Monotonic time at which the door had the whole request. */
  readonly receivedMonoMs: number;
}

/**
 * `deadline`: whole sentences were said, then time ran out. `interrupted`: the client hung up. `unspoken`: somebody else
 * speaks of this event, or nobody should now.
 */
export type FinishReason = 'stop' | 'length' | 'deadline' | 'interrupted' | 'written' | 'unspoken';

/** Why an NPC says nothing to an event. */
export const UNSPOKEN_REASONS = ['coalesced', 'area_busy', 'cooldown', 'depth', 'words_per_minute'] as const;
export type UnspokenReason = (typeof UNSPOKEN_REASONS)[number];

export interface Unspoken {
  readonly reason: UnspokenReason;
  /** Who speaks instead, and the id of that dialogue; null: nobody. */
  readonly voice: { readonly npcId: string; readonly id: string } | null;
}

export interface Source {
  /** `none`: nothing was said (`unspoken`). */
  readonly kind: 'engine' | 'cache' | 'written' | 'none';
  readonly engine: string;
  readonly model: string | null;
  readonly modelVersion: string | null;
  /** The adapter that spoke, `lich@8`; null: the base. */
  readonly adapter: string | null;
  /** The generation of the adapter's tag, which rises with every swap. */
  readonly adapterGeneration?: number;
  /** The adapter that the persona names and that did not speak, and why. */
  readonly adapterMissing?: { readonly adapter: string; readonly reason: AdapterAbsence };
  /** The prompt was kept short, so that the first sentence came in time. */
  readonly leanPrompt?: true;
  /** 0 is the first rung of the tier's ladder. */
  readonly rung: number;
  readonly cause?: Cause;
}

export interface Usage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Integer micro-dollars; 0 for local engines. */
  readonly costMicroUsd: number;
}

/** Milliseconds from `receivedMonoMs`, measured. `ttftMs` is null when no engine produced a token. */
export interface Timing {
  readonly queueMs: number;
  readonly ttftMs: number | null;
  readonly ttfsMs: number | null;
  readonly totalMs: number;
}

export interface Action {
  readonly name: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly ttlMs: number;
}

export interface DialogueOutcome {
  readonly id: string;
  readonly npcId: string;
  readonly finishReason: FinishReason;
  readonly tier: Tier;
  readonly source: Source;
  readonly usage: Usage;
  readonly timing: Timing;
  readonly sentences: readonly string[];
  readonly action?: Action;
  /** Present with the finish reason `unspoken` only. */
  readonly unspoken?: Unspoken;
  /** Present when the request named a conversation; `stored` is false when the store could not keep the turn. */
  readonly conversation?: {
    readonly id: string;
    readonly timelineId: string;
    readonly turn: number;
    readonly stored: boolean;
  };
}

export type DialogueEvent =
  | { readonly type: 'accepted'; readonly id: string; readonly npcId: string; readonly tier: Tier }
  | { readonly type: 'filler'; readonly lineId: string; readonly text: string }
  | { readonly type: 'token'; readonly index: number; readonly text: string }
  | {
      readonly type: 'sentence';
      readonly index: number;
      readonly text: string;
      readonly estMs: number;
      readonly source: Source['kind'];
      readonly lineId?: string;
    }
  | { readonly type: 'action'; readonly action: Action }
  | { readonly type: 'done'; readonly outcome: DialogueOutcome };
