/** The body of POST /v1/dialogue for an entry, without how it is to be answered. */
import type { SayEntry } from './trace.ts';

export function bodyOf(
  entry: Pick<SayEntry, 'npcId' | 'prompt' | 'trigger' | 'context' | 'playerId' | 'priority'>,
): Record<string, unknown> {
  return {
    npc_id: entry.npcId,
    prompt: entry.prompt,
    ...(entry.trigger === undefined ? {} : { trigger: entry.trigger }),
    context: { ...entry.context, player_id: entry.playerId },
    priority: entry.priority,
  };
}
