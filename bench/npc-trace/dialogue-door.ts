/** Greenroom's own door: POST /v1/dialogue as server-sent events, and POST /v1/prepare for hints. */
import { bodyOf } from './say-body.ts';
import { countOf, fieldsOf, StreamReader } from './stream-reader.ts';
import type { SayEntry, SayOutcome } from './trace.ts';

export interface DialogueOptions {
  readonly units: 'sentence' | 'token';
  /** Whether the request says which event of which area it belongs to. */
  readonly useEvents: boolean;
}

export function dialogueBody(entry: SayEntry, { units, useEvents }: DialogueOptions): string {
  return JSON.stringify({
    ...bodyOf(entry),
    tier: entry.tier,
    max_tokens: entry.maxTokens,
    stream: true,
    units,
    ...(useEvents && entry.event !== undefined ? { event: entry.event } : {}),
  });
}

/** Reads accepted · filler? · (token* sentence)* · action? · one done or error. A filler is no sentence. */
export class DialogueReader extends StreamReader {
  protected override onEvent(event: string, data: string, atMs: number): void {
    const fields = fieldsOf(data);
    if (event === 'error')
      throw new Error(`error event: ${String(fields['code'])}: ${String(fields['message'])}`);
    if (event === 'token') this.said = { ...this.said, firstTextAtMs: this.said.firstTextAtMs ?? atMs };
    else if (event === 'sentence') {
      this.said = {
        ...this.said,
        text: `${this.said.text} ${String(fields['text'])}`.trim(),
        firstTextAtMs: this.said.firstTextAtMs ?? atMs,
        firstSentenceAtMs: this.said.firstSentenceAtMs ?? atMs,
        // A player who leaves before the end hears no more of where it came from.
        source: sourceOf(fields['source']),
      };
    } else if (event === 'done') this.#onDone(fields);
  }

  #onDone(fields: Readonly<Record<string, unknown>>): void {
    this.isFinished = true;
    const usage = (fields['usage'] ?? {}) as Readonly<Record<string, unknown>>;
    const source = (fields['source'] ?? {}) as { readonly kind?: unknown; readonly cause?: unknown };
    const kind = sourceOf(source.kind);
    this.said = {
      ...this.said,
      source: kind,
      cause: kind === 'written' && typeof source.cause === 'string' ? source.cause : null,
      promptTokens: countOf(usage['prompt_tokens']),
      cachedTokens: countOf(usage['cached_tokens']),
      completionTokens: countOf(usage['completion_tokens']),
      costUsd: countOf(usage['cost_usd']),
      isUnspoken: fields['finish_reason'] === 'unspoken',
    };
  }
}

/** A line that joined another's generation cost as little as a cached one. */
function sourceOf(kind: unknown): SayOutcome['source'] {
  if (kind === 'joined') return 'cache';
  return kind === 'engine' || kind === 'cache' || kind === 'written' ? kind : 'unknown';
}
