/** Lines of a trace and what became of them, for the tests of the comparison. */
import type { SayEntry, SayOutcome, TraceHeader } from '../npc-trace/trace.ts';
import type { Verdict } from './judge.ts';
import type { SideKey } from './side.ts';
import type { Window } from './window.ts';

export const FIRST_SENTENCE_MS: TraceHeader['firstSentenceMs'] = { 1: 1_000, 2: 2_000, 3: 3_000, 4: 4_000 };

export function say(id: string, more: Partial<SayEntry> = {}): SayEntry {
  return {
    kind: 'say',
    id,
    atMs: 0,
    playerId: 'p1',
    npcId: 'vampire_salon_keeper',
    tier: 2,
    prompt: 'Who are you?',
    context: {},
    priority: 'interactive',
    prefix: 'vampire_salon_keeper',
    messages: [{ role: 'user', content: 'Who are you?' }],
    maxTokens: 60,
    ...more,
  };
}

/** A line whose first sentence came in time, unless `more` says otherwise. */
export function outcome(id: string, more: Partial<SayOutcome> = {}): SayOutcome {
  return {
    id,
    tier: 2,
    isBark: false,
    startLateMs: 0,
    ttftMs: 300,
    ttfsMs: 500,
    totalMs: 900,
    end: 'done',
    source: 'engine',
    cause: null,
    promptTokens: 400,
    cachedTokens: 300,
    completionTokens: 20,
    costUsd: 0,
    text: 'Nobody you know.',
    ...more,
  };
}

/** A window of ten seconds with so many lines of each verdict. */
export function windowOf(
  side: SideKey,
  speed: number,
  counts: Partial<Readonly<Record<Verdict, number>>>,
  more: Partial<Window> = {},
): Window {
  const lines = Object.entries(counts).flatMap(([verdict, count]) =>
    Array.from({ length: count }, (_none, index) => {
      const id = `${verdict}-${index}`;
      return { say: say(id), outcome: outcome(id), verdict: verdict as Verdict };
    }),
  );
  return { side, part: 'rounds', round: 0, speed, wallMs: 10_000, lines, isCut: false, faults: [], ...more };
}
