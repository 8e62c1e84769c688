/**
 * The leader's side of a flight: what it says goes to the server in the background, and the lease is renewed for as long
 * as it is held. Once anything of it failed, the flight is lost for others and costs nothing more.
 */
import type { Clock } from '../../core/runtime.ts';
import type { FlightLease } from '../shared-tier.ts';
import type { VariantSource } from '../variant.ts';
import type { Connection } from './connection.ts';
import { encodeFlown, FLOWN_SENTENCES_MAX } from './flown.ts';
import { FINISH, RENEW, SAID, type Script } from './scripts.ts';

/** No generation takes longer; a lease that was forgotten ends here. */
const HELD_MAX_MS = 120_000;
/** A landed flight stays for those who have not heard all of it. */
const LANDED_STAYS_MS = 5_000;
const RENEWALS_A_LEASE = 3;

export interface LeaseParts {
  readonly connection: Connection;
  readonly clock: Pick<Clock, 'timer' | 'monotonicMs'>;
  readonly leaseMs: number;
  /** Told of what failed. */
  readonly onError: (error: unknown) => void;
  /** Told once, when it is over in whatever way. */
  readonly onEnd: (lease: HeldLease) => void;
}

export class HeldLease implements FlightLease {
  readonly #parts: LeaseParts;
  readonly #flightKey: string;
  readonly #id: string;
  readonly #endMonoMs: number;
  #said = 0;
  #isOver = false;
  #renewal: Disposable;

  constructor(parts: LeaseParts, flightKey: string, id: string) {
    this.#parts = parts;
    this.#flightKey = flightKey;
    this.#id = id;
    this.#endMonoMs = parts.clock.monotonicMs() + HELD_MAX_MS;
    this.#renewal = this.#renewLater();
  }

  said(text: string, source: VariantSource): void {
    if (this.#isOver) return;
    const encoded = encodeFlown({ text, source });
    const index = this.#said++;
    if (encoded === null || index >= FLOWN_SENTENCES_MAX) this[Symbol.dispose]();
    else this.#tell(SAID, [index, encoded, this.#parts.leaseMs]);
  }

  landed(): void {
    this.#finish('landed');
  }

  [Symbol.dispose](): void {
    this.#finish('lost');
  }

  #finish(how: 'landed' | 'lost'): void {
    if (this.#isOver) return;
    this.#end();
    this.#send(FINISH, [how, LANDED_STAYS_MS]).catch(this.#parts.onError);
  }

  #renewLater(): Disposable {
    const { clock, leaseMs } = this.#parts;
    return clock.timer(leaseMs / RENEWALS_A_LEASE, () => {
      if (clock.monotonicMs() > this.#endMonoMs) this[Symbol.dispose]();
      else {
        this.#tell(RENEW, [leaseMs]);
        if (!this.#isOver) this.#renewal = this.#renewLater();
      }
    });
  }

  /** What must reach the server, or the flight is lost. */
  #tell(script: Script, args: readonly (string | number)[]): void {
    this.#send(script, args).then(
      (isOurs) => {
        // The lease ran out meanwhile: another leads, or nobody.
        if (isOurs !== 1) this.#end();
      },
      (error: unknown) => {
        this.#parts.onError(error);
        this[Symbol.dispose]();
      },
    );
  }

  #send(script: Script, args: readonly (string | number)[]): Promise<unknown> {
    return this.#parts.connection.run(script, [this.#flightKey], [this.#id, ...args]);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#renewal[Symbol.dispose]();
    this.#parts.onEnd(this);
  }
}
