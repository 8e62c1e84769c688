/** A finished turn as the walk hands it to its sinks, for tests of sinks. Its words are easy to find where they do not belong. */
import type { DialogueOutcome, DialogueRequest } from '../core/dialogue.ts';
import type { AttemptRecord, Turn } from '../core/turn.ts';

/** In every text of the turn: the player's, the NPC's, the history's and the facts'. */
export const SPOKEN = 'xyzzy-spoken';

export function aRequest(changes: Partial<DialogueRequest> = {}): DialogueRequest {
  return {
    id: 'dlg_1',
    npcId: 'mordane',
    prompt: `Who has the bell? ${SPOKEN}`,
    context: {
      timelineId: '',
      facts: [{ key: 'quest.bell', value: 3, text: `The bell is ${SPOKEN}.` }],
      history: [{ speaker: 'player', text: SPOKEN }],
      allowedActions: [],
    },
    units: 'sentence',
    maxTokens: 512,
    temperature: null,
    mayRaiseTier: false,
    priority: 'interactive',
    receivedMonoMs: 0,
    ...changes,
  };
}

export function anOutcome(changes: Partial<DialogueOutcome> = {}): DialogueOutcome {
  return {
    id: 'dlg_1',
    npcId: 'mordane',
    finishReason: 'stop',
    tier: 2,
    source: { kind: 'engine', engine: 'local', model: 'm', modelVersion: null, adapter: null, rung: 0 },
    usage: { promptTokens: 100, cachedTokens: 60, completionTokens: 20, costMicroUsd: 0 },
    timing: { queueMs: 1, ttftMs: 50, ttfsMs: 120, totalMs: 300 },
    sentences: [`I will not say. ${SPOKEN}`, 'Ask the crow.'],
    ...changes,
  };
}

export function anAttempt(changes: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    engine: 'local',
    model: 'm',
    result: 'stop',
    durationMs: 290,
    promptTokens: 100,
    cachedTokens: 60,
    completionTokens: 20,
    costMicroUsd: 0,
    source: 'reported',
    ...changes,
  };
}

export function aTurn(changes: Partial<Turn> = {}): Turn {
  return {
    request: aRequest(),
    personaVersion: 1,
    kind: 'vampire',
    outcome: anOutcome(),
    error: null,
    guardHits: [],
    attempts: [anAttempt()],
    ...changes,
  };
}
