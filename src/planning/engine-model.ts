/**
 * An engine with continuous batching as arithmetic on a clock: each step decodes one token of every running line and reads
 * a bounded slice of the waiting prompts, first come first served, and takes
 * `stepMs + sequences · stepMsPerSequence + promptTokens · prefillMsPerToken`. Steps in which nothing begins or ends are
 * taken together, so an hour of a hundred engines is a few hundred thousand alarms.
 */
import type { Clock } from '../core/runtime.ts';
import { PrefixBlocks } from './prefix-blocks.ts';

/** How fast one engine of a class is. All of it measured or published; see engine-classes.ts. */
export interface EnginePace {
  /** From the socket to the scheduler: HTTP, template, tokenizer (ms). */
  readonly overheadMs: number;
  /** One token of a prompt that is not cached (ms). */
  readonly prefillMsPerToken: number;
  /** A step for nobody: all weights are read once (ms). */
  readonly stepMs: number;
  /** What each running line adds to a step (ms). */
  readonly stepMsPerSequence: number;
  /** Lines that run at once; more wait at the engine. */
  readonly sequencesMax: number;
  /** Most prompt tokens that a step reads. */
  readonly prefillTokensPerStep: number;
  /** Tokens of prompts that it keeps for the next ones. */
  readonly prefixTokens: number;
}

export interface EngineJob {
  readonly promptTokens: number;
  readonly promptBlocks: readonly number[];
  /** Counts of answer tokens at which it is told, ascending; the last one is the whole answer. At least one. */
  readonly marks: readonly number[];
  /** Called at each mark, at the end of the step that made the token. */
  onMark(mark: number): void;
}

interface Running {
  readonly job: EngineJob;
  cachedTokens: number;
  promptLeft: number;
  made: number;
  markAt: number;
  isGone: boolean;
}

/** What an engine did, for utilisation and for the share of prompt tokens that it did not have to read. */
export interface EngineWork {
  busyMs: number;
  promptTokens: number;
  cachedTokens: number;
  answerTokens: number;
  lines: number;
}

export interface StartedJob extends Disposable {
  /** Known once its prompt has been begun; 0 before. */
  readonly cachedTokens: number;
}

export class EngineModel {
  readonly pace: EnginePace;
  readonly work: EngineWork = { busyMs: 0, promptTokens: 0, cachedTokens: 0, answerTokens: 0, lines: 0 };
  readonly #clock: Pick<Clock, 'monotonicMs' | 'timer'>;
  readonly #prefixes: PrefixBlocks;
  readonly #waiting: Running[] = [];
  /** Admitted and not read to the end, oldest first. */
  readonly #reading: Running[] = [];
  readonly #decoding = new Set<Running>();
  /** The steps under way: alike, so one alarm stands for all of them. */
  #steps: { startMonoMs: number; stepMs: number; count: number; alarm: Disposable } | null = null;
  /** When the last step ended by the arithmetic; timers ring on whole milliseconds, and steps may be shorter. */
  #endMonoMs = 0;

  constructor(pace: EnginePace, clock: Pick<Clock, 'monotonicMs' | 'timer'>) {
    this.pace = pace;
    this.#clock = clock;
    this.#prefixes = new PrefixBlocks(pace.prefixTokens);
  }

  /** Lines that run. */
  get running(): number {
    return this.#reading.length + this.#decoding.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Puts a job into the engine's queue; disposing gives it up, which the engine notices at the end of its step. */
  start(job: EngineJob): StartedJob {
    const running: Running = {
      job,
      cachedTokens: 0,
      promptLeft: job.promptTokens,
      made: 0,
      markAt: 0,
      isGone: false,
    };
    const begin = () => {
      if (running.isGone) return;
      this.#waiting.push(running);
      if (this.#steps !== null) return this.#cutShort();
      this.#endMonoMs = this.#clock.monotonicMs();
      this.#nextStep();
    };
    const overhead = this.pace.overheadMs > 0 ? this.#clock.timer(this.pace.overheadMs, begin) : null;
    if (overhead === null) begin();
    return {
      get cachedTokens() {
        return running.cachedTokens;
      },
      [Symbol.dispose]: () => {
        if (running.isGone) return;
        running.isGone = true;
        overhead?.[Symbol.dispose]();
        if (this.#steps !== null) this.#cutShort();
      },
    };
  }

  /** The steps under way end with the one that runs now: something has changed. */
  #cutShort(): void {
    const steps = this.#steps;
    if (steps === null || steps.count === 1) return;
    const nowMonoMs = this.#clock.monotonicMs();
    const done = Math.max(1, Math.ceil((nowMonoMs - steps.startMonoMs) / steps.stepMs));
    if (done >= steps.count) return;
    steps.alarm[Symbol.dispose]();
    this.#alarm(steps.startMonoMs, steps.stepMs, done);
  }

  #alarm(startMonoMs: number, stepMs: number, count: number): void {
    const dueMs = startMonoMs + stepMs * count - this.#clock.monotonicMs();
    this.#steps = { startMonoMs, stepMs, count, alarm: this.#clock.timer(dueMs, () => this.#endSteps()) };
  }

  #nextStep(): void {
    this.#dropGone();
    while (this.#waiting.length > 0 && this.running < this.pace.sequencesMax) this.#admit();
    const sequences = this.#decoding.size;
    if (sequences === 0 && this.#reading.length === 0) {
      this.#steps = null;
      return;
    }
    const { stepMs, stepMsPerSequence, prefillMsPerToken, prefillTokensPerStep } = this.pace;
    let readTokens = 0;
    for (const { promptLeft } of this.#reading) {
      readTokens += Math.min(promptLeft, prefillTokensPerStep - readTokens);
      if (readTokens >= prefillTokensPerStep) break;
    }
    let count = 1;
    // Without a prompt to read, nothing changes until the next mark.
    if (readTokens === 0) {
      count = Number.POSITIVE_INFINITY;
      for (const { job, made, markAt } of this.#decoding)
        count = Math.min(count, (job.marks[markAt] as number) - made);
    }
    this.#alarm(
      this.#endMonoMs,
      stepMs + sequences * stepMsPerSequence + readTokens * prefillMsPerToken,
      count,
    );
  }

  #endSteps(): void {
    const steps = this.#steps;
    if (steps === null) return;
    this.#endMonoMs = steps.startMonoMs + steps.stepMs * steps.count;
    this.work.busyMs += steps.stepMs * steps.count;
    this.#dropGone();
    const told: Running[] = [];
    for (const running of this.#decoding) this.#make(running, steps.count, told);
    let left = this.pace.prefillTokensPerStep;
    while (left > 0) {
      const [first] = this.#reading;
      if (first === undefined) break;
      const read = Math.min(first.promptLeft, left);
      first.promptLeft -= read;
      left -= read;
      if (first.promptLeft > 0) break;
      this.#reading.shift();
      this.#prefixes.keep(first.job.promptBlocks);
      this.#decoding.add(first);
      // The step that reads a prompt to its end makes the first token.
      this.#make(first, 1, told);
    }
    this.#nextStep();
    for (const { job, markAt } of told) job.onMark(job.marks[markAt - 1] as number);
  }

  #make(running: Running, tokens: number, told: Running[]): void {
    running.made += tokens;
    this.work.answerTokens += tokens;
    if (running.made < (running.job.marks[running.markAt] as number)) return;
    running.markAt += 1;
    told.push(running);
    if (running.markAt < running.job.marks.length) return;
    this.#decoding.delete(running);
    running.isGone = true;
  }

  #admit(): void {
    const running = this.#waiting.shift() as Running;
    const { promptBlocks, promptTokens } = running.job;
    running.cachedTokens = this.#prefixes.cachedTokens(promptBlocks, promptTokens);
    running.promptLeft = promptTokens - running.cachedTokens;
    this.work.lines += 1;
    this.work.promptTokens += promptTokens;
    this.work.cachedTokens += running.cachedTokens;
    this.#reading.push(running);
  }

  #dropGone(): void {
    for (const queue of [this.#waiting, this.#reading])
      for (let at = queue.length - 1; at >= 0; at--) if (queue[at]?.isGone === true) queue.splice(at, 1);
    for (const running of this.#decoding) if (running.isGone) this.#decoding.delete(running);
  }
}
