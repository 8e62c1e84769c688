/**
 * Events that many NPCs see at once: a third of the stories have them. Each crowd is asked for within a second, as a game
 * does that asks for every NPC in sight; some bark, some talk among themselves, some are cut off.
 */
import type { Cast } from '../../cast/cast.ts';
import type { SeededRandom } from '../../planning/seeded-random.ts';
import { markerOf } from './markers.ts';
import type { PlannedLine, TrafficPlan } from './traffic.ts';

export const CROWDS_SHARE = 0.34;
const AREAS = ['crypt', 'market'];

/** The traffic, and crowds beside it. */
export function withCrowds(
  traffic: TrafficPlan,
  { cast, playMs, random }: { readonly cast: Cast; readonly playMs: number; readonly random: SeededRandom },
): TrafficPlan {
  const npcIds = [...cast.npcs.keys()];
  const players = [...new Set(traffic.lines.flatMap(({ playerId }) => playerId ?? []))];
  const ownerOf = new Map(traffic.ownerOf);
  const lines: PlannedLine[] = [...traffic.lines];
  let number = Math.max(-1, ...lines.map((line) => line.number));
  const crowds = random.between(2, 6);
  for (let crowd = 0; crowd < crowds; crowd++) {
    const atMs = random.next() * playMs;
    const spreadMs = random.pick([0, 50, 900]);
    const event = { id: `event-${random.between(0, 3)}`, area: random.pick(AREAS) };
    const seenBy = random.between(2, 10);
    for (let at = 0; at < seenBy; at++) {
      number += 1;
      const playerId = random.chance(0.8) && players.length > 0 ? random.pick(players) : null;
      const isChat = random.chance(0.3);
      const marker = isChat ? markerOf(ownerOf.size) : null;
      if (marker !== null) ownerOf.set(marker, playerId ?? `anonymous-${number}`);
      lines.push({
        number,
        atMs: atMs + random.next() * spreadMs,
        playerId,
        npcId: random.pick(npcIds),
        adapter: null,
        prompt: marker === null ? '' : `Did you see ${marker} fall?`,
        trigger: 'spot',
        event: { ...event, depth: isChat ? random.between(0, 3) : 0 },
        listeners: players.filter(() => random.chance(0.5)),
        marker,
        factMarker: null,
        conversationId: null,
        timelineId: 'main',
        gameTime: null,
        units: 'sentence',
        tier: null,
        priority: 'ambient',
        deadlineMs: random.chance(0.3) ? Math.round(random.spread(5, 4_000)) : null,
        hangUpAfterMs: random.chance(0.15) ? random.spread(0.5, 400) : null,
        pauseMs: 0,
        idempotencyKey: null,
        flaw: null,
      });
    }
  }
  return { lines: lines.toSorted((a, b) => a.atMs - b.atMs || a.number - b.number), ownerOf };
}
