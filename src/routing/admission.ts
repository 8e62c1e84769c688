/**
 * Places at one engine. Most engines queue without bound, so admission is ours (design §5): so many requests (place-limit.ts)
 * and prompt tokens in flight, so many waiting. Interactive goes before ambient, which still gets every ninth place; within each,
 * fair-queue.ts decides, and of what shares allow the shortest expected prefill of a deadline class goes first. A place asked for is given, refused, or given up by its signal: exactly one of them, once.
 */
import type { Priority } from '../core/dialogue.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { FairQueue, type QueueEntry } from './fair-queue.ts';
import { PlaceLimit } from './place-limit.ts';

export interface AdmissionAsk {
  readonly priority: Priority;
  /** Who is served fairly within a source; null: one nameless player. */
  readonly player: string | null;
  /** The game server: the id of its API key, or `local`. */
  readonly source: string;
  readonly promptTokens: number;
  /** Of the prompt tokens, those that no cache of the engine is expected to hold; left out: all. Shorter goes first. */
  readonly expectedPrefillTokens?: number;
  /** Most tokens of the answer. */
  readonly maxTokens: number;
  /** The monotonic time after which a place is of no use; infinite: whenever it comes. */
  readonly deadlineMonoMs: number;
  /** When its first sentence should be out; left out: nobody waits for one, and it keeps no line from beginning. */
  readonly wantedByMonoMs?: number;
  /** How many times as long as its time the predicted wait may be: predictions err. Left out: once. */
  readonly patience?: number;
}

/** A place at the engine, until it is disposed. */
export interface Place extends Disposable {
  readonly waitedMs: number;
  /** Its first sentence is out. What it says behind that needs few tokens a second, so the next may begin. */
  spoke(): void;
  /** Its time was over before its first sentence. */
  late(): void;
}

export interface AdmissionOptions {
  /** Its name in the configuration, for messages. */
  readonly engine: string;
  /** The most at once; fewer while lines come late. */
  readonly maxInFlight: number;
  /** Prompt tokens in flight at once; null: bounded by `maxInFlight` alone. */
  readonly maxPromptTokens?: number | null;
  readonly maxQueued: number;
}

interface Waiter {
  readonly ask: AdmissionAsk;
  readonly askedMonoMs: number;
  admit(): void;
  refuse(error: ServiceError): void;
}

type Entry = QueueEntry<Waiter>;

/** After this many interactive admissions in a row a waiting ambient one goes next, so that none starves. */
export const INTERACTIVE_RUN_MAX = 8;
/** Decoding a token costs about twice as much as reading one (Sheng et al. 2024, as vendors' prices). */
export const OUTPUT_TOKEN_COST = 2;
/** Two lines of tier 2 (900 prompt tokens and 60 words each): so far an early deadline bends fairness. */
export const FAIRNESS_SLACK_TOKENS = 2_048;
/** Weight of the newest place in the running mean of milliseconds per token. */
const NEWEST_SHARE = 0.1;

/** What a request is charged in fairness, in tokens; at least 1. */
export function tokenCost(ask: Pick<AdmissionAsk, 'promptTokens' | 'maxTokens'>): number {
  return Math.max(1, ask.promptTokens + OUTPUT_TOKEN_COST * ask.maxTokens);
}

/** Places of one kind that are held, and how long they are. */
class Holds {
  count = 0;
  #cost = 0;
  // Running means over those that have ended. Their quotient, not the mean of quotients: a place that cost next to nothing
  // and was held for seconds would drown the others.
  #meanHeldMs = 0;
  #meanEndedCost = 0;

  get meanCost(): number {
    return this.count === 0 ? 0 : this.#cost / this.count;
  }

  begin(cost: number): void {
    this.count += 1;
    this.#cost += cost;
  }

  end(cost: number, heldMs: number): void {
    this.count -= 1;
    this.#cost -= cost;
    const share = this.#meanEndedCost === 0 ? 1 : NEWEST_SHARE;
    this.#meanHeldMs += (heldMs - this.#meanHeldMs) * share;
    this.#meanEndedCost += (cost - this.#meanEndedCost) * share;
  }

  /** Milliseconds until so many tokens were served and the next one ends; 0 while nothing is known. */
  endsInMs(tokensAhead: number): number {
    if (this.#meanEndedCost === 0 || this.count === 0) return 0;
    const msPerToken = this.#meanHeldMs / this.#meanEndedCost;
    return ((tokensAhead + this.meanCost) * msPerToken) / this.count;
  }
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #clock: Pick<Clock, 'monotonicMs' | 'timer'>;
  readonly #queues: Readonly<Record<Priority, FairQueue<Waiter>>> = {
    interactive: new FairQueue(FAIRNESS_SLACK_TOKENS),
    ambient: new FairQueue(FAIRNESS_SLACK_TOKENS),
  };
  readonly #limit: PlaceLimit;
  #runningPromptTokens = 0;
  /** All that run, and those of them without a first sentence. */
  readonly #held = new Holds();
  readonly #opening = new Holds();
  #interactiveRun = 0;

  constructor(
    options: AdmissionOptions,
    parts: { readonly clock: Pick<Clock, 'monotonicMs' | 'timer'> } = { clock: STANDING_CLOCK },
  ) {
    this.#options = options;
    this.#clock = parts.clock;
    this.#limit = new PlaceLimit(options.maxInFlight);
  }

  get options(): AdmissionOptions {
    return this.#options;
  }

  /** How many without a first sentence may run at once now: 1 to `maxInFlight`. */
  get places(): number {
    return this.#limit.places;
  }

  get running(): number {
    return this.#held.count;
  }

  /** Prompt tokens of the requests under way. */
  get runningPromptTokens(): number {
    return this.#runningPromptTokens;
  }

  get waiting(): number {
    return this.#queues.interactive.size + this.#queues.ambient.size;
  }

  waitingOf(priority: Priority): number {
    return this.#queues[priority].size;
  }

  /**
   * Milliseconds that a request from a game server with nothing else here would probably wait; 0 when a place is free or
   * nothing is known. For choosing between replicas: the flood of one server must not turn the others away, and who does
   * wait here already is told by `acquire`, which looks at the flow that asks.
   */
  predictedWaitMs(priority: Priority): number {
    const scarce = this.#scarce;
    if (this.waiting === 0 && scarce === null) return 0;
    const { interactive, ambient } = this.#queues;
    const cost = (scarce ?? this.#opening).meanCost;
    return this.#waitMs(
      priority === 'interactive'
        ? interactive.costAheadOfNew(cost)
        : interactive.cost + ambient.costAheadOfNew(cost),
    );
  }

  /**
   * Resolves to a place, to be disposed when the work has ended. Throws `overloaded` (details `queue: ours`) at once when
   * the queue is full or the predicted wait passes the deadline, later when the deadline comes first or a flow that has
   * less takes the place in the queue; `context_length_exceeded` for a prompt over the engine's token limit. Aborting
   * while waiting leaves the queue and rejects with the signal's reason.
   */
  acquire(ask: AdmissionAsk, signal: AbortSignal): Promise<Place> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const { engine, maxPromptTokens } = this.#options;
    if (ask.promptTokens > (maxPromptTokens ?? Number.POSITIVE_INFINITY))
      return Promise.reject(
        new ServiceError(
          'context_length_exceeded',
          `a prompt of ${ask.promptTokens} tokens is over the ${maxPromptTokens} that engine ${engine} takes at once (engines.${engine}.maxPromptTokens)`,
        ),
      );
    const queue = this.#queues[ask.priority];
    const nowMs = this.#clock.monotonicMs();
    const cost = tokenCost(ask);
    const player = ask.player ?? '';
    if (this.waiting === 0 && this.#hasRoom(ask)) {
      const charged = { source: ask.source, player, cost };
      queue.serve(charged);
      return Promise.resolve(this.#place(ask, charged, nowMs));
    }
    const waitMs = this.#waitMs(
      queue.costAhead(ask.source, player, cost) +
        (ask.priority === 'ambient' ? this.#queues.interactive.cost : 0),
    );
    if (waitMs > (ask.deadlineMonoMs - nowMs) * (ask.patience ?? 1))
      return Promise.reject(
        this.#overloaded(
          `the wait for engine ${engine} would be about ${Math.round(waitMs)} ms, and ${Math.max(0, Math.round(ask.deadlineMonoMs - nowMs))} ms are left`,
          waitMs,
        ),
      );
    if (this.waiting >= this.#options.maxQueued) {
      const victim = this.#victimFor(ask);
      const full = this.#overloaded(
        `the queue of engine ${engine} is full: ${this.waiting} wait, the limit is ${this.#options.maxQueued} (engines.${engine}.maxQueued)`,
        waitMs,
      );
      if (victim === null) return Promise.reject(full);
      victim.refuse(full);
    }
    return this.#wait(ask, { source: ask.source, player, cost }, signal);
  }

  #wait(
    ask: AdmissionAsk,
    charged: Pick<Entry, 'source' | 'player' | 'cost'>,
    signal: AbortSignal,
  ): Promise<Place> {
    const queue = this.#queues[ask.priority];
    const askedMonoMs = this.#clock.monotonicMs();
    return new Promise((resolve, reject) => {
      const refuse = (reason: unknown) => {
        if (!queue.remove(entry)) return;
        unhook();
        reject(reason as Error);
      };
      const leave = (reason: unknown) => {
        refuse(reason);
        // It may have been the one that did not fit the token limit.
        this.#admit();
      };
      const onAbort = () => leave(signal.reason);
      const late = () => leave(this.#late(askedMonoMs));
      const timer = Number.isFinite(ask.deadlineMonoMs)
        ? this.#clock.timer(ask.deadlineMonoMs - askedMonoMs, late)
        : null;
      const unhook = () => {
        signal.removeEventListener('abort', onAbort);
        timer?.[Symbol.dispose]();
      };
      const entry: Entry = {
        ...charged,
        prefillTokens: ask.expectedPrefillTokens ?? ask.promptTokens,
        askedMonoMs,
        deadlineMonoMs: ask.deadlineMonoMs,
        value: {
          ask,
          askedMonoMs,
          admit: () => {
            unhook();
            resolve(this.#place(ask, charged, askedMonoMs));
          },
          refuse,
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      queue.push(entry);
    });
  }

  #place(ask: AdmissionAsk, charged: Pick<Entry, 'source' | 'player' | 'cost'>, askedMonoMs: number): Place {
    const admittedMonoMs = this.#clock.monotonicMs();
    this.#runningPromptTokens += ask.promptTokens;
    const { cost } = charged;
    this.#held.begin(cost);
    const { wantedByMonoMs } = ask;
    let isOpening = wantedByMonoMs !== undefined;
    if (isOpening) this.#opening.begin(cost);
    const heldMs = () => this.#clock.monotonicMs() - admittedMonoMs;
    const ticket = this.#limit.ticket();
    let isHeld = true;
    const opened = () => {
      if (isOpening) this.#opening.end(cost, heldMs());
      isOpening = false;
    };
    return {
      waitedMs: admittedMonoMs - askedMonoMs,
      spoke: () => {
        if (!isOpening || wantedByMonoMs === undefined) return;
        const allowedMs = Math.max(1, wantedByMonoMs - admittedMonoMs);
        this.#limit.spoke(heldMs() / allowedMs, this.#opening.count);
        opened();
        this.#admit();
      },
      late: () => {
        if (isOpening) this.#limit.late(ticket, this.#opening.count);
      },
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#held.end(cost, heldMs());
        this.#runningPromptTokens -= ask.promptTokens;
        this.#queues[ask.priority].release(charged);
        opened();
        this.#admit();
      },
    };
  }

  /** Gives places while there is room. The next in line is waited for when it does not fit: a large prompt must not starve. */
  #admit(): void {
    for (;;) {
      const nowMs = this.#clock.monotonicMs();
      const { interactive, ambient } = this.#queues;
      const isAmbientTurn =
        ambient.size > 0 && (interactive.size === 0 || this.#interactiveRun >= INTERACTIVE_RUN_MAX);
      const queue = isAmbientTurn ? ambient : interactive;
      const next = queue.peek(nowMs);
      if (next === null) return;
      // Its own timer has not rung yet.
      if (next.deadlineMonoMs < nowMs) {
        next.value.refuse(this.#late(next.value.askedMonoMs));
        continue;
      }
      if (!this.#hasRoom(next.value.ask)) return;
      queue.take(nowMs);
      this.#interactiveRun = isAmbientTurn ? 0 : this.#interactiveRun + 1;
      next.value.admit();
    }
  }

  #hasRoom(ask: AdmissionAsk): boolean {
    const { maxInFlight, maxPromptTokens } = this.#options;
    return (
      this.#held.count < maxInFlight &&
      (ask.wantedByMonoMs === undefined || this.#opening.count < this.places) &&
      this.#runningPromptTokens + ask.promptTokens <= (maxPromptTokens ?? Number.POSITIVE_INFINITY)
    );
  }

  /** Who leaves a full queue for this newcomer; null: the newcomer does. */
  #victimFor(ask: AdmissionAsk): Waiter | null {
    const { interactive, ambient } = this.#queues;
    if (ask.priority === 'interactive' && ambient.size > 0) return ambient.last()?.value ?? null;
    const queue = ask.priority === 'interactive' ? interactive : ambient;
    return queue.victimFor(ask.source, ask.player ?? '')?.value ?? null;
  }

  /** Milliseconds until so many tokens were served and the next place is free. */
  #waitMs(tokensAhead: number): number {
    return (this.#scarce ?? this.#opening).endsInMs(tokensAhead);
  }

  /** What there is not enough of for one more; null: there is. */
  get #scarce(): Holds | null {
    if (this.#held.count >= this.#options.maxInFlight) return this.#held;
    return this.#opening.count >= this.places ? this.#opening : null;
  }

  #late(askedMonoMs: number): ServiceError {
    const waitedMs = Math.round(this.#clock.monotonicMs() - askedMonoMs);
    return this.#overloaded(`no place at engine ${this.#options.engine} within ${waitedMs} ms`, 0);
  }

  #overloaded(message: string, retryAfterMs: number): ServiceError {
    return new ServiceError('overloaded', message, {
      details: { queue: 'ours', retryAfterMs: Math.ceil(retryAfterMs) },
    });
  }
}

const STANDING_CLOCK: Pick<Clock, 'monotonicMs' | 'timer'> = {
  monotonicMs: () => 0,
  timer: () => ({ [Symbol.dispose]: () => {} }),
};
