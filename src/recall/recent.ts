/**
 * What became of the questions of the last minutes: a ring of short spans, so that what was counted leaves by itself and
 * the memory it takes is fixed.
 */
import type { RecallEvent, RecallTally } from '../core/recall.ts';
import type { Clock } from '../core/runtime.ts';

const SPAN_MS = 10_000;
/** Five minutes. */
const SPANS = 30;

interface Span {
  /** Spans since the clock's zero; what stands in the ring of another number is of an earlier round. */
  readonly number: number;
  tally: RecallTally;
}

export const NO_TALLY: RecallTally = { hits: 0, joined: 0, misses: 0, bypassed: 0 };

export class RecentRecall {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #ring: (Span | undefined)[] = Array.from({ length: SPANS });
  readonly #sinceMonoMs: number;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
    this.#sinceMonoMs = clock.monotonicMs();
  }

  note({ outcome }: Pick<RecallEvent, 'outcome'>): void {
    const number = Math.floor(this.#clock.monotonicMs() / SPAN_MS);
    const at = number % SPANS;
    const held = this.#ring[at];
    const span = held?.number === number ? held : { number, tally: NO_TALLY };
    span.tally = counted(span.tally, outcome);
    this.#ring[at] = span;
  }

  /** At most the last five minutes; `windowMs` says how long it is. */
  get tally(): RecallTally & { readonly windowMs: number } {
    const nowMs = this.#clock.monotonicMs();
    const first = Math.floor(nowMs / SPAN_MS) - SPANS + 1;
    const tally = this.#ring.reduce(
      (sum, span) => (span === undefined || span.number < first ? sum : plus(sum, span.tally)),
      NO_TALLY,
    );
    return { ...tally, windowMs: Math.min(nowMs - this.#sinceMonoMs, SPAN_MS * SPANS) };
  }
}

/** One question more. */
export function counted(tally: RecallTally, outcome: RecallEvent['outcome']): RecallTally {
  const isHit = outcome === 'hit' || outcome === 'shared_hit' || outcome === 'meaning_hit';
  return {
    hits: tally.hits + Number(isHit),
    joined: tally.joined + Number(outcome === 'joined'),
    misses: tally.misses + Number(outcome === 'miss'),
    bypassed: tally.bypassed + Number(outcome === 'bypass'),
  };
}

function plus(one: RecallTally, other: RecallTally): RecallTally {
  return {
    hits: one.hits + other.hits,
    joined: one.joined + other.joined,
    misses: one.misses + other.misses,
    bypassed: one.bypassed + other.bypassed,
  };
}
