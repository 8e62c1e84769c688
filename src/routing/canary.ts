/**
 * When an engine must prove that it still speaks. A green health page proves nothing (engines.md §14.7), so a canary line
 * is sent after silence, while requests run without a token, and as the probe of an open breaker. It only decides; the
 * host sends the line. An engine that is stuck under load is out at most `stallMs + timeoutMs` after its last token,
 * one that nobody used at most `idleMs + timeoutMs`; the rhythm of the host's checks comes on top.
 */
import type { BreakerState } from './breaker.ts';
import type { CanaryOptions } from './options.ts';
import type { Replica } from './replica.ts';

/** What the decision looks at; monotonic milliseconds. */
export interface CanaryView {
  readonly isReady: boolean;
  readonly breaker: BreakerState;
  /** Whether the engine asked for a pause. */
  readonly isCoolingDown: boolean;
  readonly isPaid: boolean;
  readonly lastServedMonoMs: number;
  /** Since when attempts run without a token to any of them; null when none runs. */
  readonly silentSinceMonoMs: number | null;
  /** Its learned 98th percentile of the first token; null while too few lines were heard. */
  readonly slowestFirstTokenMs: number | null;
  /** When the last canary line was sent; null when none was. */
  readonly lastSentMonoMs: number | null;
  readonly isRunning: boolean;
}

/** A first token that took longer than twice its slowest is not slow any more. */
const SLOWEST_TIMES = 2;
const SLOWEST_PERCENTILE = 0.98;

/** An engine that is known to be slow, or not known yet, gets more time than the configured least. */
export function patienceMs(leastMs: number, slowestMs: number | null, options: CanaryOptions): number {
  return Math.max(leastMs, slowestMs === null ? options.unknownMs : slowestMs * SLOWEST_TIMES);
}

export type CanaryReason = 'idle' | 'stalled' | 'probe';

/** Why a canary line is due now; null when it is not. A paid engine is only asked as a probe: its lines cost money. */
export function canaryDue(view: CanaryView, options: CanaryOptions, nowMonoMs: number): CanaryReason | null {
  if (!view.isReady || view.isRunning || view.isCoolingDown) return null;
  if (view.lastSentMonoMs !== null && nowMonoMs - view.lastSentMonoMs < options.retryMs) return null;
  if (view.breaker === 'half_open') return 'probe';
  if (view.breaker === 'open' || view.isPaid) return null;
  if (
    view.silentSinceMonoMs !== null &&
    nowMonoMs - view.silentSinceMonoMs >= patienceMs(options.stallMs, view.slowestFirstTokenMs, options)
  )
    return 'stalled';
  const lastMs = Math.max(view.lastServedMonoMs, view.lastSentMonoMs ?? Number.NEGATIVE_INFINITY);
  return nowMonoMs - lastMs >= options.idleMs ? 'idle' : null;
}

/** The canary lines of one replica: at most one at a time. */
export class CanaryWatch {
  readonly #replica: Replica;
  readonly #options: CanaryOptions;
  #lastSentMonoMs: number | null = null;
  #isRunning = false;

  constructor(replica: Replica, options: CanaryOptions) {
    this.#replica = replica;
    this.#options = options;
  }

  get options(): CanaryOptions {
    return this.#options;
  }

  /** How long a canary line may take now (ms). */
  get timeoutMs(): number {
    return patienceMs(this.#options.timeoutMs, this.#slowestMs, this.#options);
  }

  get #slowestMs(): number | null {
    return this.#replica.pace.firstTokenPercentileMs(SLOWEST_PERCENTILE);
  }

  due(nowMonoMs: number): CanaryReason | null {
    const replica = this.#replica;
    return canaryDue(
      {
        isReady: replica.isReady,
        breaker: replica.breaker.state,
        isCoolingDown: replica.coolsForMs > 0,
        isPaid: replica.isPaid,
        lastServedMonoMs: replica.lastServedMonoMs,
        silentSinceMonoMs: replica.silentSinceMonoMs,
        slowestFirstTokenMs: this.#slowestMs,
        lastSentMonoMs: this.#lastSentMonoMs,
        isRunning: this.#isRunning,
      },
      this.#options,
      nowMonoMs,
    );
  }

  /**
   * Sends one line through `speak`, which must end or reject within the timeout of its own signal, and acts on the
   * result: words prove life; anything else takes the replica out. Resolves to whether it spoke.
   */
  async send(speak: () => Promise<unknown>, nowMonoMs: number): Promise<boolean> {
    const attempt = this.#replica.startedCanary();
    if (attempt === null) return false;
    this.#isRunning = true;
    this.#lastSentMonoMs = nowMonoMs;
    try {
      await speak();
      attempt.spoke();
      return true;
    } catch (error) {
      attempt.failed(error);
      return false;
    } finally {
      this.#isRunning = false;
    }
  }
}
