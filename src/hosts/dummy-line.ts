/** A line for nobody: what proves that an engine speaks, and what reads a prefix into its cache. */
import type { AdapterAddress } from '../core/adapter.ts';
import type { Engine, GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';

export function dummyLine(model: string): GenerateRequest {
  return {
    requestId: 'warm-up',
    model,
    messages: [{ role: 'user', content: 'Hello. Who goes there?' }],
    assistantPrefix: '',
    maxTokens: 12,
    temperature: 0,
    stop: [],
    priority: 'ambient',
    scene: {
      npcId: '',
      tier: 1,
      playerId: null,
      trigger: null,
      cause: null,
      mood: null,
      facts: [],
      committed: [],
    },
  };
}

/** Throws what the engine throws, and `engine_error` when it says nothing. */
export async function speakDummyLine(
  engine: Engine,
  line: GenerateRequest,
  signal: AbortSignal,
): Promise<void> {
  let text = '';
  let spoken = 0;
  for await (const event of engine.generate(line, signal)) {
    if (event.type === 'text') text += event.text;
    if (event.type === 'finish') spoken = event.usage.completionTokens;
  }
  // One token may be half a character, which is no text yet.
  if (text.trim() === '' && spoken === 0)
    throw new ServiceError('engine_error', 'the warm-up line was empty');
}

/** What the engine says to one prompt at temperature 0. Throws what the engine throws. */
export async function answerTo(
  engine: Engine,
  model: string,
  ask: { readonly prompt: string; readonly adapter: AdapterAddress | null; readonly maxTokens: number },
  signal: AbortSignal,
): Promise<string> {
  const { prompt, adapter, maxTokens } = ask;
  const request: GenerateRequest = {
    ...dummyLine(model),
    requestId: 'probe',
    ...(adapter === null ? {} : { adapter }),
    messages: [{ role: 'user', content: prompt }],
    maxTokens,
  };
  let text = '';
  for await (const event of engine.generate(request, signal)) if (event.type === 'text') text += event.text;
  return text;
}
