/** The cast as people look at it: the console's lists and previews. Read-only, in wire form. */
import type { Cast } from './cast.ts';
import { COMMON_SPEAKER } from './written-lines.ts';

export function npcSummaries(cast: Cast) {
  return [...cast.npcs.values()]
    .map((persona) => ({
      npcId: persona.id,
      name: persona.name,
      kind: persona.monster_type,
      tier: persona.tier,
      summary: persona.summary,
    }))
    .sort((a, b) => a.kind.localeCompare(b.kind) || a.tier - b.tier || a.name.localeCompare(b.name));
}

export function lineRows(cast: Cast, filter: { readonly speaker?: string; readonly trigger?: string }) {
  return cast.lines.served
    .filter(
      (line) =>
        (filter.speaker === undefined || line.speaker === filter.speaker) &&
        (filter.trigger === undefined || line.trigger === filter.trigger),
    )
    .map((line) => ({
      id: line.id,
      speaker: line.speaker,
      trigger: line.trigger,
      text: line.text,
      when: line.when.map((condition) => condition.text),
      mood: line.mood,
      status: line.status,
    }));
}

/** Served lines by speaker and trigger, in the order the pool widens: the NPC's own, its kind's, everybody's. */
export function lineCounts(cast: Cast, npcId: string): Record<string, Record<string, number>> {
  const persona = cast.npcs.get(npcId);
  const counts: Record<string, Record<string, number>> = {};
  for (const speaker of [npcId, persona?.monster_type ?? '', COMMON_SPEAKER]) {
    const own: Record<string, number> = {};
    for (const line of cast.lines.served) {
      if (line.speaker === speaker) own[line.trigger] = (own[line.trigger] ?? 0) + 1;
    }
    counts[speaker] = own;
  }
  return counts;
}
