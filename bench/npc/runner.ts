/**
 * One side at work: started fresh, warmed by the same lines as every other, then asked window after window. When the slowest
 * tier's time is over for the last line of a window, everybody who still waits hangs up, so that an overload of one
 * window is none of the next. A window that is only to tell whether a speed holds ends as soon as it cannot hold any more.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type DriveTarget, drive } from '../npc-trace/client.ts';
import type { SayOutcome, Trace, TraceEntry } from '../npc-trace/trace.ts';
import { HOLD_SHARE, judge } from './judge.ts';
import type { RunningSide, Side } from './side.ts';
import { Cursor, entriesOf, type Part, type Stretch, saysOf, type Window } from './window.ts';

/** What an engine needs to notice that its clients left (llama-server looks once a second). */
const SETTLE_MS = 1_200;
const AFTER_LAST_MS = 200;
const GREETING = 'Well met, stranger.';

export interface WindowOptions {
  readonly part: string;
  readonly round: number;
  readonly speed: number;
  readonly wallMs: number;
}

export interface RunnerOptions {
  readonly trace: Trace;
  /** The stretch that warms every start; null: a greeting to everybody, one after another, so that every prefix was read once. */
  readonly warmUp: Stretch | null;
  readonly greetEveryMs: number;
  /** Where windows are taken from. */
  readonly room: Part;
  readonly offsetMs: number;
  readonly folder: string;
}

export class Runner implements AsyncDisposable {
  readonly side: Side;
  readonly #options: RunnerOptions;
  readonly #cursor: Cursor;
  readonly #signal: AbortSignal;
  #running: RunningSide | null = null;

  /** Nothing is started before the first window. `signal` ends everything. */
  constructor(side: Side, options: RunnerOptions, signal: AbortSignal) {
    this.side = side;
    this.#options = options;
    this.#cursor = new Cursor(options.room, options.offsetMs, options.trace.entries);
    this.#signal = signal;
  }

  /** Asks the next stretch. `endsWhenLost`: only whether the speed holds is of interest. */
  async window({ part, round, speed, wallMs }: WindowOptions, endsWhenLost: boolean): Promise<Window> {
    const { stretch, isAgain } = this.#cursor.next(speed, wallMs);
    if (isAgain) await this[Symbol.asyncDispose]();
    if (this.#running === null) {
      this.#running = await this.side.start(this.#options.folder, this.#signal);
      if (this.#options.warmUp === null) await this.#greetAll(this.#running);
      else await this.#drive(this.#running, this.#options.warmUp, false);
    }
    const driven = await this.#drive(this.#running, stretch, endsWhenLost);
    return { side: this.side.key, part, round, speed, wallMs: stretch.wallMs, ...driven };
  }

  /** What no line of the trace says, to each NPC at each tier it is asked at; or the hint that it will be met. */
  async #greetAll(running: RunningSide): Promise<void> {
    const { trace, greetEveryMs } = this.#options;
    const { header } = trace;
    // A door that takes hints reads a prefix however long it takes; a greeting there would be cut by its own time limit.
    const takesHints = this.side.door === 'dialogue';
    const entries = header.prefixes.map(({ id, npcId, tier }, at): TraceEntry => {
      if (takesHints) return { kind: 'hint', atMs: at * greetEveryMs, playerId: 'warm-up', npcIds: [npcId] };
      return {
        kind: 'say',
        id: `warm-up-${id}`,
        atMs: at * greetEveryMs,
        playerId: 'warm-up',
        npcId,
        tier,
        prompt: GREETING,
        context: {},
        priority: 'interactive',
        prefix: id,
        messages: [{ role: 'user', content: GREETING }],
        maxTokens: 8,
      };
    });
    const options = { speed: 1, fromMs: 0, forMs: Number.POSITIVE_INFINITY, includeBarks: true };
    const ignored = { useEvents: false, onOutcome: () => {}, onFault: () => {} };
    await drive({ header, entries }, targetOf(this.side, running), { ...options, ...ignored }, this.#signal);
  }

  async #drive(
    running: RunningSide,
    stretch: Stretch,
    endsWhenLost: boolean,
  ): Promise<Pick<Window, 'lines' | 'isCut' | 'faults'>> {
    const { header, entries } = this.#options.trace;
    const { firstSentenceMs } = header;
    const due = entriesOf(entries, stretch);
    const says = saysOf(due);
    const endMs = (says.at(-1)?.atMs ?? 0) + Math.max(...Object.values(firstSentenceMs)) + AFTER_LAST_MS;
    const lossMax = says.length * (1 - HOLD_SHARE);
    const heard: SayOutcome[] = [];
    const faults: string[] = [];
    const lost = new AbortController();
    const onOutcome = (outcome: SayOutcome) => {
      heard.push(outcome);
      if (!endsWhenLost) return;
      const losses = judge(says, heard, firstSentenceMs).filter(
        (line) => line.outcome !== null && line.verdict !== 'good' && line.verdict !== 'not-judged',
      );
      if (losses.length > lossMax) lost.abort(new Error('this speed cannot hold any more'));
    };
    const onFault = (fault: string) => void faults.push(fault);
    const options = { speed: 1, fromMs: 0, forMs: Number.POSITIVE_INFINITY, includeBarks: true };
    const signal = AbortSignal.any([this.#signal, lost.signal]);
    try {
      await drive(
        { header, entries: due.map((entry) => leavingAt(entry, endMs)) },
        targetOf(this.side, running),
        { ...options, useEvents: this.side.useEvents, onOutcome, onFault },
        signal,
      );
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!lost.signal.aborted) throw error;
    }
    const isOverloaded = heard.some(({ end }) => end === 'hung_up') || lost.signal.aborted;
    if (isOverloaded) await delay(SETTLE_MS, undefined, { signal: this.#signal });
    return { lines: judge(says, heard, firstSentenceMs), isCut: lost.signal.aborted, faults };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = this.#running;
    this.#running = null;
    await running?.[Symbol.asyncDispose]();
  }
}

/** The same line, whose player waits no longer than to the end of the window. */
function leavingAt(entry: TraceEntry, endMs: number): TraceEntry {
  if (entry.kind !== 'say') return entry;
  const leftMs = endMs - entry.atMs;
  return { ...entry, hangUpAfterMs: Math.min(entry.hangUpAfterMs ?? leftMs, leftMs) };
}

function targetOf(side: Side, { origin, headers, model }: RunningSide): DriveTarget {
  return side.door === 'dialogue'
    ? { kind: 'greenroom', url: origin, headers }
    : { kind: 'openai', url: origin, headers, model };
}
