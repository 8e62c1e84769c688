/**
 * What one answer has cost so far, for wires that tell it late or in parts: what the engine reported where it did, an
 * estimate of the rest, so that a line cut off half-way is accounted as well.
 */
import type { EngineUsage, GenerateEvent, GenerateRequest } from '../core/engine.ts';
import { estimateTokens } from './token-counter.ts';

export interface ReportedPrompt {
  /** All of the prompt, the cached part included. */
  readonly promptTokens: number;
  readonly cachedTokens?: number;
  readonly cacheWriteTokens?: number;
}

export interface ReportedCompletion {
  /** All of the answer, what was thought included. */
  readonly completionTokens: number;
  readonly reasoningTokens?: number;
}

export class Account {
  readonly #estimatedPromptTokens: number;
  #prompt: ReportedPrompt | null = null;
  #completion: ReportedCompletion | null = null;
  #heardTokens = 0;

  constructor(request: Pick<GenerateRequest, 'messages' | 'assistantPrefix'>) {
    this.#estimatedPromptTokens = request.messages.reduce(
      (sum, message) => sum + estimateTokens(message.content),
      estimateTokens(request.assistantPrefix),
    );
  }

  /** The events of one piece of text: what is spent with it comes before it, for a reader that leaves at the text. */
  *heard(text: string, tokens = estimateTokens(text)): Generator<GenerateEvent> {
    if (text === '') return;
    this.#heardTokens += tokens;
    yield { type: 'usage', usage: this.usage };
    yield { type: 'text', text };
  }

  /** Tokens of the answer as estimated from what was heard. */
  get heardTokens(): number {
    return this.#heardTokens;
  }

  /** Replaces what was reported before. */
  reportPrompt(prompt: ReportedPrompt): void {
    this.#prompt = prompt;
  }

  reportCompletion(completion: ReportedCompletion): void {
    this.#completion = completion;
  }

  get usage(): EngineUsage {
    const promptTokens = this.#prompt?.promptTokens ?? this.#estimatedPromptTokens;
    const completionTokens = this.#completion?.completionTokens ?? this.#heardTokens;
    const { cacheWriteTokens } = this.#prompt ?? {};
    const { reasoningTokens } = this.#completion ?? {};
    return {
      promptTokens,
      cachedTokens: Math.min(this.#prompt?.cachedTokens ?? 0, promptTokens),
      ...(cacheWriteTokens ? { cacheWriteTokens } : {}),
      completionTokens,
      ...(reasoningTokens ? { reasoningTokens } : {}),
      source: this.#prompt === null || this.#completion === null ? 'estimated' : 'reported',
    };
  }
}

/** A token count of the wire, or null where it is none: missing, negative, a fraction, a text. */
export function count(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
}
