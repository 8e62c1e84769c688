/**
 * What the world outside gives us, as types. The real ones are made in `src/runtime.ts`; the simulator makes its own.
 * Parts take only the pieces they use.
 */

export interface Clock {
  /** Milliseconds since the epoch; may jump. For records people read. */
  nowMs(): number;
  /** Monotonic milliseconds with a fraction; for every duration and deadline. */
  monotonicMs(): number;
  /** Resolves after `durationMs`; rejects with `signal.reason` when aborted. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
  /** Calls back once after `durationMs` unless the returned disposable is disposed first. Does not hold the process open. */
  timer(durationMs: number, callback: () => void): Disposable;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A new unique id with a readable prefix, sortable by time: `dlg_01J…`. */
  id(prefix: string): string;
  /** Cryptographically strong random bytes. */
  bytes(length: number): Uint8Array;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log: event name first (`turn.finished`), fields with units. Player text never at info. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  child(fields: LogFields): Logger;
}

export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
  readonly environment: Readonly<Record<string, string | undefined>>;
}
