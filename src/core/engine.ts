/**
 * The contract of an engine: anything that turns a prompt into words, from a GPU server to a list of written lines.
 * One method, streaming; a unary answer is `collect`. An engine never retries and never cleans text.
 */
import type { Cause, GameFact, Priority, Tier, Trigger } from './dialogue.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** Who speaks and why: what the written engine chooses by. Engines with a model ignore it. */
export interface SpokenScene {
  readonly npcId: string;
  readonly tier: Tier;
  readonly playerId: string | null;
  readonly trigger: Trigger | null;
  readonly cause: Cause | null;
  readonly mood: string | null;
  readonly facts: readonly GameFact[];
  /** What this reply already said; a written line must not repeat it. */
  readonly committed: readonly string[];
}

export interface GenerateRequest {
  readonly requestId: string;
  /** The engine's own name for the model. */
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  /** What the assistant has already said in this turn; the engine goes on from there. Empty string: from the start. */
  readonly assistantPrefix: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop: readonly string[];
  /** JSON schema the whole answer must follow, where the engine can. */
  readonly responseSchema?: Readonly<Record<string, unknown>>;
  readonly priority: Priority;
  readonly scene: SpokenScene;
}

/** `aborted` and `error` are failures of the attempt, never a good line (engines.md §2.4). */
export type EngineFinish = 'stop' | 'length' | 'content_filter' | 'aborted' | 'error';

export interface EngineUsage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly source: 'reported' | 'estimated';
}

/** `usage` may come at any time and replaces the one before: what was spent so far, also when the reader leaves early. */
export type GenerateEvent =
  | { readonly type: 'text'; readonly text: string; readonly lineId?: string }
  | { readonly type: 'usage'; readonly usage: EngineUsage }
  | { readonly type: 'finish'; readonly reason: EngineFinish; readonly usage: EngineUsage };

export interface Engine {
  /** The name in the configuration; appears in `source.engine`. */
  readonly name: string;
  readonly kind: string;
  /** Whether the line is written by a person, not generated. */
  readonly isWritten: boolean;
  /**
   * Streams one answer. Ends with exactly one `finish`; throws ServiceError (`engine_unavailable`, `engine_error`,
   * `overloaded`, `context_length_exceeded`) otherwise. Aborting the signal, or leaving the loop, stops the work at the engine.
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent>;
}

/** Counts tokens as the model will see them. Counts are cached by text; may fall back to an upper estimate. */
export interface TokenCounter {
  count(text: string, signal: AbortSignal): Promise<number>;
}
