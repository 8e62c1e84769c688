/**
 * The contract of an engine: anything that turns a prompt into words, from a GPU server to a list of written lines.
 * One method, streaming; a unary answer is `collect`. An engine never retries and never cleans text.
 */
import type { AdapterAddress } from './adapter.ts';
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
  /** Players who hear it besides; left out: none. */
  readonly listeners?: readonly string[];
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
  /** The adapter that must speak; held by a lease until the stream has ended. Left out: the base. */
  readonly adapter?: AdapterAddress;
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

/** Normalised as engines.md §13.3: the prompt with what was cached, the completion with what was thought. */
export interface EngineUsage {
  readonly promptTokens: number;
  /** Of the prompt tokens, those read from a cache. */
  readonly cachedTokens: number;
  /** Of the prompt tokens, those whose writing to a cache is billed. Left out: none. */
  readonly cacheWriteTokens?: number;
  readonly completionTokens: number;
  /** Of the completion tokens, those that nobody hears. Left out: none. */
  readonly reasoningTokens?: number;
  readonly source: 'reported' | 'estimated';
}

/** `usage` may come at any time and replaces the one before: what was spent so far, also when the reader leaves early. */
export type GenerateEvent =
  | { readonly type: 'text'; readonly text: string; readonly lineId?: string }
  | { readonly type: 'usage'; readonly usage: EngineUsage }
  | { readonly type: 'finish'; readonly reason: EngineFinish; readonly usage: EngineUsage };

/** What a wire can do. Decisions ask this, never the engine's name. */
export interface EngineCapabilities {
  /** Goes on natively from `assistantPrefix`; elsewhere the driver asks for it in words, and the join is checked. */
  readonly continuesAssistant: boolean;
  /** How far the answer is held to `responseSchema`. */
  readonly structuredOutput: 'schema' | 'json' | 'none';
  /** Takes `priority` into account in its own queue. */
  readonly honoursPriority: boolean;
}

export interface Engine {
  /** The name in the configuration; appears in `source.engine`. */
  readonly name: string;
  readonly kind: string;
  /** Whether the line is written by a person, not generated. */
  readonly isWritten: boolean;
  readonly capabilities: EngineCapabilities;
  /**
   * Streams one answer. Ends with exactly one `finish`; throws ServiceError otherwise: `engine_unavailable` (no reply),
   * `overloaded` (details `retryAfterMs` where the engine gave a hint), `engine_account` (key, credit or spend limit),
   * `unknown_model`, `context_length_exceeded`, `bad_request`, `engine_error` (everything else; details `isDisowned` when
   * nothing that it said may be heard). Aborting the signal, or leaving the loop, stops the work at the engine.
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent>;
}

/** Counts tokens as the model will see them. Counts are cached by text; may fall back to an upper estimate. */
export interface TokenCounter {
  count(text: string, signal: AbortSignal): Promise<number>;
}

/** A name that a server answers to. */
export interface EngineModel {
  readonly id: string;
  /** Prompt and answer together; null where the wire does not say. */
  readonly maxModelTokens: number | null;
  /** The base model of an adapter; null for a base. */
  readonly parent: string | null;
}

/** What the engine itself says about its work. */
export interface EngineLoad {
  readonly running: number;
  readonly waiting: number;
}

/**
 * What can be asked of an engine besides words. Each throws ServiceError: `engine_unavailable` (no reply), `not_ready`
 * (it says that it cannot take work), `engine_error` (an answer that makes no sense).
 */
export interface EngineProbe {
  /** The server's own version; `unknown` where the wire has none, as at most clouds. */
  version(signal: AbortSignal): Promise<string>;
  /** Names it answers to. Proves nothing about their being loaded (engines.md §3.1). */
  models(signal: AbortSignal): Promise<readonly EngineModel[]>;
  /** Resolves when its process answers. */
  live(signal: AbortSignal): Promise<void>;
  /** Resolves when it can take work for this model: the most meaningful question that its wire has (engines.md §13.4). */
  ready(signal: AbortSignal): Promise<void>;
  /** Requests that it says it works on; null where the wire does not tell. */
  load(signal: AbortSignal): Promise<EngineLoad | null>;
}
