/** One line of speech, as the loop knows it: what was asked, how it ended, and its state on the way. */
import type { Grammar } from './llama/grammar.ts';
import type { Lora } from './llama/lora.ts';
import type { Sampler, SamplingSettings } from './llama/sampler.ts';
import { BASE, type SequenceState } from './sequence-table.ts';

/** An adapter that lines can be generated under. */
export interface LineAdapter {
  /** Unique to this load of it, above 0. */
  readonly id: number;
  readonly lora: Lora;
}

export interface LineRequest {
  /** null is the base. */
  readonly adapter: LineAdapter | null;
  readonly prompt: readonly number[];
  /** Tokens at the beginning that other requests are likely to begin with too; 0 for none. */
  readonly prefixTokens: number;
  /** At least 1; prompt and answer must fit the context. */
  readonly maxTokens: number;
  readonly sampling: SamplingSettings;
  readonly grammar: Grammar | null;
  /** Lower goes earlier. */
  readonly priority: number;
  /** Called once per token that is no end token, in the loop: must be quick. False ends the line. */
  onToken(
    token: number,
    spent: { readonly cachedTokens: number; readonly completionTokens: number },
  ): boolean;
  isEnd(token: number): boolean;
  /** Whether the text so far has a whole sentence; asked after each token until it has. */
  hasSaidSentence(): boolean;
}

export interface LineResult {
  /** `stop`: an end token, or `onToken` said so. */
  readonly finish: 'stop' | 'length';
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly queueMs: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
}

/** Of a line that waits or runs; the loop writes it. */
export interface Line {
  readonly request: LineRequest;
  readonly signal: AbortSignal;
  readonly resolve: (result: LineResult) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: () => void;
  readonly arrivedMs: number;
  admittedMs: number;
  firstTokenMs: number;
  lastTokenMs: number;
  sequence: SequenceState | null;
  sampler: Sampler | null;
  isResolved: boolean;
  cachedTokens: number;
  /** Evaluate the prompt up to here and copy it for others, then go on; null when there is nothing to copy. */
  keepAt: number | null;
  /** How often a prompt that came later went before it. */
  overtaken: number;
  hasSaidSentence: boolean;
  produced: number;
  /** The token to evaluate next; null while in prefill. */
  next: number | null;
  hasEnded: boolean;
}

/** The number of the adapter that the line is generated under; BASE for none. */
export function adapterOf(line: Line): number {
  return line.request.adapter?.id ?? BASE;
}
