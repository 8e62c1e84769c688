/**
 * Lock-step continuous batching. One loop owns the context: each step evaluates, in one pass, the next token of every
 * running line or a bounded slice of the oldest prompts, samples, hands tokens out, lets ended lines go and admits new
 * ones. No other code touches the context, so nothing here needs a lock. A pass is computed under one adapter; whose turn
 * it is, adapter-turns.ts says. What must not run beside a pass (an adapter that comes or goes) runs between two.
 *
 *   line:  waiting ──take──▶ prefill ──last prompt token──▶ decode ──end──▶ ended
 *             └──────────────────── abort, in any state ────────────────────▶ ended
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { invariant } from '../lib/invariant.ts';
import { AdapterTurns } from './adapter-turns.ts';
import { idleCoreMeter } from './idle-cores.ts';
import type { Line, LineAdapter, LineRequest, LineResult } from './line.ts';
import { adapterOf } from './line.ts';
import type { BatchItem, DecodeContext } from './llama/decode-context.ts';
import { PrefillPace } from './prefill-pace.ts';
import type { SequenceState } from './sequence-table.ts';
import { BASE, SequenceTable, sharedLength } from './sequence-table.ts';
import { DecodeWidth, ShortLane, type ShortTask } from './short-lane.ts';
import { ThreadGovernor } from './thread-governor.ts';
import { WaitingQueue } from './waiting-queue.ts';

/** What happens, for the metrics. All calls are synchronous and cheap. */
export interface SchedulerObserver {
  admitted(event: { queueMs: number; promptTokens: number }): void;
  reused(event: { promptTokens: number; cachedTokens: number }): void;
  firstToken(event: { sinceArrivalMs: number; prefillMs: number }): void;
  nextToken(event: { gapMs: number }): void;
  stepped(event: { tokens: number; durationMs: number; threads: number }): void;
  /** The next pass is computed under another adapter than the last. */
  switched(): void;
}

export interface SchedulerOptions {
  readonly sequences: number;
  readonly prefixSequences: number;
  readonly queueMax: number;
  readonly prefillTokensPerStep: number;
  readonly stepTargetMs: number;
  readonly threads: number;
}

/** A copy takes about as long as evaluating this many tokens (see COPY_GAIN_MIN in the bench's notes). */
const COPY_GAIN_MIN = 16;
const OVERTAKES_MAX = 8;
/** A prompt waits for an older one that is about to hold this many more tokens of it. */
const WAIT_GAIN_MIN = 32;
/**
 * Passes of prefill between two of decode while more prompts wait than lines run: a fuller decode pass costs less per
 * token (5 ms against 7 on two cores), and a spoken line needs few tokens a second.
 */
const PREFILL_IN_A_ROW_MAX = 2;

interface Errand {
  readonly run: () => Promise<void>;
  readonly reject: (error: unknown) => void;
}

export class Scheduler implements AsyncDisposable {
  readonly #context: DecodeContext;
  readonly #options: SchedulerOptions;
  readonly #clock: Clock;
  readonly #observer: SchedulerObserver;
  readonly #table: SequenceTable;
  readonly #waiting: WaitingQueue<Line>;
  readonly #lane: ShortLane;
  readonly #turns = new AdapterTurns();
  /** Work that must not run beside a pass. Bounded by who asks: one per adapter slot, and one. */
  readonly #errands: Errand[] = [];
  /** Of the last pass. */
  #adapter = BASE;
  readonly #decodeWidth = new DecodeWidth();
  /** Where the next pass of decoding begins among the running lines, when one pass does not serve them all. */
  #decodeFrom = 0;
  /** Oldest first. */
  readonly #running: Line[] = [];
  readonly #governor: ThreadGovernor;
  readonly #pace: PrefillPace;
  #prefillsInARow = 0;
  #wake: (() => void) | null = null;
  #isClosing = false;
  readonly #loop: Promise<void>;

  constructor(context: DecodeContext, options: SchedulerOptions, clock: Clock, observer: SchedulerObserver) {
    this.#context = context;
    this.#options = options;
    this.#clock = clock;
    this.#observer = observer;
    this.#pace = new PrefillPace(options);
    this.#governor = new ThreadGovernor(options.threads, idleCoreMeter());
    this.#table = new SequenceTable({
      lines: options.sequences,
      kept: options.prefixSequences,
      copyGainMin: COPY_GAIN_MIN,
    });
    this.#waiting = new WaitingQueue({
      limit: options.sequences + options.queueMax,
      overtakesMax: OVERTAKES_MAX,
    });
    this.#lane = new ShortLane({
      queueMax: options.sequences + options.queueMax,
      clock,
      wake: () => this.#wake?.(),
    });
    this.#loop = this.#run();
  }

  get runningCount(): number {
    return this.#running.reduce((count, line) => count + (line.hasEnded ? 0 : 1), 0);
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Share of the cache that holds tokens, 0..1. */
  get cacheUse(): number {
    const sequences = this.#options.sequences + this.#options.prefixSequences;
    return this.#table.heldTokens / (sequences * this.#context.contextTokens);
  }

  /**
   * Generates one line. Rejects with `overloaded` at once when the queue is full, and with `signal.reason` as soon as
   * it aborts: from then on the line is neither waiting nor running, and its sequence is free after the step in flight.
   */
  generate(request: LineRequest, signal: AbortSignal): Promise<LineResult> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#isClosing) return Promise.reject(new ServiceError('draining', 'the engine is shutting down'));
    const { promise, resolve, reject } = Promise.withResolvers<LineResult>();
    const line: Line = {
      request,
      signal,
      resolve,
      reject,
      onAbort: () => this.#abandon(line, signal.reason),
      arrivedMs: this.#clock.monotonicMs(),
      admittedMs: 0,
      firstTokenMs: 0,
      lastTokenMs: 0,
      sequence: null,
      sampler: null,
      isResolved: false,
      cachedTokens: 0,
      produced: 0,
      next: null,
      hasEnded: false,
    };
    const inFlight = this.runningCount + this.#waiting.size;
    const inFlightMax = this.#options.sequences + this.#options.queueMax;
    if (inFlight >= inFlightMax || !this.#waiting.push(line, request.priority)) {
      return Promise.reject(
        new ServiceError(
          'overloaded',
          `${inFlight} requests are running or waiting and the engine takes ${inFlightMax} (sequences + queueMax)`,
          { details: { inFlight, inFlightMax } },
        ),
      );
    }
    signal.addEventListener('abort', line.onAbort, { once: true });
    this.#wake?.();
    return promise;
  }

  /**
   * Short work, part by part between two passes: see short-lane.ts. Rejects with `overloaded` when its queue, which is not
   * that of the lines, is full.
   */
  short(task: ShortTask, signal: AbortSignal): Promise<void> {
    if (this.#isClosing) return Promise.reject(new ServiceError('draining', 'the engine is shutting down'));
    return this.#lane.run(task, signal);
  }

  /**
   * Runs `work` when no pass runs, one such work between two passes, first come first served. Rejects as it does, or with
   * `draining`. Whoever waits inside for a line or other such work waits for ever.
   */
  between<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosing) return Promise.reject(new ServiceError('draining', 'the engine is shutting down'));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = async () => {
      try {
        resolve(await work());
      } catch (error) {
        reject(error);
      }
    };
    this.#errands.push({ run, reject });
    this.#wake?.();
    return promise;
  }

  /** Which adapters have lines, by id; 0 is the base. */
  linesByAdapter(): { readonly running: ReadonlySet<number>; readonly waiting: ReadonlySet<number> } {
    return {
      running: new Set(this.#running.filter((line) => !line.hasEnded).map(adapterOf)),
      waiting: new Set(this.#waiting.values().map(adapterOf)),
    };
  }

  /**
   * Lets go of all that an adapter computed, so that its weights can be freed. Only inside `between`, when no line of it is
   * left.
   */
  forgetAdapter(id: number): void {
    invariant(
      this.#running.every((line) => adapterOf(line) !== id),
      `adapter ${id} has no line`,
    );
    if (this.#adapter === id) this.#use(null);
    for (const sequence of this.#table.heldUnder(id)) this.#forget(sequence);
  }

  /** Lets nothing new in, ends what waits and runs with `draining`, and resolves when the loop has stopped. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    const reason = new ServiceError('draining', 'the engine is shutting down');
    for (const line of [...this.#waiting.drain(), ...this.#running]) this.#abandon(line, reason);
    this.#lane.close(reason);
    for (const errand of this.#errands.splice(0)) errand.reject(reason);
    this.#wake?.();
    await this.#loop;
  }

  /** Ends a line from outside; the loop gives its sequence back. */
  #abandon(line: Line, reason: unknown): void {
    if (line.hasEnded) return;
    line.hasEnded = true;
    this.#waiting.remove(line);
    line.signal.removeEventListener('abort', line.onAbort);
    line.reject(reason);
    this.#wake?.();
  }

  #finish(line: Line, finish: 'stop' | 'length'): void {
    if (line.hasEnded) return;
    line.hasEnded = true;
    line.signal.removeEventListener('abort', line.onAbort);
    line.resolve({
      finish,
      promptTokens: line.request.prompt.length,
      cachedTokens: line.cachedTokens,
      completionTokens: line.produced,
      queueMs: line.admittedMs - line.arrivedMs,
      prefillMs: line.firstTokenMs - line.admittedMs,
      decodeMs: line.lastTokenMs - line.firstTokenMs,
    });
  }

  async #run(): Promise<void> {
    for (;;) {
      this.#reap();
      await this.#errands.shift()?.run();
      await this.#lane.work();
      this.#admit();
      if (this.#running.length === 0) {
        if (this.#lane.size > 0 || this.#errands.length > 0) continue;
        if (this.#isClosing) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
        continue;
      }
      try {
        await this.#step();
      } catch (error) {
        // One pass serves all lines of an adapter, so its failure is theirs; what their cache holds is unknown and dropped.
        const failure = new ServiceError('engine_error', `the pass failed: ${String(error)}`, {
          cause: error,
        });
        for (const line of this.#running) {
          if (adapterOf(line) !== this.#adapter) continue;
          if (line.sequence !== null) this.#forget(line.sequence);
          this.#abandon(line, failure);
        }
      }
    }
  }

  /** Takes ended lines out and frees their sequences; what these hold stays for the next that begins alike. */
  #reap(): void {
    for (let index = this.#running.length - 1; index >= 0; index--) {
      const line = this.#running[index];
      if (line === undefined || !line.hasEnded) continue;
      this.#running.splice(index, 1);
      line.sampler?.[Symbol.dispose]();
      if (line.sequence !== null) this.#table.release(line.sequence);
    }
  }

  #admit(): void {
    while (this.#table.hasFree) {
      const line = this.#waiting.take();
      if (line === undefined) return;
      const { request } = line;
      try {
        line.sampler = this.#context.createSampler(request.sampling, request.prompt, request.grammar);
      } catch (error) {
        this.#abandon(line, ServiceError.from(error));
        continue;
      }
      line.sequence = this.#table.take(request.prompt, adapterOf(line));
      line.admittedMs = this.#clock.monotonicMs();
      this.#running.push(line);
      this.#observer.admitted({
        queueMs: line.admittedMs - line.arrivedMs,
        promptTokens: request.prompt.length,
      });
    }
  }

  /**
   * One pass: the next token of every running line, or slices of prompts; by turns when both wait. llama.cpp would cut
   * a mixed pass into two anyway (its sequences need equal lengths), and two short ones let a hang-up in between.
   */
  async #step(): Promise<void> {
    const running = this.#turn();
    const decoding = running.filter((line) => line.next !== null);
    const prompts = running.length - decoding.length;
    const inARow = Math.min(PREFILL_IN_A_ROW_MAX, Math.max(1, Math.floor(prompts / decoding.length)));
    const isPrefill = prompts > 0 && (decoding.length === 0 || this.#prefillsInARow < inARow);
    const isShared = this.#lane.isInUse;
    const slices = isPrefill ? await this.#slices(running, isShared) : new Map<Line, readonly number[]>();
    this.#prefillsInARow = slices.size > 0 ? this.#prefillsInARow + 1 : 0;
    const lines = slices.size > 0 ? [...slices.keys()] : isShared ? this.#someOf(decoding) : decoding;
    const batch = lines
      .filter((line) => !line.hasEnded)
      .sort((a, b) => (a.sequence?.index ?? 0) - (b.sequence?.index ?? 0));
    if (batch.length === 0) return;
    const items = batch.map((line): BatchItem => {
      const held = line.sequence?.held ?? [];
      const tokens = line.next === null ? (slices.get(line) ?? []) : [line.next];
      return {
        sequence: line.sequence?.index ?? 0,
        position: held.length,
        tokens,
        wantsLogits: line.next !== null || held.length + tokens.length === line.request.prompt.length,
      };
    });
    this.#context.setThreads(this.#governor.threads);
    const startedMs = this.#clock.monotonicMs();
    const logits = await this.#context.decode(items);
    const durationMs = this.#clock.monotonicMs() - startedMs;
    this.#learn(items, durationMs);
    this.#turns.observe(durationMs);
    if (isShared && slices.size === 0) this.#decodeWidth.observe(items.length, durationMs);
    for (const [index, item] of items.entries()) {
      const held = batch[index]?.sequence?.held;
      for (const token of item.tokens) held?.push(token);
    }
    await Promise.all(batch.map((line, index) => this.#sample(line, logits[index] ?? -1)));
    for (const line of batch) if (line.produced === 1) await this.#keepPrefix(line);
  }

  /** The running lines of the adapter whose turn it is, oldest first; the context is set to it. */
  #turn(): readonly Line[] {
    const first = this.#running[0]?.request.adapter ?? null;
    if (this.#running.every((line) => line.request.adapter === first)) {
      this.#turns.choose(new Set([first?.id ?? BASE]));
      this.#use(first);
      return this.#running;
    }
    const live = new Set(this.#running.map(adapterOf));
    const chosen = this.#turns.choose(live);
    const lines = this.#running.filter((line) => adapterOf(line) === chosen);
    this.#use(lines[0]?.request.adapter ?? null);
    return lines;
  }

  #use(adapter: LineAdapter | null): void {
    const id = adapter?.id ?? BASE;
    if (id === this.#adapter) return;
    this.#context.useLora(adapter?.lora ?? null);
    this.#adapter = id;
    this.#observer.switched();
  }

  /** The lines whose turn it is, when a pass for all would keep short work waiting. Neighbours, so that they merge. */
  #someOf(decoding: readonly Line[]): readonly Line[] {
    const width = this.#decodeWidth.lines;
    if (decoding.length <= width) return decoding;
    const ordered = decoding.toSorted((a, b) => (a.sequence?.index ?? 0) - (b.sequence?.index ?? 0));
    const from = this.#decodeFrom < ordered.length ? this.#decodeFrom : 0;
    this.#decodeFrom = from + width;
    return ordered.slice(from, from + width);
  }

  /** Prompt tokens for this pass, the oldest line first: as many as its time allows at the measured speed. */
  async #slices(running: readonly Line[], isShared: boolean): Promise<Map<Line, readonly number[]>> {
    const slices = new Map<Line, readonly number[]>();
    const { tokens, leastTokens } = this.#pace.budget(isShared);
    let budget = tokens;
    for (const line of running) {
      if (line.next !== null || line.sequence === null || line.hasEnded) continue;
      // A remainder is not worth a micro-batch of its own.
      if (slices.size > 0 && budget < leastTokens) break;
      if (!line.isResolved) {
        if (this.#waitsForOlder(line, running)) continue;
        await this.#resolvePrefix(line, line.sequence);
      }
      const from = line.sequence.held.length;
      const slice = line.request.prompt.slice(from, from + budget);
      budget -= slice.length;
      slices.set(line, slice);
    }
    return slices;
  }

  #learn(items: readonly BatchItem[], durationMs: number): void {
    const tokens = items.reduce((sum, item) => sum + item.tokens.length, 0);
    this.#observer.stepped({ tokens, durationMs, threads: this.#governor.threads });
    this.#governor.observe({ tokens, durationMs, nowMs: this.#clock.monotonicMs() });
    const isPrefill = items.some((item) => item.tokens.length > 1);
    if (isPrefill) this.#pace.observe(tokens, durationMs);
  }

  /** Whether an older prompt in prefill is about to hold much of this one: evaluating it twice would be waste. */
  #waitsForOlder(line: Line, running: readonly Line[]): boolean {
    const { prompt } = line.request;
    const now = line.sequence === null ? 0 : this.#table.reuse(line.sequence, prompt, this.#adapter).tokens;
    for (const older of running) {
      if (older === line) return false;
      if (older.next !== null || older.hasEnded) continue;
      const shared = Math.min(sharedLength(older.request.prompt, prompt), prompt.length - 1);
      if (shared - now >= WAIT_GAIN_MIN) return true;
    }
    return false;
  }

  /** Gives the line's sequence the longest beginning of its prompt that is in the cache anywhere. */
  async #resolvePrefix(line: Line, sequence: SequenceState): Promise<void> {
    const { prompt } = line.request;
    const reuse = this.#table.reuse(sequence, prompt, this.#adapter);
    if (reuse.source === null) this.#truncate(sequence, reuse.tokens);
    else if (await this.#context.copyPrefix(reuse.source, sequence.index, reuse.tokens))
      sequence.held = prompt.slice(0, reuse.tokens);
    else sequence.held = [];
    sequence.adapter = this.#adapter;
    line.cachedTokens = sequence.held.length;
    line.isResolved = true;
    this.#observer.reused({ promptTokens: prompt.length, cachedTokens: line.cachedTokens });
  }

  #truncate(sequence: SequenceState, length: number): void {
    if (sequence.held.length === length) return;
    const kept = this.#context.truncate(sequence.index, length);
    sequence.held = kept ? sequence.held.slice(0, length) : [];
  }

  #forget(sequence: SequenceState): void {
    this.#context.truncate(sequence.index, 0);
    sequence.held = [];
  }

  /** Keeps the beginning that other requests share in a sequence of its own, once the line has its first token. */
  async #keepPrefix(line: Line): Promise<void> {
    const { sequence, request } = line;
    if (sequence === null || request.prefixTokens === 0) return;
    const prefix = request.prompt.slice(0, request.prefixTokens);
    const place = this.#table.placeFor(prefix, sequence.adapter);
    if (place === null) return;
    const isKept = await this.#context.copyPrefix(sequence.index, place.index, prefix.length);
    place.held = isKept ? prefix : [];
    place.adapter = sequence.adapter;
  }

  async #sample(line: Line, logitIndex: number): Promise<void> {
    if (logitIndex < 0 || line.hasEnded || line.sampler === null) return;
    let token: number;
    try {
      token = await this.#context.sample(logitIndex, line.sampler);
    } catch (error) {
      this.#abandon(line, ServiceError.from(error));
      return;
    }
    if (line.hasEnded) return;
    const nowMs = this.#clock.monotonicMs();
    line.produced += 1;
    if (line.produced === 1) {
      line.firstTokenMs = nowMs;
      this.#observer.firstToken({
        sinceArrivalMs: nowMs - line.arrivedMs,
        prefillMs: nowMs - line.admittedMs,
      });
    } else this.#observer.nextToken({ gapMs: nowMs - line.lastTokenMs });
    line.lastTokenMs = nowMs;
    line.next = token;
    if (
      line.request.isEnd(token) ||
      !line.request.onToken(token, { cachedTokens: line.cachedTokens, completionTokens: line.produced })
    )
      this.#finish(line, 'stop');
    else if (line.produced >= line.request.maxTokens) this.#finish(line, 'length');
  }
}
