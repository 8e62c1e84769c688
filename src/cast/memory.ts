/**
 * What an NPC remembers of a conversation: the last turns, and a short text of those before. A timeline that nobody
 * has seen is a loaded save: it begins with the turns of the latest timeline up to the save's game time, so that
 * nobody remembers the future. Invariant: only what was heard is kept, and the NPC's own words never become facts.
 */
import type {
  ConversationStore,
  ConversationTurn,
  ConversationWindow,
  Summariser,
} from '../core/conversation.ts';
import type { HistoryTurn } from '../core/dialogue.ts';
import { abortable } from '../lib/abort.ts';
import type { Persona } from './persona.ts';

/** Turns looked at for a summary, and for the place where a timeline branches off. */
const TURNS_READ_MAX = 200;

/** The default: nothing is summarised, what leaves the window is forgotten. */
export const noSummary: Summariser = { summarise: () => Promise.resolve(null) };

/**
 * What the player said that left the window, shortened; no model needed. Only the player's words enter: the NPC's
 * own are not facts.
 */
export const extractiveSummary: Summariser = {
  summarise(turns, tokensMax) {
    // Four characters a token is the English average of the models we serve.
    let lengthLeft = tokensMax * 4;
    const said: string[] = [];
    for (const turn of turns.toReversed()) {
      const text = turn.playerText.replace(/\s+/g, ' ').trim().slice(0, 120);
      if (text === '' || text.length + 4 > lengthLeft) continue;
      lengthLeft -= text.length + 4;
      said.unshift(`"${text.replaceAll('"', "'")}"`);
    }
    return Promise.resolve(said.length === 0 ? null : `Earlier the visitor said: ${said.join(' ')}`);
  },
};

export interface MemoryQuery {
  readonly conversationId: string;
  readonly timelineId: string;
  readonly gameTime: string | null;
}

export class ConversationMemory {
  readonly #store: ConversationStore;
  readonly #summariser: Summariser;

  constructor(store: ConversationStore, summariser: Summariser = noSummary) {
    this.#store = store;
    this.#summariser = summariser;
  }

  /**
   * What the persona remembers, by its memory policy: nothing for `none`, else its `max_turns` last turns and, with
   * `summary_tokens`, a summary of those before. Branches an unknown timeline. Throws `store_unavailable`; aborting ends
   * the wait at once, while the query itself ends by itself.
   */
  async recall(
    query: MemoryQuery,
    memory: Persona['memory'],
    signal: AbortSignal,
  ): Promise<ConversationWindow> {
    const readsBefore = memory.summary_tokens > 0;
    const turnsMax = readsBefore ? TURNS_READ_MAX : Math.max(1, memory.max_turns);
    // A store may take seconds to answer, waiting for another process; whoever asks waits as long as the signal lets it.
    const turns = await abortable(this.#turns(query, turnsMax), signal);
    const nextTurn = (turns.at(-1)?.turn ?? -1) + 1;
    if (memory.policy === 'none') return { history: [], summary: null, nextTurn };
    const window = memory.max_turns === 0 ? [] : turns.slice(-memory.max_turns);
    const before = turns.slice(0, turns.length - window.length);
    const summary =
      readsBefore && before.length > 0
        ? await this.#summariser.summarise(before, memory.summary_tokens, signal)
        : null;
    return { history: window.flatMap(asHistory), summary, nextTurn };
  }

  /**
   * Keeps a turn: the player's cleaned words and the sentences that were heard. Resolves to false when another reply
   * took this turn number. Throws `store_unavailable`.
   */
  remember(
    turn: Omit<ConversationTurn, 'npcText'> & { readonly heard: readonly string[] },
  ): Promise<boolean> {
    const { heard, ...rest } = turn;
    return this.#store.appendTurn({ ...rest, npcText: heard.join(' ') });
  }

  async #turns(query: MemoryQuery, turnsMax: number): Promise<readonly ConversationTurn[]> {
    const turns = await this.#store.loadWindow(query.conversationId, query.timelineId, turnsMax);
    if (turns.length > 0 || !(await this.#branch(query))) return turns;
    return await this.#store.loadWindow(query.conversationId, query.timelineId, turnsMax);
  }

  /** Whether the unknown timeline now begins with turns of another. */
  async #branch(query: MemoryQuery): Promise<boolean> {
    const head = await this.#store.latestTimeline(query.conversationId);
    if (head === null || head.timelineId === query.timelineId || head.turns === 0) return false;
    const parent = await this.#store.loadWindow(query.conversationId, head.timelineId, TURNS_READ_MAX);
    const firstLater = parent.findIndex((turn) => isLater(turn.gameTime, query.gameTime));
    const atTurn = firstLater < 0 ? head.turns : (parent[firstLater]?.turn ?? head.turns);
    if (atTurn === 0) return false;
    await this.#store.branch(query.conversationId, head.timelineId, query.timelineId, atTurn);
    return true;
  }
}

function asHistory(turn: ConversationTurn): readonly HistoryTurn[] {
  const history: HistoryTurn[] = [];
  if (turn.playerText !== '') history.push({ speaker: 'player', text: turn.playerText });
  // The dash tells the model, as it tells a reader, that the words were cut off.
  const npcText = turn.interrupted && turn.npcText !== '' ? `${turn.npcText} —` : turn.npcText;
  if (npcText !== '') history.push({ speaker: 'npc', text: npcText });
  return history;
}

/**
 * Whether game time `a` is after `b`: as numbers when both are, else in text order (ISO and zero-padded times sort so).
 * Unknown times are never later.
 */
export function isLater(a: string | null, b: string | null): boolean {
  if (a === null || b === null || a === '' || b === '') return false;
  const left = Number(a);
  const right = Number(b);
  return Number.isFinite(left) && Number.isFinite(right) ? left > right : a > b;
}
