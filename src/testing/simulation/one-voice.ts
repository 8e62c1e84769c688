/**
 * The rule of crowds, seen from outside: of equal events one speaks, an area hears one at a time, and who is silent names
 * who is not. Lines that were cut off prove nothing: their place was free at once.
 */
import type { VoicesOptions } from '../../dialogue/voices-options.ts';
import type { Heard } from './player.ts';

interface Spoken {
  readonly request: Heard['request'];
  readonly area: string;
  readonly event: string;
  readonly fromMonoMs: number;
  /** When the last word of it has been said. */
  readonly untilMonoMs: number;
}

export function* oneVoice(heard: readonly Heard[], voices: VoicesOptions): Iterable<string> {
  const spoken = heard.flatMap(spokenOf).sort((a, b) => a.fromMonoMs - b.fromMonoMs);
  for (const [at, first] of spoken.entries())
    for (const second of spoken.slice(at + 1)) {
      if (second.area !== first.area) continue;
      const apartMs = second.fromMonoMs - first.fromMonoMs;
      const isDuring = second.fromMonoMs < first.untilMonoMs;
      if (second.event === first.event && (apartMs < voices.coalesceMs || isDuring))
        yield `${nameOf(second)} speaks of ${second.event} in ${second.area} ${apartMs.toFixed(0)} ms after ${nameOf(first)}`;
      else if (isDuring && voices.tokensPerArea === 1)
        yield `${nameOf(second)} talks over ${nameOf(first)} in ${second.area}`;
    }
  const byId = new Map(heard.map((each) => [each.request.id, each]));
  for (const each of heard) {
    const unspoken = outcomeOf(each)?.unspoken;
    if (unspoken === undefined) continue;
    const { event } = each.line;
    if (event === null) yield `${nameOf(each)} is silent, and of no event`;
    if (unspoken.reason !== 'coalesced' && unspoken.reason !== 'area_busy') continue;
    const voice = unspoken.voice === null ? undefined : byId.get(unspoken.voice.id);
    if (voice?.line.event?.area !== event?.area || voice?.line.npcId !== unspoken.voice?.npcId)
      yield `${nameOf(each)} leaves it to ${unspoken.voice?.npcId ?? 'nobody'}, who was not asked there`;
    if (unspoken.reason === 'coalesced' && voice?.line.event?.id !== event?.id)
      yield `${nameOf(each)} leaves it to ${unspoken.voice?.npcId}, who speaks of something else`;
  }
}

function spokenOf(each: Heard): readonly Spoken[] {
  const { event } = each.line;
  const outcome = outcomeOf(each);
  if (event === null || outcome === undefined || outcome.sentences.length === 0) return [];
  let untilMonoMs = 0;
  for (const { atMonoMs, event: told } of each.events)
    if (told.type === 'sentence') untilMonoMs = Math.max(untilMonoMs, atMonoMs) + told.estMs;
  const { id, area } = event;
  const { request } = each;
  return [{ request, area, event: id, fromMonoMs: request.receivedMonoMs, untilMonoMs }];
}

function outcomeOf(each: Heard) {
  const done = each.events.find(({ event }) => event.type === 'done')?.event;
  return done?.type === 'done' ? done.outcome : undefined;
}

function nameOf({ request }: Pick<Heard, 'request'>): string {
  return `${request.npcId} (${request.id})`;
}
