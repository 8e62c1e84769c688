/**
 * Time that passes only when nobody has anything left to do: it then jumps to the next timer. An hour of play takes
 * seconds, and the same seed gives the same order of events. Timers behave as Node's do: whole milliseconds, at least
 * one, never on the dot, and up to a millisecond early against a clock with fractions.
 */
import type { Clock } from '../core/runtime.ts';
import type { SeededRandom } from './seeded-random.ts';

interface Alarm {
  readonly dueMonoMs: number;
  /** Decides between alarms that are due at once. */
  readonly tie: number;
  readonly ring: () => void;
  /** Where it was set, for the report of a timer that was left behind. */
  readonly setBy: string;
  isCancelled: boolean;
}

export interface VirtualClockOptions {
  readonly random: SeededRandom;
  /** The most that a timer rings late: what a busy event loop does to it (ms). */
  readonly latenessMaxMs: number;
  /** Whether each alarm remembers who set it; costs a stack trace a timer. */
  readonly remembersSetters: boolean;
}

/** Above it Node's setTimeout rings after 1 ms (https://nodejs.org/api/timers.html#settimeoutcallback-delay-args). */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;
const EPOCH_MS = Date.UTC(2026, 10, 21, 20);

export class VirtualClock implements Clock {
  readonly #options: VirtualClockOptions;
  /** A binary heap, the earliest first. */
  readonly #alarms: Alarm[] = [];
  #monoMs = 1_000;
  #skewMs = 0;
  #live = 0;
  #rung = 0;

  constructor(options: VirtualClockOptions) {
    this.#options = options;
  }

  nowMs(): number {
    return Math.floor(EPOCH_MS + this.#monoMs + this.#skewMs);
  }

  monotonicMs(): number {
    return this.#monoMs;
  }

  /** The date is set, as by a time server or by hand; durations do not notice. */
  jumpDate(byMs: number): void {
    this.#skewMs += byMs;
  }

  /** Timers and sleepers that wait. */
  get waiting(): number {
    return this.#live;
  }

  /** Who set the timers that wait. */
  get setters(): readonly string[] {
    return this.#alarms.filter((alarm) => !alarm.isCancelled).map((alarm) => alarm.setBy);
  }

  /** How many alarms have rung: the length of the story. */
  get rung(): number {
    return this.#rung;
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
    if (Number.isNaN(durationMs) || durationMs > TIMEOUT_MAX_MS)
      throw new Error(`a timer of ${durationMs} ms would ring at once; the most is ${TIMEOUT_MAX_MS} ms`);
    const { random, latenessMaxMs, remembersSetters } = this.#options;
    const wholeMs = Math.max(1, Math.trunc(durationMs));
    const alarm: Alarm = {
      dueMonoMs: Math.max(this.#monoMs, Math.floor(this.#monoMs) + wholeMs) + random.next() * latenessMaxMs,
      tie: random.next(),
      ring: callback,
      setBy: remembersSetters ? setterOf(new Error('set').stack ?? '') : 'unknown; run with a trace',
      isCancelled: false,
    };
    this.#push(alarm);
    this.#live += 1;
    return {
      [Symbol.dispose]: () => {
        if (alarm.isCancelled) return;
        alarm.isCancelled = true;
        this.#live -= 1;
      },
    };
  }

  /**
   * Lets time pass until `isOver`. Resolves to `over`, to `idle` when nothing is left that could ring, or to `late` when
   * `atMostMs` have passed. Between two alarms every promise that can settle has settled.
   */
  async run(isOver: () => boolean, atMostMs: number): Promise<'over' | 'idle' | 'late'> {
    const untilMonoMs = this.#monoMs + atMostMs;
    for (;;) {
      // One turn of the loop empties the queues of microtasks and of process.nextTick; the second one is for code that
      // waits for a turn itself.
      await turnOfLoop();
      if (isOver()) return 'over';
      const alarm = this.#pop();
      if (alarm === null) {
        await turnOfLoop();
        if (isOver()) return 'over';
        if (this.#live === 0) return 'idle';
        continue;
      }
      if (alarm.dueMonoMs > untilMonoMs) {
        this.#push(alarm);
        this.#monoMs = untilMonoMs;
        return 'late';
      }
      this.#monoMs = Math.max(this.#monoMs, alarm.dueMonoMs);
      alarm.isCancelled = true;
      this.#live -= 1;
      this.#rung += 1;
      alarm.ring();
    }
  }

  #push(alarm: Alarm): void {
    const heap = this.#alarms;
    let at = heap.push(alarm) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isEarlier(alarm, heap[above] as Alarm)) break;
      heap[at] = heap[above] as Alarm;
      at = above;
    }
    heap[at] = alarm;
  }

  /** The earliest alarm that still counts; null when there is none. */
  #pop(): Alarm | null {
    for (;;) {
      const heap = this.#alarms;
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) return null;
      if (heap.length > 0) this.#sink(last);
      if (!first.isCancelled) return first;
    }
  }

  #sink(alarm: Alarm): void {
    const heap = this.#alarms;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isEarlier(heap[below + 1] as Alarm, heap[below] as Alarm)) below += 1;
      if (!isEarlier(heap[below] as Alarm, alarm)) break;
      heap[at] = heap[below] as Alarm;
      at = below;
    }
    heap[at] = alarm;
  }
}

function isEarlier(a: Alarm, b: Alarm): boolean {
  return a.dueMonoMs < b.dueMonoMs || (a.dueMonoMs === b.dueMonoMs && a.tie < b.tie);
}

/** One turn of the event loop: a real one, because promises settle on it. */
function turnOfLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The first frames outside of this file, as `file:line`. */
function setterOf(stack: string): string {
  const frames = stack
    .split('\n')
    .slice(1)
    .map((line) => /([\w./-]+\.ts:\d+):\d+\)?$/.exec(line)?.[1]?.replace(/^.*\/(?=src\/|tests\/)/, ''))
    .filter((frame) => frame !== undefined && !frame.includes('planning/virtual-clock.ts'));
  return frames.slice(0, 3).join(' ← ') || 'unknown';
}
