/** Lines and their provenance for people at a terminal. Nothing that an engine wrote may steer the terminal. */
import type { Done } from './client.ts';

/** The text without control characters. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ');
}

/** Grey, where the stream is a terminal and colour is not refused (NO_COLOR). */
export function dim(text: string, isTerminal: boolean): string {
  return isTerminal ? `\u001b[2m${text}\u001b[22m` : text;
}

/** One line: where the words came from, what they cost, and when they were heard. */
export function provenance({ source, usage, timing, tier, finish_reason: finish }: Done): string {
  const { cached_tokens: cached, prompt_tokens: prompt, completion_tokens: completion } = usage;
  return [
    [source.kind, source.kind === 'written' ? null : source.engine, source.model]
      .filter((part) => part !== null)
      .join(' · '),
    `tier ${tier}, rung ${source.rung}${source.cause === undefined ? '' : ` (${source.cause})`}`,
    ...(prompt === 0 ? [] : [`${cached} of ${prompt} prompt tokens cached, ${completion} said`]),
    `first token ${milliseconds(timing.ttft_ms)}, first sentence ${milliseconds(timing.ttfs_ms)}, all ${milliseconds(timing.total_ms)}`,
    ...(finish === 'stop' || finish === 'written' ? [] : [finish]),
  ]
    .map(printable)
    .join(' | ');
}

function milliseconds(value: number | null): string {
  return value === null ? 'none' : `${Math.round(value)} ms`;
}
