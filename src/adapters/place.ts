/**
 * One adapter at one replica: its stage, its leases, and what its use was. The table of what may follow what is here; a
 * move that is not in it is a bug and throws.
 *
 *     gone ─▶ staged ─▶ loading ─▶ verifying ─▶ resident ─▶ draining ─▶ gone | failed ─▶ gone (published again)
 *               └▶ gone    └────────────┴──▶ draining (what failed is unloaded, too)
 */
import type { AdapterLease, AdapterRecord, ResolvedAdapter } from '../core/adapter.ts';
import { type AdapterAddress, adapterId } from '../core/adapter.ts';
import { invariant } from '../lib/invariant.ts';
import type { PlanEntry } from './room.ts';
import { UseRate } from './use-rate.ts';
import type { AdapterStage, ResidencyView } from './views.ts';
import type { Payer } from './worth.ts';

const NEXT: Readonly<Record<AdapterStage, readonly AdapterStage[]>> = {
  gone: ['staged', 'loading', 'draining'],
  staged: ['loading', 'gone'],
  loading: ['verifying', 'draining'],
  verifying: ['resident', 'draining'],
  resident: ['draining', 'gone'],
  draining: ['gone', 'failed'],
  failed: ['gone', 'draining'],
};

const TIER_KEPT_MS = 60_000;

export class Place {
  readonly record: AdapterRecord;
  readonly address: AdapterAddress;
  readonly bytes: number;
  readonly #rate = new UseRate();
  #stage: AdapterStage = 'gone';
  #leases = 0;
  #tier = 1;
  #tierAtMonoMs = Number.NEGATIVE_INFINITY;
  /** Rises with every move: what an answer was asked for may be over when it comes. */
  moves = 0;
  reason: string | null = null;
  /** What pays for its coming. */
  payer: Payer = 'spread';
  /** Where it goes when it is unloaded. */
  endsAs: 'gone' | 'failed' = 'gone';
  claimedBy: string | null = null;
  isUnloading = false;
  /** Its own, since it was resident last: they end in `failed`. */
  failures = 0;
  /** All in a row, also those that were not its fault: they space the tries. */
  setbacks = 0;
  unloadFailures = 0;
  notBeforeMonoMs = Number.NEGATIVE_INFINITY;
  residentSinceMonoMs = 0;
  lastUsedMonoMs = Number.NEGATIVE_INFINITY;
  hasSpoken = false;
  loadMs: number | null = null;
  verifyMs: number | null = null;

  constructor(record: AdapterRecord, address: AdapterAddress) {
    this.record = record;
    this.address = address;
    // Which of the two the engine holds is its own business; the larger one is the safe figure.
    this.bytes = Math.max(record.bytes, record.ggufBytes);
  }

  get engineName(): string {
    return this.address.engineName;
  }

  get id(): string {
    return adapterId(this.record);
  }

  get stage(): AdapterStage {
    return this.#stage;
  }

  get leases(): number {
    return this.#leases;
  }

  move(stage: AdapterStage, reason: string | null): void {
    invariant(
      NEXT[this.#stage].includes(stage),
      `${this.engineName} goes from ${this.#stage} to ${stage} (${reason ?? 'no reason'})`,
    );
    // Of what the engine has lost lines may still hold leases; they end with the line.
    invariant(
      stage !== 'gone' || this.#stage !== 'draining' || this.#leases === 0,
      'a lease on what is unloaded',
    );
    this.#stage = stage;
    this.reason = reason;
    this.moves += 1;
    if (stage !== 'draining') this.claimedBy = null;
  }

  /** Null unless it is resident. `onRelease` is called once; `onLost` when the engine did not know it. */
  lease(
    adapter: ResolvedAdapter,
    on: {
      readonly nowMonoMs: () => number;
      readonly onRelease: () => void;
      readonly onLost: () => void;
    },
  ): AdapterLease | null {
    if (this.#stage !== 'resident') return null;
    this.#leases += 1;
    this.#used(on.nowMonoMs());
    const { moves } = this;
    let isHeld = true;
    return {
      address: this.address,
      adapter,
      lost: () => {
        // Of the copy that it was lent; one that was loaded anew is another one.
        if (this.moves === moves) on.onLost();
      },
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#leases -= 1;
        this.lastUsedMonoMs = on.nowMonoMs();
        on.onRelease();
      },
    };
  }

  /** What lines did while it was not here counts: else whatever has just come would look unused. */
  expect(usesPerSecond: number, nowMonoMs: number): void {
    this.#rate.expect(usesPerSecond, nowMonoMs);
  }

  /** Somebody of this tier uses or wants it. The highest of the last minute counts. */
  wantedBy(tier: number, nowMonoMs: number): void {
    if (tier < this.#tier && nowMonoMs - this.#tierAtMonoMs < TIER_KEPT_MS) return;
    this.#tier = tier;
    this.#tierAtMonoMs = nowMonoMs;
  }

  toPlan(nowMonoMs: number): PlanEntry {
    return {
      engineName: this.engineName,
      stage: this.#stage,
      leases: this.#leases,
      bytes: this.bytes,
      residentSinceMonoMs: this.residentSinceMonoMs,
      lastUsedMonoMs: Math.max(this.lastUsedMonoMs, this.residentSinceMonoMs),
      rate: this.#rate.at(nowMonoMs),
      tier: this.#tier,
      loadMs: (this.loadMs ?? 0) + (this.verifyMs ?? 0),
      notBeforeMonoMs: this.notBeforeMonoMs,
      claimedBy: this.claimedBy,
    };
  }

  view(nowMonoMs: number, isPinned: boolean): ResidencyView {
    return {
      id: this.id,
      engineName: this.engineName,
      stage: this.#stage,
      leases: this.#leases,
      isPinned,
      bytes: this.bytes,
      idleMs: this.hasSpoken ? Math.max(0, Math.round(nowMonoMs - this.lastUsedMonoMs)) : null,
      loadMs: this.loadMs,
      verifyMs: this.verifyMs,
      failures: this.failures,
      reason: this.reason,
    };
  }

  #used(nowMonoMs: number): void {
    this.#rate.used(nowMonoMs);
    this.lastUsedMonoMs = nowMonoMs;
    this.hasSpoken = true;
  }
}
