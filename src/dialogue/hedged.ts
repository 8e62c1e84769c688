/**
 * Two engines, one line: when the first is unusually late, a second is asked the same, and whoever speaks first is
 * heard. The other is stopped at once.
 */
import type { GenerateEvent } from '../core/engine.ts';
import type { Clock } from '../core/runtime.ts';
import { linkSignals } from '../lib/abort.ts';
import { HEDGED } from './attempt.ts';

export interface Speaker {
  speak(signal: AbortSignal): AsyncGenerator<GenerateEvent>;
  /** Called once, when it is the one that is heard. */
  onWon(): void;
}

interface Runner {
  readonly speaker: Speaker;
  readonly events: AsyncGenerator<GenerateEvent>;
  readonly stop: () => Promise<void>;
  next: Promise<Step>;
}

type Step =
  | { readonly kind: 'event'; readonly event: GenerateEvent }
  | { readonly kind: 'end' }
  | { readonly kind: 'failed'; readonly error: unknown };

/**
 * `second` is asked after `afterMs` for its speaker; null: there is none. One that fails before words is left to the
 * other; when both fail, the first one's failure is thrown. Aborting, or leaving the loop, stops both.
 */
export async function* hedged(
  first: Speaker,
  afterMs: number,
  second: () => Speaker | null,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const late = Promise.withResolvers<'late'>();
  using _timer = clock.timer(afterMs, () => late.resolve('late'));
  const runners: Runner[] = [start(first, signal)];
  let failure: { readonly error: unknown } | null = null;
  let mayHedge = true;
  try {
    for (;;) {
      const racing = runners.map(async (runner) => ({ runner, step: await runner.next }));
      const winner = await Promise.race(mayHedge ? [...racing, late.promise] : racing);
      if (winner === 'late') {
        mayHedge = false;
        const speaker = second();
        if (speaker !== null) runners.push(start(speaker, signal));
        continue;
      }
      const { runner, step } = winner;
      if (step.kind === 'failed') {
        runners.splice(runners.indexOf(runner), 1);
        await runner.stop();
        failure ??= step;
        if (runners.length === 0) throw failure.error;
        continue;
      }
      if (step.kind === 'event' && step.event.type === 'usage') {
        runner.next = advance(runner.events);
        continue;
      }
      for (const other of runners.filter((each) => each !== runner)) await other.stop();
      runners.splice(0, runners.length, runner);
      runner.speaker.onWon();
      if (step.kind === 'end') return;
      yield step.event;
      yield* runner.events;
      return;
    }
  } finally {
    for (const runner of runners) await runner.stop();
  }
}

function start(speaker: Speaker, signal: AbortSignal): Runner {
  const link = linkSignals(signal);
  const events = speaker.speak(link.signal);
  const runner: Runner = {
    speaker,
    events,
    next: advance(events),
    stop: async () => {
      link.abort(HEDGED);
      await runner.next;
      await events.return(undefined).catch(() => {});
      link[Symbol.dispose]();
    },
  };
  return runner;
}

/** Never rejects: a runner that nobody looks at any more must not fail unheard. */
async function advance(events: AsyncGenerator<GenerateEvent>): Promise<Step> {
  try {
    const { done, value } = await events.next();
    return done === true ? { kind: 'end' } : { kind: 'event', event: value };
  } catch (error) {
    return { kind: 'failed', error };
  }
}
