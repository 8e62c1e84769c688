/** One streamed chat against any OpenAI-compatible server, with the times a player would feel. */
import { Agent, request as httpRequest } from 'node:http';
import type { ChatMessage } from './prompts.ts';

export interface LineTimes {
  /** To the first text (ms). */
  readonly ttftMs: number;
  /** To the end of the first sentence (ms); null when none ended. */
  readonly ttfsMs: number | null;
  readonly totalMs: number;
  readonly completionTokens: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

// A new connection per line: llama-server closes idle ones at a moment that a reused socket cannot see.
const agent = new Agent({ keepAlive: false, maxSockets: 256 });
const LINE_TIMEOUT_MS = 240_000;
const SENTENCE_END = /[.!?…]["')\]]?\s/;

export function speak(
  baseUrl: string,
  body: { messages: readonly ChatMessage[]; maxTokens: number; seed: number },
): Promise<LineTimes> {
  const payload = JSON.stringify({
    model: 'bench',
    messages: body.messages,
    max_tokens: body.maxTokens,
    stream: true,
    stream_options: { include_usage: true },
    // Every line has the same length on both engines, whatever the model would like to do.
    ignore_eos: true,
    // Given in full: the engines' own defaults differ.
    temperature: 0.7,
    top_p: 0.95,
    top_k: 40,
    min_p: 0.05,
    seed: body.seed,
    repetition_penalty: 1,
  });
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const request = httpRequest(
      `${baseUrl}/v1/chat/completions`,
      { method: 'POST', agent, headers: { 'content-type': 'application/json' }, timeout: LINE_TIMEOUT_MS },
      (reply) => {
        let buffer = '';
        let text = '';
        let ttftMs: number | null = null;
        let ttfsMs: number | null = null;
        let usage: {
          prompt_tokens: number;
          completion_tokens: number;
          prompt_tokens_details?: { cached_tokens?: number };
        } | null = null;
        reply.setEncoding('utf8').on('data', (part: string) => {
          buffer += part;
          const events = buffer.split('\n\n');
          buffer = events.pop() ?? '';
          for (const event of events) {
            if (!event.startsWith('data: {')) continue;
            const chunk = JSON.parse(event.slice(6)) as {
              choices?: { delta?: { content?: string | null } }[];
              usage?: typeof usage;
              error?: unknown;
            };
            if (chunk.error !== undefined) return reject(new Error(JSON.stringify(chunk.error)));
            const piece = chunk.choices?.[0]?.delta?.content ?? '';
            if (piece !== '') {
              text += piece;
              ttftMs ??= performance.now() - startedMs;
              if (ttfsMs === null && SENTENCE_END.test(text)) ttfsMs = performance.now() - startedMs;
            }
            if (chunk.usage) usage = chunk.usage;
          }
        });
        reply.on('error', reject).on('end', () => {
          if (reply.statusCode !== 200 || usage === null || ttftMs === null)
            return reject(new Error(`${baseUrl} answered ${reply.statusCode}: ${buffer.slice(0, 300)}`));
          resolve({
            ttftMs,
            ttfsMs,
            totalMs: performance.now() - startedMs,
            completionTokens: usage.completion_tokens,
            promptTokens: usage.prompt_tokens,
            cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
          });
        });
      },
    );
    request.on('timeout', () =>
      request.destroy(new Error(`no answer from ${baseUrl} in ${LINE_TIMEOUT_MS} ms`)),
    );
    request.on('error', reject).end(payload);
  });
}

export function closeClient(): void {
  agent.destroy();
}
