/**
 * A token counter that cannot hold up a dialogue: an engine that does not count in time is left alone for a moment, and
 * the upper estimate stands in, so that the rung below is reached with time to spare.
 */
import type { TokenCounter } from '../core/engine.ts';
import type { Clock } from '../core/runtime.ts';
import { estimateTokens } from '../engines/token-counter.ts';
import { linkSignals } from '../lib/abort.ts';

/** Counting takes a millisecond; an engine in the middle of a long pass may take some hundreds. */
const COUNT_TIMEOUT_MS = 500;
const REST_MS = 2_000;

/** Throws only the signal's reason. */
export function boundedCounter(counter: TokenCounter, clock: Clock): TokenCounter {
  let restUntilMonoMs = Number.NEGATIVE_INFINITY;
  return {
    count: async (text, signal) => {
      if (clock.monotonicMs() < restUntilMonoMs) return estimateTokens(text);
      using link = linkSignals(signal);
      let isLate = false;
      using _timer = clock.timer(COUNT_TIMEOUT_MS, () => {
        isLate = true;
        link.abort(new Error('no count in time'));
      });
      try {
        return await counter.count(text, link.signal);
      } catch (error) {
        if (!isLate || signal.aborted) throw error;
        restUntilMonoMs = clock.monotonicMs() + REST_MS;
        return estimateTokens(text);
      }
    },
  };
}
