/**
 * How one attempt ended, in the words of routing: what it says about the engine's health, and what it does not. Only a
 * failed attempt counts against a breaker; a rate limit is not a fault, and a client that left is nobody's failure.
 */
import { type ErrorCode, ServiceError } from '../core/errors.ts';

export type AttemptOutcome =
  | {
      readonly kind: 'served';
      readonly firstTokenMs: number;
      readonly totalMs: number;
      readonly promptTokens: number;
      readonly cachedTokens: number;
      readonly completionTokens: number;
    }
  /** 429, 503, 529: the engine wants a pause of at least the hint. */
  | { readonly kind: 'throttled'; readonly retryAfterMs: number | null }
  /** No connection, an error, a truncated stream, no token in time. */
  | { readonly kind: 'failed'; readonly code: ErrorCode }
  /** The request was at fault, or our account: asking the same again would end the same. */
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  /** Ended from our side before the engine could prove anything. */
  | { readonly kind: 'left' };

const LEFT: AttemptOutcome = { kind: 'left' };

/**
 * The outcome of an attempt that threw `error` after it had its place (engines.md §10.6). `deadline_exceeded` tells by
 * details `phase` which limit passed: `connect`, `first_token` and `gap` are the engine's failures; `total` and `share`,
 * the end of the dialogue's own time or of this engine's part of it, say nothing.
 */
export function outcomeOf(error: unknown): AttemptOutcome {
  const { code, details } = ServiceError.from(error);
  switch (code) {
    case 'overloaded':
      // Our own queue is no word of the engine.
      if (details['queue'] === 'ours') return LEFT;
      return { kind: 'throttled', retryAfterMs: hintMs(details['retryAfterMs']) };
    case 'draining':
      return { kind: 'throttled', retryAfterMs: hintMs(details['retryAfterMs']) };
    case 'deadline_exceeded':
      return details['phase'] === 'total' || details['phase'] === 'share' ? LEFT : { kind: 'failed', code };
    case 'engine_account':
    case 'bad_request':
    case 'context_length_exceeded':
    case 'body_too_large':
      return { kind: 'refused', code };
    // Not the caller's name but ours: an engine that does not know its own model serves nobody.
    case 'unknown_model':
    case 'engine_unavailable':
    case 'engine_error':
    case 'not_ready':
    case 'out_of_memory':
      return { kind: 'failed', code };
    default:
      return LEFT;
  }
}

/** A retry hint in milliseconds; null where it is none, negative or no number. */
function hintMs(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}
