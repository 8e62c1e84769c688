/** Any server that speaks OpenAI's chat completions as a stream; its first sentence is found by our own cutter. */
import { lastSentence, SentenceCutter } from '../../src/dialogue/sentences.ts';
import { countOf, fieldsOf, StreamReader } from './stream-reader.ts';
import { messagesOf, type SayEntry, type TraceHeader } from './trace.ts';

export interface ChatOptions {
  readonly model: string;
  /** As examples/body-broker has it unless said otherwise. */
  readonly temperature: number;
}

export function chatBody(header: TraceHeader, entry: SayEntry, { model, temperature }: ChatOptions): string {
  return JSON.stringify({
    model,
    messages: messagesOf(header, entry),
    max_tokens: entry.maxTokens,
    temperature,
    stream: true,
    stream_options: { include_usage: true },
    // A reply is one line of speech; the service asks its own engines the same way.
    stop: ['\n'],
  });
}

interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: unknown };
    readonly finish_reason?: unknown;
  }[];
  readonly usage?: Readonly<Record<string, unknown>> | null;
  readonly timings?: Readonly<Record<string, unknown>>;
  readonly error?: unknown;
}

/** Reads chat.completion.chunk events; complete with a finish reason. */
export class ChatReader extends StreamReader {
  readonly #cutter = new SentenceCutter();

  protected override onEvent(_event: string, data: string, atMs: number): void {
    if (data.trim() === '[DONE]') return;
    const chunk = fieldsOf(data) as Chunk;
    // Some servers answer 200 and break off with an error in the stream.
    if (chunk.error !== undefined && chunk.error !== null)
      throw new Error(`error in the stream: ${JSON.stringify(chunk.error).slice(0, 300)}`);
    const choice = chunk.choices?.[0];
    const piece = choice?.delta?.content;
    if (typeof piece === 'string' && piece !== '') {
      const isWhole = this.#cutter.push(piece).length > 0;
      this.#onText(piece, isWhole, atMs);
    }
    if (typeof choice?.finish_reason === 'string') {
      this.isFinished = true;
      // What is left is what the player hears last; cut off by the token limit it still is all there was.
      const isLast = lastSentence(this.#cutter.flush(), this.said.firstSentenceAtMs === null) !== null;
      this.#onText('', isLast, atMs);
    }
    const { usage, timings } = chunk;
    const details = usage?.['prompt_tokens_details'] as
      | { readonly cached_tokens?: unknown }
      | null
      | undefined;
    if (usage)
      this.said = {
        ...this.said,
        promptTokens: countOf(usage['prompt_tokens']),
        completionTokens: countOf(usage['completion_tokens']),
        cachedTokens: countOf(details?.cached_tokens),
      };
    // llama-server says so here as well, also in builds whose usage has no details.
    if (timings?.['cache_n'] !== undefined)
      this.said = {
        ...this.said,
        cachedTokens: Math.max(this.said.cachedTokens, countOf(timings['cache_n'])),
      };
  }

  #onText(piece: string, isSentence: boolean, atMs: number): void {
    const { text, firstTextAtMs, firstSentenceAtMs } = this.said;
    this.said = {
      ...this.said,
      text: text + piece,
      firstTextAtMs: firstTextAtMs ?? (piece === '' ? null : atMs),
      firstSentenceAtMs: firstSentenceAtMs ?? (isSentence ? atMs : null),
    };
  }
}
