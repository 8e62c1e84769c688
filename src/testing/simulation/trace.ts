/**
 * What happened, in order: one line an event, stamped with virtual time. Two runs of a seed are the same when their traces
 * have the same digest; a person reads the lines to see why a seed fails.
 */
import { createHash, type Hash } from 'node:crypto';

export interface TraceOptions {
  readonly monotonicMs: () => number;
  /** Gets each line as it comes; null: nobody reads, only the digest is kept. */
  readonly onLine: ((line: string) => void) | null;
}

export class Trace {
  readonly #options: TraceOptions;
  readonly #hash: Hash = createHash('sha256');
  #events = 0;

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  get events(): number {
    return this.#events;
  }

  /** `who` did `what`; fields are shown as JSON. Never depends on how fast the machine is. */
  note(who: string, what: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#events += 1;
    const { monotonicMs, onLine } = this.#options;
    const line = `${monotonicMs().toFixed(2).padStart(11)} ${who.padEnd(14)} ${what}${
      fields === undefined ? '' : ` ${JSON.stringify(fields)}`
    }`;
    this.#hash.update(line);
    onLine?.(line);
  }

  /** SHA-256 over all lines so far. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}
