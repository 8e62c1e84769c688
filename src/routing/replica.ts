/**
 * One engine as routing sees it: what it is, how it does, and whether it may be used now. Outcomes come in once per
 * attempt, at the end of its stream, through the attempt that `started` gave; nothing else moves breaker, pace and cooldown.
 */
import type { Cause } from '../core/dialogue.ts';
import type { Engine, TokenCounter } from '../core/engine.ts';
import type { Clock, Random } from '../core/runtime.ts';
import { Admission, type AdmissionOptions } from './admission.ts';
import { hashOf } from './affinity.ts';
import { Breaker, type BreakerState, type Probe } from './breaker.ts';
import { CachedPrefixes } from './cached-prefixes.ts';
import type { BreakerOptions, CooldownOptions, PaceOptions } from './options.ts';
import { type AttemptOutcome, outcomeOf } from './outcome.ts';
import { NOTHING_LEARNED, Pace } from './pace.ts';

export interface ReplicaSettings {
  readonly engine: Engine;
  readonly counter: TokenCounter;
  /** The engine's own name for the model. */
  readonly model: string;
  readonly modelVersion: string | null;
  /** Prompt and answer together; null where it is not known. */
  readonly contextTokens: number | null;
  readonly isPaid: boolean;
  /** Scheme, host and port, where it has one: two engines of one origin die together. */
  readonly origin: string | null;
  readonly admission: AdmissionOptions;
  readonly breaker: BreakerOptions;
  readonly cooldown: CooldownOptions;
  readonly pace: PaceOptions;
}

/** Plain values of one moment, for pure scoring and for people. */
export interface ReplicaSnapshot {
  name: string;
  /** Of the name, for affinity. */
  hash: number;
  unusable: Cause | null;
  breaker: BreakerState;
  isPaid: boolean;
  origin: string | null;
  contextTokens: number | null;
  running: number;
  waiting: number;
  maxInFlight: number;
  maxQueued: number;
  runningPromptTokens: number;
  maxPromptTokens: number | null;
  /** Milliseconds that a new request would probably wait in our queue, by priority. */
  interactiveWaitMs: number;
  ambientWaitMs: number;
  /** See pace.ts; null where nothing is learned. */
  baseMs: number | null;
  prefillMsPerToken: number | null;
  decodeMsPerToken: number | null;
  cachedRatio: number | null;
  /** Of what of pace the four values above are; for `refresh`. */
  paceRevision: number;
  residentAdapters: ReadonlySet<string>;
}

/** One attempt under way at a replica. */
export interface RunningAttempt {
  /** A token came: the engine lives. */
  token(): void;
  /** Tells how it ended. Only the first call counts. */
  ended(outcome: AttemptOutcome): void;
}

/** The pace revision of a snapshot that knows nothing. */
const FORGOTTEN = -1;
const NO_ADAPTERS: ReadonlySet<string> = new Set();

export class Replica {
  readonly name: string;
  readonly engine: Engine;
  readonly counter: TokenCounter;
  readonly model: string;
  readonly modelVersion: string | null;
  readonly isPaid: boolean;
  readonly origin: string | null;
  readonly admission: Admission;
  readonly breaker: Breaker;
  readonly pace: Pace;
  readonly prefixes: CachedPrefixes;
  /** Adapters that answer at once; kept by whoever owns residency. */
  residentAdapters: ReadonlySet<string> = NO_ADAPTERS;
  readonly #hash: number;
  readonly #cooldown: CooldownOptions;
  readonly #clock: Clock;
  readonly #random: Pick<Random, 'next'>;
  #contextTokens: number | null;
  #isReady = false;
  #coolUntilMonoMs = Number.NEGATIVE_INFINITY;
  #throttledInRow = 0;
  #disabledUntilMonoMs = Number.NEGATIVE_INFINITY;
  #running = 0;
  /** When attempts began to run without a pause. */
  #busySinceMonoMs = Number.NEGATIVE_INFINITY;
  #lastTokenMonoMs = Number.NEGATIVE_INFINITY;
  #lastServedMonoMs = Number.NEGATIVE_INFINITY;

  constructor(settings: ReplicaSettings, parts: { readonly clock: Clock; readonly random: Random }) {
    this.name = settings.engine.name;
    this.#hash = hashOf(this.name);
    this.engine = settings.engine;
    this.counter = settings.counter;
    this.model = settings.model;
    this.modelVersion = settings.modelVersion;
    this.#contextTokens = settings.contextTokens;
    this.isPaid = settings.isPaid;
    this.origin = settings.origin;
    this.#cooldown = settings.cooldown;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.admission = new Admission(settings.admission, parts);
    this.breaker = new Breaker(settings.breaker, parts);
    this.pace = new Pace(settings.pace, parts);
    this.prefixes = new CachedPrefixes(parts.clock);
  }

  /** Prompt and answer together; null where neither the configuration nor the engine says. */
  get contextTokens(): number | null {
    return this.#contextTokens;
  }

  /** By its host: what the engine itself says; the configuration goes before it. */
  learnContext(tokens: number): void {
    this.#contextTokens ??= tokens;
  }

  /** Tokens of a prompt that the engine will probably have to read, because no cache of it holds them. */
  expectedPrefillTokens(prefixKey: string, promptTokens: number): number {
    const cachedRatio = this.pace.snapshot().cachedRatio ?? 0;
    return this.prefixes.expectedPrefillTokens(prefixKey, promptTokens, cachedRatio);
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** By its host: true when a warm-up line was spoken, false when the connection is lost. Ready again, it starts afresh. */
  setReady(isReady: boolean): void {
    if (isReady && !this.#isReady) {
      this.breaker.reset();
      this.#lastServedMonoMs = this.#clock.monotonicMs();
    }
    this.#isReady = isReady;
  }

  /** By the operator: an account that was refused is asked again. */
  enable(): void {
    this.#disabledUntilMonoMs = Number.NEGATIVE_INFINITY;
  }

  /** Why a player's line may not go there now; null when it may. */
  unusable(nowMonoMs = this.#clock.monotonicMs()): Cause | null {
    if (!this.#isReady) return 'offline';
    if (nowMonoMs < this.#disabledUntilMonoMs) return 'disabled';
    if (!this.breaker.mayStart('traffic', nowMonoMs)) return 'backend_error';
    return nowMonoMs < this.#coolUntilMonoMs ? 'overload' : null;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Milliseconds until the pause that the engine asked for is over; 0 when there is none. */
  get coolsForMs(): number {
    return Math.max(0, this.#coolUntilMonoMs - this.#clock.monotonicMs());
  }

  /** When the last whole line ended, monotonic; the moment of readiness before the first one. */
  get lastServedMonoMs(): number {
    return this.#lastServedMonoMs;
  }

  /**
   * Since when attempts run here without a token to any of them, monotonic; null when none runs. New attempts do not move
   * it, or an engine that is stuck under load would never look stuck.
   */
  get silentSinceMonoMs(): number | null {
    return this.#running === 0 ? null : Math.max(this.#busySinceMonoMs, this.#lastTokenMonoMs);
  }

  /**
   * An attempt begins; it already holds its place. Null when the breaker has closed the door in the meantime: then the
   * engine must not be asked.
   */
  started(probe: Probe = 'traffic'): RunningAttempt | null {
    const pass = this.breaker.tryStart(probe);
    if (pass === null) return null;
    if (this.#running === 0) this.#busySinceMonoMs = this.#clock.monotonicMs();
    this.#running += 1;
    let hasEnded = false;
    return {
      token: () => {
        this.#lastTokenMonoMs = this.#clock.monotonicMs();
      },
      ended: (outcome) => {
        if (hasEnded) return;
        hasEnded = true;
        this.#running -= 1;
        switch (outcome.kind) {
          case 'served':
            this.breaker.served(pass);
            this.pace.learn(outcome);
            this.#lastServedMonoMs = this.#clock.monotonicMs();
            this.#throttledInRow = 0;
            return;
          case 'throttled':
            this.breaker.abandoned(pass);
            this.#cool(outcome.retryAfterMs);
            return;
          case 'failed':
            this.breaker.failed(pass);
            return;
          case 'refused':
            this.breaker.abandoned(pass);
            if (outcome.code === 'engine_account')
              this.#disabledUntilMonoMs = this.#clock.monotonicMs() + this.#cooldown.accountMs;
            return;
          case 'left':
            this.breaker.abandoned(pass);
        }
      },
    };
  }

  /**
   * A canary line begins: the probe of a breaker that is half open, a test of life otherwise. It needs no place. Null when
   * the breaker wants no probe now. A canary line that fails takes the replica out at once.
   */
  startedCanary(): { spoke(): void; failed(error: unknown): void } | null {
    const pass = this.breaker.tryStart('canary');
    if (pass === null) return null;
    return {
      spoke: () => {
        this.#lastServedMonoMs = this.#clock.monotonicMs();
        this.breaker.served(pass);
      },
      failed: (error) => {
        const outcome = outcomeOf(error);
        if (outcome.kind === 'throttled') this.#cool(outcome.retryAfterMs);
        if (outcome.kind === 'failed') this.breaker.trip();
        else this.breaker.abandoned(pass);
      },
    };
  }

  snapshot(): ReplicaSnapshot {
    const nowMonoMs = this.#clock.monotonicMs();
    const snapshot: ReplicaSnapshot = {
      name: this.name,
      hash: this.#hash,
      unusable: null,
      breaker: 'closed',
      isPaid: this.isPaid,
      origin: this.origin,
      contextTokens: this.contextTokens,
      running: 0,
      waiting: 0,
      maxInFlight: this.admission.places,
      maxQueued: this.admission.options.maxQueued,
      runningPromptTokens: 0,
      maxPromptTokens: this.admission.options.maxPromptTokens ?? null,
      interactiveWaitMs: 0,
      ambientWaitMs: 0,
      ...NOTHING_LEARNED,
      paceRevision: FORGOTTEN,
      residentAdapters: NO_ADAPTERS,
    };
    this.refresh(snapshot, nowMonoMs);
    return snapshot;
  }

  /**
   * Brings a snapshot of this replica up to date. A pool keeps one per replica and does this for each decision, so only
   * what can have changed is written: a decision over a hundred replicas allocates next to nothing.
   */
  refresh(snapshot: ReplicaSnapshot, nowMonoMs: number): void {
    const { admission, breaker, pace } = this;
    snapshot.unusable = this.unusable(nowMonoMs);
    snapshot.breaker = breaker.stateAt(nowMonoMs);
    snapshot.running = admission.running;
    snapshot.waiting = admission.waiting;
    snapshot.maxInFlight = admission.places;
    snapshot.runningPromptTokens = admission.runningPromptTokens;
    snapshot.interactiveWaitMs = admission.predictedWaitMs('interactive');
    snapshot.ambientWaitMs = admission.predictedWaitMs('ambient');
    snapshot.residentAdapters = this.residentAdapters;
    const isForgotten = nowMonoMs >= pace.forgottenAtMonoMs;
    const revision = isForgotten ? FORGOTTEN : pace.revision;
    if (snapshot.paceRevision === revision) return;
    Object.assign(snapshot, isForgotten ? NOTHING_LEARNED : pace.snapshot());
    snapshot.paceRevision = revision;
  }

  /** Equal jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015): between half and all of the backoff. */
  #cool(retryAfterMs: number | null): void {
    const { backoffMs, backoffMaxMs, hintMaxMs } = this.#cooldown;
    const backoff = Math.min(backoffMaxMs, backoffMs * 2 ** Math.min(this.#throttledInRow, 30));
    this.#throttledInRow += 1;
    const pauseMs = Math.max(
      Math.min(retryAfterMs ?? 0, hintMaxMs),
      backoff * (0.5 + this.#random.next() / 2),
    );
    this.#coolUntilMonoMs = Math.max(this.#coolUntilMonoMs, this.#clock.monotonicMs() + pauseMs);
  }
}
