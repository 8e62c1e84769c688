/**
 * What becomes of one line in the comparison, by one rule for every side: a line is good when its first sentence was there
 * within its tier's time and was meant as an answer. A written line that stood in for an engine that could not (it has a
 * cause) is in time but never good; a line that nobody had to speak or that its player cut short before its time was up is
 * not judged at all. Pure.
 */
import type { SayEntry, SayOutcome, TraceHeader } from '../npc-trace/trace.ts';

/** The share of its lines that a side must answer well to hold a load. */
export const HOLD_SHARE = 0.9;

export type Verdict = 'good' | 'stood-in' | 'late' | 'failed' | 'not-judged';

export interface JudgedLine {
  readonly say: SayEntry;
  /** Null: the window was over before anything was known of it. */
  readonly outcome: SayOutcome | null;
  readonly verdict: Verdict;
}

export type FirstSentenceMs = TraceHeader['firstSentenceMs'];

/** Judges every line that was due, in the order of `says`; one without an outcome is late. */
export function judge(
  says: readonly SayEntry[],
  outcomes: readonly SayOutcome[],
  firstSentenceMs: FirstSentenceMs,
): JudgedLine[] {
  const byId = new Map(outcomes.map((outcome) => [outcome.id, outcome]));
  return says.map((say) => {
    const outcome = byId.get(say.id) ?? null;
    return { say, outcome, verdict: verdictOf(outcome, firstSentenceMs[say.tier]) };
  });
}

function verdictOf(outcome: SayOutcome | null, limitMs: number): Verdict {
  if (outcome === null) return 'late';
  if (outcome.end === 'failed') return 'failed';
  if (outcome.end === 'unspoken') return 'not-judged';
  // Cut short by the player, or by a lost connection, while there still was time.
  if (outcome.ttfsMs === null)
    return outcome.end === 'hung_up' && outcome.totalMs < limitMs ? 'not-judged' : 'late';
  if (outcome.ttfsMs > limitMs) return 'late';
  return outcome.source === 'written' && outcome.cause !== null ? 'stood-in' : 'good';
}
