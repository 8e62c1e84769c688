/**
 * Written lines as an engine: the end of every ladder, so the chain has no special ending. It answers in well under a
 * millisecond, needs nothing that can be down, and always has something to say.
 */
import type { Engine, SpokenScene } from '../core/engine.ts';

/** What it needs of the cast: the line this player heard longest ago that fits the scene. Never empty. */
export type PickLine = (scene: SpokenScene) => { readonly id: string; readonly text: string };

/**
 * The last engine. It does not look at the signal: a deadline that has passed is why it is asked, and it ends by itself
 * within the same turn of the event loop.
 */
export function createWritten(pick: PickLine): Engine {
  return {
    name: 'written',
    kind: 'written',
    isWritten: true,
    capabilities: { continuesAssistant: true, structuredOutput: 'none', honoursPriority: false },
    async *generate(request) {
      const line = pick(request.scene);
      yield { type: 'text', text: line.text, lineId: line.id };
      yield {
        type: 'finish',
        reason: 'stop',
        usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0, source: 'reported' },
      };
    },
  };
}
