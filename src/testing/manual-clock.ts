/** A clock that stands still until it is moved, so that a test of leases and expiry waits for nothing. */
import type { Clock } from '../core/runtime.ts';

interface Alarm {
  readonly atMs: number;
  readonly ring: () => void;
}

export class ManualClock implements Clock {
  #nowMs: number;
  readonly #startMs: number;
  readonly #alarms = new Set<Alarm>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
    this.#startMs = startMs;
  }

  /** How many sleepers and timers wait. */
  get waiting(): number {
    return this.#alarms.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs;
  }

  sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const onAbort = () => {
        timer[Symbol.dispose]();
        reject(signal.reason as Error);
      };
      const timer = this.timer(durationMs, () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  timer(durationMs: number, callback: () => void): Disposable {
    const alarm: Alarm = { atMs: this.#nowMs + durationMs, ring: callback };
    this.#alarms.add(alarm);
    return { [Symbol.dispose]: () => this.#alarms.delete(alarm) };
  }

  /** Moves time on and rings what is due, the earliest first. What the callbacks start later is not rung. */
  advance(durationMs: number): void {
    this.#nowMs += durationMs;
    const due = [...this.#alarms].filter((alarm) => alarm.atMs <= this.#nowMs);
    for (const alarm of due.sort((a, b) => a.atMs - b.atMs)) if (this.#alarms.delete(alarm)) alarm.ring();
  }
}
