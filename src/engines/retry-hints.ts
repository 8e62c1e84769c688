/**
 * When an engine says that it may be asked again (engines.md §10.1): `retry-after-ms`, `retry-after` in seconds or as a
 * date, `x-should-retry`. Hints come from outside: one that makes no sense is as good as none.
 */
import type { WireResponse } from '../core/transport.ts';

/** A daily quota may hint at tomorrow; an hour is long enough to look again. */
const RETRY_AFTER_MS_MAX = 3_600_000;

export interface RetryHints {
  /** 0..3,600,000; left out where there is no hint or none that makes sense. */
  readonly retryAfterMs?: number;
  /** The engine's own word whether asking again is of any use. */
  readonly shouldRetry?: boolean;
}

/** The hints of a reply's headers. A date counts from the reply's own `date`, so that two clocks need not agree. */
export function retryHints(headers: WireResponse['headers']): RetryHints {
  const afterMs = millisecondsOf(headers);
  const should = text(headers['x-should-retry']).toLowerCase();
  return {
    ...(afterMs === null ? {} : { retryAfterMs: Math.min(RETRY_AFTER_MS_MAX, Math.round(afterMs)) }),
    ...(should === 'true' || should === 'false' ? { shouldRetry: should === 'true' } : {}),
  };
}

function millisecondsOf(headers: WireResponse['headers']): number | null {
  const exact = positive(text(headers['retry-after-ms']));
  if (exact !== null) return exact;
  const after = text(headers['retry-after']);
  const seconds = positive(after);
  if (seconds !== null) return seconds * 1_000;
  if (/^-?[\d.]+$/.test(after)) return null;
  const waitMs = Date.parse(after) - Date.parse(text(headers['date']));
  return waitMs >= 0 ? waitMs : null;
}

function text(header: string | string[] | undefined): string {
  return (Array.isArray(header) ? (header[0] ?? '') : (header ?? '')).trim();
}

function positive(value: string): number | null {
  if (!/^\d+(?:\.\d+)?$/.test(value)) return null;
  const parsed = Number(value);
  return Number.isFinite(parsed) ? parsed : null;
}
