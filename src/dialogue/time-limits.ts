/**
 * The time limits of one attempt: from the place to the first token, between two tokens, and for the whole. Time
 * in which the listener does not ask for the next token is not the engine's.
 */
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { TimeBudget } from '../routing/budget.ts';

export class TimeLimits implements Disposable {
  readonly #budget: TimeBudget;
  readonly #clock: Clock;
  readonly #onPassed: (error: ServiceError) => void;
  readonly #total: Disposable;
  #first: Disposable | null = null;
  #gap: Disposable | null = null;
  /** Since when the next event is waited for; null while the listener is at work. */
  #waitingSinceMonoMs: number | null = null;

  /** `onPassed` is called at most once a limit, with `deadline_exceeded` and the details `phase`. Starts at once. */
  constructor(budget: TimeBudget, clock: Clock, onPassed: (error: ServiceError) => void) {
    this.#budget = budget;
    this.#clock = clock;
    this.#onPassed = onPassed;
    this.#total = clock.timer(budget.totalMs, () => this.#pass('total', budget.totalMs));
  }

  /**
   * A place was given: from now on the engine has its time. A limit that the deadline of the dialogue has cut is not the
   * engine's, and told as the phase `share`, or a few callers in a hurry would have every engine taken out.
   */
  admitted(): void {
    const { firstTokenMs, isFirstTokenOwn, totalMs } = this.#budget;
    if (firstTokenMs >= totalMs) return;
    const phase = isFirstTokenOwn ? 'first_token' : 'share';
    this.#first = this.#clock.timer(firstTokenMs, () => this.#pass(phase, firstTokenMs));
  }

  /** Passes events on and keeps the time. */
  async *watch(events: AsyncIterable<GenerateEvent>): AsyncGenerator<GenerateEvent> {
    this.#waitingSinceMonoMs = this.#clock.monotonicMs();
    for await (const event of events) {
      this.#waitingSinceMonoMs = null;
      if (event.type === 'text' && this.#gap === null) {
        this.#first?.[Symbol.dispose]();
        if (this.#budget.gapMs < this.#budget.totalMs) this.#watchGap(this.#budget.gapMs);
      }
      yield event;
      this.#waitingSinceMonoMs = this.#clock.monotonicMs();
    }
  }

  [Symbol.dispose](): void {
    this.#total[Symbol.dispose]();
    this.#first?.[Symbol.dispose]();
    this.#gap?.[Symbol.dispose]();
  }

  /** One timer for all gaps: it looks when the last one began, and waits for what is left of it. */
  #watchGap(inMs: number): void {
    this.#gap = this.#clock.timer(inMs, () => {
      const since = this.#waitingSinceMonoMs;
      const waitedMs = since === null ? 0 : this.#clock.monotonicMs() - since;
      if (waitedMs >= this.#budget.gapMs) this.#pass('gap', this.#budget.gapMs);
      else this.#watchGap(this.#budget.gapMs - waitedMs);
    });
  }

  #pass(phase: keyof typeof PHASES, limitMs: number): void {
    this.#onPassed(
      new ServiceError('deadline_exceeded', `${PHASES[phase]} within ${Math.round(limitMs)} ms`, {
        details: { phase },
      }),
    );
  }
}

const PHASES = {
  first_token: 'no first token',
  share: 'no first token for this engine',
  gap: 'no further token',
  total: 'no whole answer',
} as const;
