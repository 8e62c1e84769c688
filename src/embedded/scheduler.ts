/**
 * Lock-step continuous batching. One loop owns the context: each step evaluates, in one pass, the next token of every
 * running line or a bounded slice of the oldest prompts, samples, hands tokens out, lets ended lines go and admits new
 * ones. No other code touches the context, so nothing here needs a lock. A pass is computed under one adapter: adapter-turns.ts
 * says whose turn it is, next-pass.ts which of its lines are in it, prompt-cache.ts what of a prompt need not be evaluated.
 * What must not run beside a pass (an adapter that comes or goes) runs between two.
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
import {
  countOvertaken,
  decodingNow,
  OVERTAKES_MAX,
  prefillClass,
  promptOrder,
  tailRestMs,
  wakeful,
} from './next-pass.ts';
import { PrefillPace } from './prefill-pace.ts';
import { type PrefixStoreState, PromptCache, type PromptCacheOptions } from './prompt-cache.ts';
import { BASE } from './sequence-table.ts';
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

export interface SchedulerOptions extends PromptCacheOptions {
  readonly firstSentenceFirst: boolean;
  readonly queueMax: number;
  readonly prefillTokensPerStep: number;
  readonly stepTargetMs: number;
  readonly threads: number;
}

/** A first sentence is over after so many tokens, whatever marks the text has: nobody goes first for ever. */
const FIRST_SENTENCE_TOKENS_MAX = 48;
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
  readonly #cache: PromptCache;
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
  readonly #tailRestMs: number;
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
    this.#tailRestMs = tailRestMs(options.stepTargetMs);
    this.#governor = new ThreadGovernor(options.threads, idleCoreMeter());
    this.#cache = new PromptCache(context, options);
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
    return this.#cache.use;
  }

  get prefixStore(): PrefixStoreState {
    return this.#cache.storeState;
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
      keepAt: null,
      overtaken: 0,
      hasSaidSentence: false,
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
    this.#cache.forgetAdapter(id);
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
    this.#cache[Symbol.dispose]();
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
          if (line.sequence !== null) this.#cache.forget(line.sequence);
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
      if (line.sequence !== null) this.#cache.release(line.sequence);
    }
  }

  #admit(): void {
    const costOf = this.#options.firstSentenceFirst
      ? (line: Line) => prefillClass(this.#cache.remaining(line))
      : () => 0;
    while (this.#cache.hasFree) {
      const line = this.#waiting.take(costOf);
      if (line === undefined) return;
      const { request } = line;
      try {
        line.sampler = this.#context.createSampler(request.sampling, request.prompt, request.grammar);
      } catch (error) {
        this.#abandon(line, ServiceError.from(error));
        continue;
      }
      this.#cache.place(line);
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
    const { awake, all } = this.#turn();
    const decoding = awake.filter((line) => line.next !== null);
    const prompts = awake.length - decoding.length;
    const inARow = Math.min(PREFILL_IN_A_ROW_MAX, Math.max(1, Math.floor(prompts / decoding.length)));
    const isPrefill = prompts > 0 && (decoding.length === 0 || this.#prefillsInARow < inARow);
    const isShared = this.#lane.isInUse;
    const slices = isPrefill ? await this.#slices(awake, isShared) : new Map<Line, readonly number[]>();
    this.#prefillsInARow = slices.size > 0 ? this.#prefillsInARow + 1 : 0;
    const speaking = decodingNow(awake, all);
    const lines = slices.size > 0 ? [...slices.keys()] : isShared ? this.#someOf(speaking) : speaking;
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
    for (const line of batch) {
      await this.#cache.keep(line);
      if (line.produced === 1) await this.#cache.keepInSequence(line);
    }
  }

  /** The lines of the adapter whose turn it is, oldest first: those with a claim on the pass, and all. The context is set to it. */
  #turn(): { readonly awake: readonly Line[]; readonly all: readonly Line[] } {
    // With every sequence taken, whoever comes next waits for a tail to end: the sooner the better.
    const mayRest = this.#options.firstSentenceFirst && this.#cache.hasFree;
    const awake = mayRest
      ? wakeful(this.#running, this.#clock.monotonicMs(), this.#tailRestMs)
      : this.#running;
    const live = new Set(awake.map(adapterOf));
    const chosen = this.#turns.choose(live);
    const isOf = (line: Line) => adapterOf(line) === chosen;
    const isAlone = live.size === 1 && awake.length === this.#running.length;
    const mine = isAlone ? awake : awake.filter(isOf);
    this.#use(mine[0]?.request.adapter ?? null);
    return { awake: mine, all: isAlone ? awake : this.#running.filter(isOf) };
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

  /** Prompt tokens for this pass, as many as its time allows at the measured speed. */
  async #slices(lines: readonly Line[], isShared: boolean): Promise<Map<Line, readonly number[]>> {
    const slices = new Map<Line, readonly number[]>();
    const { tokens, leastTokens } = this.#pace.budget(isShared);
    let budget = tokens;
    const prompts = lines.filter((line) => line.next === null && !line.hasEnded);
    const ordered = this.#options.firstSentenceFirst
      ? promptOrder(prompts, (line) => this.#cache.remaining(line))
      : prompts;
    const before = (line: Line) => ordered.slice(0, ordered.indexOf(line));
    for (const line of ordered) {
      // A remainder is not worth a micro-batch of its own.
      if (line.sequence === null || budget <= 0 || (slices.size > 0 && budget < leastTokens)) break;
      if (!line.isResolved) {
        if (this.#cache.waitsFor(line, before(line))) continue;
        await this.#cache.resolve(line, line.sequence);
        this.#observer.reused({ promptTokens: line.request.prompt.length, cachedTokens: line.cachedTokens });
      }
      const from = line.sequence.held.length;
      const slice = line.request.prompt.slice(from, Math.min(from + budget, line.keepAt ?? Infinity));
      budget -= slice.length;
      slices.set(line, slice);
    }
    if (this.#options.firstSentenceFirst)
      countOvertaken(
        prompts,
        (line) => slices.has(line),
        (line) => this.#cache.waitsFor(line, before(line)),
      );
    return slices;
  }

  #learn(items: readonly BatchItem[], durationMs: number): void {
    const tokens = items.reduce((sum, item) => sum + item.tokens.length, 0);
    this.#observer.stepped({ tokens, durationMs, threads: this.#governor.threads });
    this.#governor.observe({ tokens, durationMs, nowMs: this.#clock.monotonicMs() });
    const isPrefill = items.some((item) => item.tokens.length > 1);
    if (isPrefill) this.#pace.observe(tokens, durationMs);
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
    const isOver =
      line.request.isEnd(token) ||
      !line.request.onToken(token, { cachedTokens: line.cachedTokens, completionTokens: line.produced });
    line.hasSaidSentence ||= line.produced >= FIRST_SENTENCE_TOKENS_MAX || line.request.hasSaidSentence();
    if (isOver) this.#finish(line, 'stop');
    else if (line.produced >= line.request.maxTokens) this.#finish(line, 'length');
  }
}
