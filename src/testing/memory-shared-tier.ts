/**
 * What gateways share, in this process: a small whole implementation, with which two gateways can be tested without a
 * server. It passes the suite of the real one. As there, the server's clock ends a lease, and a gateway whose own clock
 * stands still no longer renews what it holds.
 */
import { ServiceError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { LruCache } from '../lib/lru.ts';
import { Flight } from '../recall/flights.ts';
import type { FlightLease, SharedLook, SharedTier } from '../recall/shared-tier.ts';
import type { Variant } from '../recall/variant.ts';

interface Kept {
  readonly variant: Variant;
  readonly expiresMonoMs: number;
}

interface Aloft {
  readonly flight: Flight;
  expiry: Disposable;
}

const KEYS_MAX = 10_000;
const RENEWALS_A_LEASE = 3;

export interface MemorySharedServerOptions {
  readonly clock: Clock;
  readonly leaseMs: number;
}

export class MemorySharedServer {
  readonly #options: MemorySharedServerOptions;
  readonly #entries = new LruCache<string, readonly Kept[]>({ maxEntries: KEYS_MAX });
  readonly #aloft = new Map<string, Aloft>();
  /** True: nobody reaches it. */
  isAway = false;

  constructor(options: MemorySharedServerOptions) {
    this.#options = options;
  }

  /** A gateway's side of it. `clock` is the gateway's own. */
  open(clock: Clock = this.#options.clock): SharedTier {
    return new MemoryTier(this, clock, this.#options.leaseMs);
  }

  variantsOf(key: string): readonly Kept[] {
    const nowMonoMs = this.#options.clock.monotonicMs();
    return (this.#entries.get(key) ?? []).filter(({ expiresMonoMs }) => expiresMonoMs > nowMonoMs);
  }

  get nowMonoMs(): number {
    return this.#options.clock.monotonicMs();
  }

  keep(
    key: string,
    variant: Variant,
    limits: { readonly variantsMax: number; readonly ttlMs: number },
  ): void {
    const others = this.variantsOf(key).filter((kept) => kept.variant.id !== variant.id);
    const expiresMonoMs = this.nowMonoMs + limits.ttlMs;
    this.#entries.set(key, [...others, { variant, expiresMonoMs }].slice(-limits.variantsMax));
  }

  flightOf(key: string): Flight | null {
    return this.#aloft.get(key)?.flight ?? null;
  }

  begin(key: string): Flight {
    const flight = new Flight(() => {
      const aloft = this.#aloft.get(key);
      if (aloft?.flight !== flight) return;
      aloft.expiry[Symbol.dispose]();
      this.#aloft.delete(key);
    });
    this.#aloft.set(key, { flight, expiry: this.#expire(flight) });
    return flight;
  }

  renew(key: string, flight: Flight): void {
    const aloft = this.#aloft.get(key);
    if (aloft?.flight !== flight || this.isAway) return;
    aloft.expiry[Symbol.dispose]();
    aloft.expiry = this.#expire(flight);
  }

  forget(npcId: string | null): number {
    const isTheirs = (key: string) => npcId === null || key.startsWith(`${npcId}:`);
    const keys = [...this.#entries.keys()].filter(isTheirs);
    for (const key of keys) this.#entries.delete(key);
    for (const [key, { flight }] of [...this.#aloft]) if (isTheirs(key)) flight[Symbol.dispose]();
    return keys.length;
  }

  #expire(flight: Flight): Disposable {
    return this.#options.clock.timer(this.#options.leaseMs, () => flight[Symbol.dispose]());
  }
}

class MemoryTier implements SharedTier {
  readonly #server: MemorySharedServer;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #held = new Set<Disposable>();
  #isClosed = false;

  constructor(server: MemorySharedServer, clock: Clock, leaseMs: number) {
    this.#server = server;
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  get isReachable(): boolean {
    return !this.#server.isAway && !this.#isClosed;
  }

  look(key: string, mayLead: boolean, signal: AbortSignal): Promise<SharedLook> {
    return Promise.resolve(signal.aborted ? { kind: 'away' } : this.#look(key, mayLead));
  }

  keep(
    key: string,
    variant: Variant,
    limits: { readonly variantsMax: number; readonly ttlMs: number },
  ): void {
    if (this.isReachable) this.#server.keep(key, variant, limits);
  }

  forget(npcId: string | null, signal: AbortSignal): Promise<number> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.isReachable) return Promise.resolve(this.#server.forget(npcId));
    return Promise.reject(
      new ServiceError('store_unavailable', 'the shared tier is away; forget again when it is back'),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const lease of [...this.#held]) lease[Symbol.dispose]();
    return Promise.resolve();
  }

  #look(key: string, mayLead: boolean): SharedLook {
    if (!this.isReachable) return { kind: 'away' };
    const kept = this.#server.variantsOf(key);
    if (kept.length > 0) {
      const leftMs = Math.min(...kept.map(({ expiresMonoMs }) => expiresMonoMs - this.#server.nowMonoMs));
      return { kind: 'variants', variants: kept.map(({ variant }) => variant), leftMs };
    }
    const running = this.#server.flightOf(key);
    if (running !== null) return { kind: 'join', flight: running };
    return mayLead ? { kind: 'lead', lease: this.#lead(key) } : { kind: 'nothing' };
  }

  #lead(key: string): FlightLease {
    const flight = this.#server.begin(key);
    let isOver = false;
    const renew = () => {
      this.#server.renew(key, flight);
      renewal = this.#clock.timer(this.#leaseMs / RENEWALS_A_LEASE, renew);
    };
    let renewal = this.#clock.timer(this.#leaseMs / RENEWALS_A_LEASE, renew);
    const end = (how: () => void) => {
      if (isOver) return;
      isOver = true;
      renewal[Symbol.dispose]();
      this.#held.delete(lease);
      // Away, nobody hears of the end; the lease runs out.
      if (!this.#server.isAway) how();
    };
    const lease: FlightLease = {
      said: (text, source) => {
        if (isOver) return;
        if (this.#server.isAway) end(() => {});
        else {
          this.#server.renew(key, flight);
          flight.said({ text, source });
        }
      },
      landed: () => end(() => flight.landed()),
      [Symbol.dispose]: () => end(() => flight[Symbol.dispose]()),
    };
    this.#held.add(lease);
    return lease;
  }
}
