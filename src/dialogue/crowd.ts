/** Those around one line: whether it is this NPC that speaks to an event, and who has heard what was said. */
import { type HeardLines, playersHearing } from '../cast/heard-lines.ts';
import type { DialogueEvent, DialogueOutcome, DialogueRequest, Source, Unspoken } from '../core/dialogue.ts';
import { countWords } from '../lib/text/words.ts';
import type { Scene } from './scene.ts';
import type { Voice, Voices } from './voices.ts';

export interface CrowdParts {
  readonly heard: HeardLines;
  readonly voices: Voices;
}

/** The right to speak, or why this NPC does not; null where the game names no event. A voice must be disposed. */
export function voiceOf(request: DialogueRequest, scene: Scene, voices: Voices): Voice | Unspoken | null {
  const { event, id, source, priority } = request;
  if (event === undefined) return null;
  return voices.ask({
    id,
    npcId: scene.persona.id,
    source: source ?? 'local',
    event,
    // An NPC that answers an NPC has no player waiting for it.
    isAddressed: priority === 'interactive' && scene.playerText !== '' && event.depth === 0,
    players: playersOf(request),
  });
}

/** Notes a sentence, or a filler, as it leaves: for all who hear it. `lineId`: of a written line or a cached variant. */
export function noteHeard(
  request: DialogueRequest,
  scene: Scene,
  text: string,
  lineId: string | null,
  { heard, voices }: CrowdParts,
): void {
  heard.recordForAll(scene.listeners, scene.persona.id, text, lineId);
  const words = countWords(text);
  for (const player of playersOf(request)) voices.words.note(player, words);
}

function playersOf({ context }: DialogueRequest): readonly string[] {
  return playersHearing(context.playerId ?? null, context.listeners ?? []);
}

/** The whole answer of an NPC that leaves the event to another: no engine, no written line, no turn of a conversation. */
export function* keepSilent(
  request: DialogueRequest,
  scene: Scene,
  unspoken: Unspoken,
  totalMs: () => number,
  record: (outcome: DialogueOutcome) => void,
): Generator<DialogueEvent, void> {
  const { id } = request;
  const outcome: DialogueOutcome = {
    id,
    npcId: scene.persona.id,
    finishReason: 'unspoken',
    unspoken,
    tier: scene.tier,
    source: NOBODY,
    usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0, costMicroUsd: 0 },
    timing: { queueMs: 0, ttftMs: null, ttfsMs: null, totalMs: totalMs() },
    sentences: [],
  };
  try {
    yield { type: 'accepted', id, npcId: scene.persona.id, tier: scene.tier };
    yield { type: 'done', outcome };
  } finally {
    record(outcome);
  }
}

const NOBODY: Source = {
  kind: 'none',
  engine: 'none',
  model: null,
  modelVersion: null,
  adapter: null,
  rung: 0,
};
