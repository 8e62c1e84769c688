/**
 * Stop strings for wires that do not take every one of ours: the text is cut on our side, and the engine is stopped by
 * leaving its stream. Text that may be the beginning of a stop string is held back until it is clear.
 */
import type { EngineUsage, GenerateEvent } from '../core/engine.ts';

/**
 * Passes events on until the text holds one of `stops`; then the text before it, and a finish with what was spent so
 * far. An engine that stops by itself makes no difference. With no stops it passes everything on unchanged.
 */
export async function* cutAtStop(
  events: AsyncIterable<GenerateEvent>,
  stops: readonly string[],
): AsyncGenerator<GenerateEvent> {
  const wanted = stops.filter((stop) => stop !== '');
  if (wanted.length === 0) {
    yield* events;
    return;
  }
  let held = '';
  let usage: EngineUsage | null = null;
  for await (const event of events) {
    if (event.type === 'text') {
      const text = held + event.text;
      const end = firstOf(text, wanted);
      if (end !== -1) {
        if (end > 0) yield { type: 'text', text: text.slice(0, end) };
        yield { type: 'finish', reason: 'stop', usage: usage ?? NOTHING };
        return;
      }
      const clear = text.length - Math.max(...wanted.map((stop) => overlap(text, stop)));
      held = text.slice(clear);
      if (clear > 0) yield { type: 'text', text: text.slice(0, clear) };
      continue;
    }
    if (event.type === 'usage') usage = event.usage;
    else if (held !== '') {
      yield { type: 'text', text: held };
      held = '';
    }
    yield event;
  }
}

const NOTHING: EngineUsage = {
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  source: 'estimated',
};

function firstOf(text: string, stops: readonly string[]): number {
  const found = stops.map((stop) => text.indexOf(stop)).filter((index) => index !== -1);
  return found.length === 0 ? -1 : Math.min(...found);
}

/** The length of the longest end of `text` that `stop` begins with, and is longer than. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
