/**
 * One try at one rung: take a place, stream, give the place back. The only layer that decides whether a failure moves
 * on; it never repeats a request itself.
 */
import type { Cause } from '../core/dialogue.ts';
import type { GenerateEvent, GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import type { EngineEntry } from '../routing/plan.ts';

/**
 * Streams from the engine once admission gave a place; `onAdmitted` gets the wait in milliseconds. Leaving the loop or
 * aborting stops the engine and frees the place.
 */
export async function* attempt(
  entry: EngineEntry,
  request: GenerateRequest,
  parts: { readonly clock: Clock; readonly onAdmitted: (waitedMs: number) => void },
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const askedMonoMs = parts.clock.monotonicMs();
  using _place = await entry.admission.acquire(request.priority, signal);
  parts.onAdmitted(parts.clock.monotonicMs() - askedMonoMs);
  yield* entry.engine.generate(request, signal);
}

/** Why the ladder goes down a rung after this failure. A hang-up is nobody's failure and is thrown on. */
export function causeOfFailure(error: unknown): Cause {
  const { code } = ServiceError.from(error);
  switch (code) {
    case 'client_closed':
      throw error;
    case 'deadline_exceeded':
      return 'timeout';
    case 'overloaded':
    case 'draining':
      return 'overload';
    case 'not_ready':
      return 'offline';
    default:
      return 'backend_error';
  }
}
