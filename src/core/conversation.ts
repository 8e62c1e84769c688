/**
 * What the service remembers of a conversation: finished turns, on timelines. A saved game that is loaded again is a
 * new timeline that begins with its parent's turns; the parent stays as it was. Only what the player heard is kept.
 */
import type { HistoryTurn } from './dialogue.ts';

export interface ConversationTurn {
  readonly conversationId: string;
  readonly timelineId: string;
  /** 0 for the first turn of the timeline; a branch goes on counting from its parent. */
  readonly turn: number;
  /** The player's words after cleaning; empty for a bark. */
  readonly playerText: string;
  /** What was heard of the NPC's answer. Never read as a fact. */
  readonly npcText: string;
  /** Whether the answer was cut off. */
  readonly interrupted: boolean;
  readonly gameTime: string | null;
  /** Epoch milliseconds. */
  readonly atMs: number;
}

/** Keeps conversations. Every method throws `store_unavailable` when the store cannot be reached. */
export interface ConversationStore {
  /**
   * Keeps one turn; resolved means it survives `kill -9`. The same (conversation, timeline, turn) a second time
   * leaves the first in place and resolves to false, so two racing replies cannot overwrite one another.
   */
  appendTurn(turn: ConversationTurn): Promise<boolean>;
  /** The last `turnsMax` turns of a timeline, oldest first, those it inherited from its parents included. */
  loadWindow(
    conversationId: string,
    timelineId: string,
    turnsMax: number,
  ): Promise<readonly ConversationTurn[]>;
  /** The timeline of this conversation that was appended to last, or null when nothing was said yet. */
  latestTimeline(conversationId: string): Promise<TimelineHead | null>;
  /**
   * Lets `toTimelineId` begin with the parent's turns 0..atTurn-1. The parent is untouched. Does nothing when the
   * timeline exists already.
   */
  branch(conversationId: string, fromTimelineId: string, toTimelineId: string, atTurn: number): Promise<void>;
}

/** A timeline that a new one may branch from. */
export interface TimelineHead {
  readonly timelineId: string;
  /** How many turns it has, inherited ones included: the number of its next turn. */
  readonly turns: number;
}

/** Makes a short text of turns that fell out of the window. Facts come only from the player's side and the game. */
export interface Summariser {
  /** At most about `tokensMax` tokens; null when there is nothing worth keeping. */
  summarise(
    turns: readonly ConversationTurn[],
    tokensMax: number,
    signal: AbortSignal,
  ): Promise<string | null>;
}

/** What the prompt gets of a conversation. */
export interface ConversationWindow {
  readonly history: readonly HistoryTurn[];
  readonly summary: string | null;
  /** The number that the next turn will have. */
  readonly nextTurn: number;
}
