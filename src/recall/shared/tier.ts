/**
 * The shared tier in Valkey or Redis: it connects questions, flights and what is to be kept. Whatever is wrong with the
 * server, a question is answered within `waitMs` and says that there is nothing; what comes back is decoded as untrusted.
 */
import type { Clock, Logger, Random } from '../../core/runtime.ts';
import type { SharedLook, SharedTier } from '../shared-tier.ts';
import type { Variant } from '../variant.ts';
import type { SharedAddress } from './address.ts';
import { Connection, NotAsked } from './connection.ts';
import { FaultBook, faultOf, faultOfReply, type SharedFault } from './faults.ts';
import { forgetKeys } from './forget.ts';
import { inTime } from './in-time.ts';
import { Keeper } from './keeper.ts';
import { HeldLease } from './lease.ts';
import { Mirrors } from './mirrors.ts';
import type { SharedRecallOptions } from './options.ts';
import { Patience } from './patience.ts';
import { type QuestionKeys, Questions } from './questions.ts';

const CLOSE_WAIT_MS = 200;

export interface SharedTierParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Told of each fault, for the metrics. Must not throw. */
  readonly onFault: (fault: SharedFault) => void;
}

/** Returns at once; the server is reached in the background, or not. Close it: it holds connections. */
export function openSharedTier(
  options: SharedRecallOptions,
  address: SharedAddress,
  parts: SharedTierParts,
): SharedTier {
  return new RedisTier(options, address, parts);
}

class RedisTier implements SharedTier {
  readonly #options: SharedRecallOptions;
  readonly #clock: Clock;
  readonly #faults: FaultBook;
  readonly #connection: Connection;
  readonly #patience: Patience;
  readonly #questions: Questions;
  readonly #mirrors: Mirrors;
  readonly #keeper: Keeper;
  readonly #leases = new Set<HeldLease>();
  #isClosed = false;

  constructor(options: SharedRecallOptions, address: SharedAddress, parts: SharedTierParts) {
    const { clock, random, log, onFault } = parts;
    const { leaseMs, waitMs, entryBytesMax, unansweredMax, queuedMax, restMs } = options;
    const inbox = `${options.keyPrefix}i:${random.id('gw')}`;
    const onError = (error: unknown) => this.#onError(error);
    this.#options = options;
    this.#clock = clock;
    this.#faults = new FaultBook({ log, shown: address.shown, onFault });
    const faults = this.#faults;
    this.#connection = new Connection({
      address,
      random,
      inbox,
      unansweredMax,
      onMessage: (text) => this.#mirrors.hear(text),
      onReady: () => this.#keeper.send(),
      onLost: () => this.#onLost(),
      onError: (error) => {
        const { fault, code } = faultOf(error);
        if (!this.#isClosed) faults.tell(fault, code);
      },
    });
    const connection = this.#connection;
    this.#patience = new Patience({
      clock,
      random,
      restMs,
      ping: () =>
        inTime(connection.ping(), waitMs, clock).then(
          (answer) => answer !== 'late',
          () => false,
        ),
      onRest: () => faults.tell('resting'),
      onAwake: () => {
        faults.reached();
        this.#keeper.send();
      },
    });
    const patience = this.#patience;
    const bounds = { waitMs, leaseMs, entryBytesMax };
    this.#questions = new Questions({ connection, patience, faults, clock, random, ...bounds, onError });
    const onMalformed = () => faults.note({ fault: 'malformed' });
    this.#mirrors = new Mirrors({ connection, clock, inbox, leaseMs, onError, onMalformed });
    this.#keeper = new Keeper({
      connection,
      queuedMax,
      entryBytesMax,
      isResting: () => patience.isResting,
      onKept: (words) => this.#onKept(words),
      onError,
      onDropped: () => faults.note({ fault: 'dropped' }),
    });
  }

  get isReachable(): boolean {
    return this.#connection.isReady && this.#connection.hears && !this.#patience.isResting;
  }

  async look(key: string, mayLead: boolean, signal: AbortSignal): Promise<SharedLook> {
    const isGone = () => signal.aborted || this.#isClosed;
    if (isGone()) return { kind: 'away' };
    if (!this.#connection.isReady) return this.#away('unreachable');
    if (this.#patience.isResting) return this.#away('resting');
    const keys = this.#keysOf(key);
    const answer = await this.#questions.ask(keys, mayLead, isGone);
    if (answer.kind === 'lead') return { kind: 'lead', lease: this.#leaseOf(keys.flight, answer.flightId) };
    if (answer.kind !== 'join') return answer;
    // Who cannot hear a flight does not wait for it.
    if (!this.#connection.hears) return { kind: 'nothing' };
    return { kind: 'join', flight: this.#mirrors.of(keys.flight, answer.flightId) };
  }

  keep(
    key: string,
    variant: Variant,
    limits: { readonly variantsMax: number; readonly ttlMs: number },
  ): void {
    if (!this.#isClosed) this.#keeper.keep(key, this.#keysOf(key).entry, variant, limits);
  }

  async forget(npcId: string | null, signal: AbortSignal): Promise<number> {
    this.#keeper.forget((key) => npcId === null || key.startsWith(`${npcId}:`));
    return await forgetKeys(this.#connection, this.#options.keyPrefix, npcId, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    for (const lease of [...this.#leases]) lease[Symbol.dispose]();
    this.#isClosed = true;
    this.#patience[Symbol.dispose]();
    this.#mirrors.lose();
    await inTime(this.#connection.idle(), CLOSE_WAIT_MS, this.#clock);
    this.#connection.close();
  }

  #leaseOf(flightKey: string, flightId: string): HeldLease {
    const lease = new HeldLease(
      {
        connection: this.#connection,
        clock: this.#clock,
        leaseMs: this.#options.leaseMs,
        onError: (error) => this.#onError(error),
        onEnd: (ended) => this.#leases.delete(ended),
      },
      flightKey,
      flightId,
    );
    this.#leases.add(lease);
    return lease;
  }

  /** In braces what one server of several must hold together. */
  #keysOf(key: string): QuestionKeys {
    const { keyPrefix } = this.#options;
    return { entry: `${keyPrefix}v:{${key}}`, flight: `${keyPrefix}f:{${key}}` };
  }

  #away(fault: SharedFault): SharedLook {
    this.#faults.count(fault);
    return { kind: 'away' };
  }

  #onLost(): void {
    this.#mirrors.lose();
    if (!this.#isClosed) this.#faults.tell('unreachable');
  }

  #onError(error: unknown): void {
    if (error instanceof NotAsked) this.#faults.count(error.fault);
    else if (!this.#connection.isReady) this.#faults.count('unreachable');
    else this.#faults.note(faultOf(error));
  }

  /** `words`: one of our faults, or the server's own. */
  #onKept(words: string): void {
    if (words === '') this.#faults.written();
    else this.#faults.note(faultOfReply(words));
  }
}
