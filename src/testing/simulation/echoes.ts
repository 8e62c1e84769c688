/**
 * The same question from many players: a third of the stories have them, some told other facts than the rest, some leaving
 * while the answer is being generated. What one of them was told may be said to another who was told the same, and to
 * nobody else.
 */
import type { Cast } from '../../cast/cast.ts';
import type { SeededRandom } from '../../planning/seeded-random.ts';

import { markerOf } from './markers.ts';
import type { Heard } from './player.ts';
import type { PlannedLine, TrafficPlan } from './traffic.ts';

export const ECHOES_SHARE = 0.4;
/** Whose the marker of a question is that all may ask. */
export const EVERYBODY = 'everybody';

/** The traffic, and equal questions beside it. */
export function withEchoes(
  traffic: TrafficPlan,
  { cast, playMs, random }: { readonly cast: Cast; readonly playMs: number; readonly random: SeededRandom },
): TrafficPlan {
  const npcIds = [...cast.npcs.keys()];
  const players = [...new Set(traffic.lines.flatMap(({ playerId }) => playerId ?? []))];
  const ownerOf = new Map(traffic.ownerOf);
  const lines: PlannedLine[] = [...traffic.lines];
  let number = Math.max(-1, ...lines.map((line) => line.number));
  const mark = () => {
    const marker = markerOf(ownerOf.size);
    ownerOf.set(marker, EVERYBODY);
    return marker;
  };
  for (let question = random.between(1, 4); question > 0; question--) {
    const marker = mark();
    const facts = [null, null, null, mark(), mark()];
    const npcId = random.pick(npcIds);
    const atMs = random.next() * playMs;
    const spreadMs = random.pick([0, 0, 5, 400]);
    for (let asker = random.between(3, 10); asker > 0; asker--) {
      number += 1;
      lines.push({
        number,
        atMs: atMs + random.next() * spreadMs,
        playerId: random.chance(0.8) && players.length > 0 ? random.pick(players) : null,
        npcId,
        adapter: null,
        prompt: random.chance(0.2)
          ? `Where is ${marker}?`
          : random.pick([`Who is ${marker}?`, `who is  ${marker}?`]),
        trigger: null,
        event: null,
        listeners: [],
        marker,
        factMarker: random.pick(facts),
        conversationId: null,
        timelineId: 'main',
        gameTime: null,
        units: random.chance(0.2) ? 'token' : 'sentence',
        tier: random.chance(0.1) ? 1 : null,
        priority: 'interactive',
        deadlineMs: random.chance(0.15) ? Math.round(random.spread(5, 8_000)) : null,
        hangUpAfterMs: random.chance(0.3) ? random.spread(0.5, 3_000) : null,
        pauseMs: random.chance(0.2) ? random.spread(1, 200) : 0,
        idempotencyKey: null,
        flaw: null,
      });
    }
  }
  return { lines: lines.toSorted((a, b) => a.atMs - b.atMs || a.number - b.number), ownerOf };
}

/** Whatever is said again was said by an engine to somebody who asked this NPC the same, in the same state of the world. */
export function* recallsTruly(heard: readonly Heard[]): Iterable<string> {
  const spoken = Map.groupBy(
    heard.flatMap((each) =>
      each.events.flatMap(({ event }) =>
        event.type === 'sentence' && event.source === 'engine' ? [{ each, text: event.text }] : [],
      ),
    ),
    ({ text }) => text,
  );
  for (const each of heard)
    for (const { event } of each.events) {
      if (event.type !== 'sentence' || event.source !== 'cache') continue;
      const isOrigin = (other: Heard) => other !== each && isSameQuestion(other, each);
      const isTold = (spoken.get(event.text) ?? []).some((origin) => isOrigin(origin.each));
      // Joiners are told before the leader, who may leave in that very moment.
      const hasLeft = () => heard.some((other) => isOrigin(other) && !isDone(other));
      if (!isTold && !hasLeft())
        yield `line ${each.line.number} (${each.request.id}) was told again what nobody was told who asked the same: ${event.text}`;
    }
}

function isDone({ events }: Heard): boolean {
  return events.some(({ event }) => event.type === 'done');
}

function isSameQuestion(one: Heard, other: Heard): boolean {
  const words = ({ line }: Heard) => line.prompt.toLowerCase().replace(/\s+/g, ' ');
  return (
    one.line.npcId === other.line.npcId &&
    words(one) === words(other) &&
    one.line.factMarker === other.line.factMarker &&
    tierOf(one) === tierOf(other)
  );
}

/** At which it is answered: what the game names, or the NPC's own. */
function tierOf({ events }: Heard): number | null {
  for (const { event } of events) if (event.type === 'accepted') return event.tier;
  return null;
}
