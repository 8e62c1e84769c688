/**
 * One line of one player, as a game asks for it: streamed or whole, left early or heard to the end, asked again only while
 * no gateway is there. What came is written down so that every promise can be checked: an end, in time, with words, and
 * with nobody else's words.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { SseDecoder } from '../../src/lib/sse.ts';
import { markersIn } from '../../src/testing/simulation/markers.ts';

export interface Question {
  readonly url: string;
  readonly npc: string;
  readonly player: string;
  readonly conversation: string;
  readonly tier: 1 | 2 | 3 | 4;
  readonly prompt: string;
  /** A word that no other request has. */
  readonly marker: string;
  /** Whose marker this is; null: nobody's in this run. */
  readonly ownerOf: (marker: string) => string | null;
  readonly form: 'whole' | 'sentences' | 'tokens';
  readonly deadlineMs: number;
  /** After so long the player walks away; null: listens to the end. */
  readonly leavesAfterMs: number | null;
  /** Whether a gateway that was killed was not back yet at some moment since then (performance.now). */
  readonly wasDownSince: (startedMs: number) => boolean;
}

export interface Heard {
  readonly outcome: 'answered' | 'left' | 'unanswered';
  readonly tier: 1 | 2 | 3 | 4;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly deadlineMs: number;
  /** Engine of the answer, or `written`; null without one. */
  readonly rung: string | null;
  readonly rungNumber: number | null;
  /** By the gateway's own clock, from the whole request to the end of the answer. */
  readonly gatewayMs: number | null;
  readonly costUsd: number;
  readonly isSilent: boolean;
  /** What was wrong with the words, or why there was no answer; null: nothing. */
  readonly wrong: string | null;
  readonly failure: string | null;
  /** A turn that the gateway said it stored. */
  readonly stored: { readonly conversation: string; readonly turn: number; readonly marker: string } | null;
  /** Answered, and the reply says that the store has not kept it. */
  readonly isUnkept: boolean;
  /** Asked a gateway that was not there; counts apart in what is in time. */
  readonly metDown: boolean;
}

interface Done {
  readonly sentences: readonly string[];
  readonly source: { readonly kind: string; readonly engine: string; readonly rung: number };
  readonly usage: { readonly cost_usd: number };
  readonly timing: { readonly total_ms: number };
  readonly conversation?: { readonly turn: number; readonly stored: boolean };
}

/** Behind its deadline a request without an end is given up by us, and counts as unanswered. */
const PATIENCE_MS = 5_000;
const ASK_AGAIN_MS = 100;
const EVENT_BYTES_MAX = 1_000_000;

/** Never throws. `signal` ends the run; the request then counts as left. */
export async function ask(question: Question, signal: AbortSignal): Promise<Heard> {
  const startedMs = performance.now();
  const said: string[] = [];
  const base = { tier: question.tier, startedMs, deadlineMs: question.deadlineMs };
  const nothing = {
    rung: null,
    rungNumber: null,
    gatewayMs: null,
    costUsd: 0,
    isSilent: false,
    stored: null,
    isUnkept: false,
  };
  const leaves = new AbortController();
  const timer =
    question.leavesAfterMs === null ? null : setTimeout(() => leaves.abort(), question.leavesAfterMs);
  let failure = '';
  try {
    for (;;) {
      // Anew for each try: while no gateway is there, nobody can be answered.
      const patience = AbortSignal.timeout(question.deadlineMs + PATIENCE_MS);
      try {
        const all = AbortSignal.any([signal, leaves.signal, patience]);
        const done = await once(question, said, all);
        const text = done.sentences.join(' ');
        return {
          ...base,
          outcome: 'answered',
          endedMs: performance.now(),
          rung: done.source.kind === 'written' ? 'written' : done.source.engine,
          rungNumber: done.source.rung,
          gatewayMs: done.timing.total_ms,
          costUsd: done.usage.cost_usd,
          isSilent: text.trim() === '',
          wrong: wrongWords(question, [...said, text].join(' '), text, done),
          failure: null,
          stored:
            done.conversation?.stored === true
              ? {
                  conversation: question.conversation,
                  turn: done.conversation.turn,
                  marker: question.marker,
                }
              : null,
          isUnkept: done.conversation?.stored === false,
          metDown: question.wasDownSince(startedMs),
        };
      } catch (error) {
        failure = reasonOf(error);
        const isLeft = leaves.signal.aborted || signal.aborted;
        const isDown = question.wasDownSince(startedMs);
        if (isLeft || patience.aborted || !isDown || error instanceof Refusal)
          return {
            ...base,
            ...nothing,
            outcome: isLeft ? 'left' : 'unanswered',
            endedMs: performance.now(),
            wrong: wrongWords(question, said.join(' '), '', null),
            failure: isLeft ? null : patience.aborted ? `no end: ${failure}` : failure,
            metDown: isDown,
          };
        await delay(ASK_AGAIN_MS);
      }
    }
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

/** The gateway answered, and not with a line. */
class Refusal extends Error {}

async function once(question: Question, said: string[], signal: AbortSignal): Promise<Done> {
  const response = await fetch(`${question.url}/v1/dialogue`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      npc_id: question.npc,
      prompt: question.prompt,
      tier: question.tier,
      context: { player_id: question.player },
      conversation_id: question.conversation,
      deadline_ms: question.deadlineMs,
      ...(question.form === 'whole' ? {} : { stream: true }),
      ...(question.form === 'tokens' ? { units: 'token' } : {}),
    }),
    signal,
  });
  if (response.status !== 200)
    throw new Refusal(`${response.status}: ${(await response.text()).slice(0, 300)}`);
  if (question.form === 'whole') return (await response.json()) as Done;
  const decoder = new SseDecoder({ maxEventBytes: EVENT_BYTES_MAX });
  let done: Done | null = null;
  for await (const chunk of response.body ?? [])
    for (const { event, data } of decoder.push(chunk)) {
      if (done !== null) throw new Refusal(`${event} came behind done`);
      const value = JSON.parse(data) as { readonly text?: string };
      if (event === 'done') done = value as unknown as Done;
      else if (event === 'error') throw new Refusal(`error: ${data.slice(0, 300)}`);
      else if (value.text !== undefined) said.push(value.text);
    }
  if (done === null) throw new Error('the stream ended without done');
  return done;
}

/**
 * Whether words of another player came along. The cloud's double says the marker of what it was asked, so its lines must
 * also carry this very request's.
 */
function wrongWords(question: Question, all: string, line: string, done: Done | null): string | null {
  const foreign = markersIn(all).find((marker) => {
    const owner = question.ownerOf(marker);
    return owner !== null && owner !== question.player;
  });
  if (foreign !== undefined) return `${question.player} heard ${foreign}: ${all.slice(0, 200)}`;
  if (done?.source.kind !== 'engine' || done.source.engine !== 'cloud') return null;
  const own = markersIn(line);
  return own.includes(question.marker)
    ? null
    : `asked for ${question.marker}, the cloud's line has ${own.join(', ') || 'no marker'}: ${line.slice(0, 200)}`;
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
