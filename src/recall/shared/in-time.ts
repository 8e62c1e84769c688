/** A bound on waiting for an answer, fair to who answered while we were busy. */
import type { Clock } from '../../core/runtime.ts';

/** When our own loop came this late to the timer, the answer may lie in the socket: it is looked at once more. */
const LOOP_LATE_MS = 2;

/** Waits at most so long, then gives `late`; what comes afterwards, be it an error, is nobody's. Rejects as `promise` does. */
export function inTime<T>(
  promise: Promise<T>,
  durationMs: number,
  clock: Pick<Clock, 'timer' | 'monotonicMs'>,
): Promise<{ readonly value: T } | 'late'> {
  const dueMonoMs = clock.monotonicMs() + durationMs;
  return new Promise((resolve, reject) => {
    let isLastCall = false;
    const ring = () => {
      if (isLastCall || clock.monotonicMs() - dueMonoMs < LOOP_LATE_MS) return resolve('late');
      isLastCall = true;
      timer = clock.timer(0, ring);
    };
    let timer = clock.timer(durationMs, ring);
    const settle = (then: () => void) => {
      timer[Symbol.dispose]();
      then();
    };
    promise.then(
      (value) => settle(() => resolve({ value })),
      (error: unknown) => settle(() => reject(error as Error)),
    );
  });
}
