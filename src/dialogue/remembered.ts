/** What was said before in this conversation: the store is asked once, when the first who needs it asks. */
import type { ConversationMemory } from '../cast/memory.ts';
import type { DialogueRequest, HistoryTurn } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { Logger } from '../core/runtime.ts';
import { abortable } from '../lib/abort.ts';
import type { Scene } from './scene.ts';

export interface Memories {
  /** Oldest first. */
  readonly history: readonly HistoryTurn[];
  readonly summary: string | null;
}

export class Remembered {
  readonly #request: DialogueRequest;
  readonly #scene: Scene;
  readonly #parts: { readonly memory: ConversationMemory; readonly log: Logger };
  readonly #onTurn: (nextTurn: number) => void;
  readonly #signal: AbortSignal;
  #memories: Promise<Memories> | null = null;

  /** `onTurn` gets the number that this turn will have in its conversation. `signal` ends the asking for all who wait. */
  constructor(
    request: DialogueRequest,
    scene: Scene,
    parts: { readonly memory: ConversationMemory; readonly log: Logger },
    onTurn: (nextTurn: number) => void,
    signal: AbortSignal,
  ) {
    this.#request = request;
    this.#scene = scene;
    this.#parts = parts;
    this.#onTurn = onTurn;
    this.#signal = signal;
  }

  /** A store that cannot be asked costs the memory of this turn, not the answer. Throws the signal's reason only. */
  load(signal: AbortSignal): Promise<Memories> {
    this.#memories ??= this.#ask();
    return abortable(this.#memories, signal);
  }

  async #ask(): Promise<Memories> {
    const { conversationId, id } = this.#request;
    const { context, persona } = this.#scene;
    const told: Memories = { history: context.history, summary: null };
    if (conversationId === undefined) return told;
    try {
      const key = { conversationId, timelineId: context.timelineId, gameTime: context.gameTime ?? null };
      const window = await this.#parts.memory.recall(key, persona.memory, this.#signal);
      this.#onTurn(window.nextTurn);
      return window.history.length > 0 ? window : { ...told, summary: window.summary };
    } catch (error) {
      if (this.#signal.aborted) throw error;
      this.#parts.log.warn('memory.unread', { requestId: id, reason: ServiceError.from(error).message });
      return told;
    }
  }
}
