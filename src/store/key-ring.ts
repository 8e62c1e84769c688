/**
 * The valid keys in memory. A request is judged without a query, and a store outage locks out nobody who is known: the
 * last good list goes on. Invariant: "unknown" is only ever said after the store was asked since the request came.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Clock, Logger } from '../core/runtime.ts';
import type { ApiKey } from '../core/store.ts';

export interface StoredKey {
  readonly key: ApiKey;
  readonly secretHash: Uint8Array;
}

export interface KeyRingOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborts when the store closes. */
  readonly closing: AbortSignal;
  /** All valid keys. Throws `store_unavailable`. */
  readonly load: () => Promise<readonly StoredKey[]>;
  readonly markUsed: (id: string, atMs: number) => Promise<void>;
}

/** A revocation in another process is seen after at most this. */
const REFRESH_EVERY_MS = 5_000;
/** Unknown tokens cause at most this many reads a second together: guessing costs the store nothing. */
const READS_PER_SECOND_MAX = 5;
/** When a key was used last is written at most this often. */
const MARK_EVERY_MS = 60_000;

export class KeyRing {
  readonly #options: KeyRingOptions;
  #keys: ReadonlyMap<string, StoredKey> | null = null;
  #loading: Promise<void> | null = null;
  #loadedMonoMs = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | null = null;
  /** Grows with each change made here, so that a list read before it is not taken for the newest. */
  #changes = 0;
  readonly #usedAtMs = new Map<string, number>();
  readonly #markedAtMs = new Map<string, number>();

  constructor(options: KeyRingOptions) {
    this.#options = options;
  }

  /** The key with this id, if the hash is its secret's; null when there is none. Throws `store_unavailable`. */
  async find(id: string, secretHash: Uint8Array): Promise<ApiKey | null> {
    this.#refreshing ??= this.#refreshForever();
    const known = this.#keys?.get(id) ?? (await this.#loadThenGet(id));
    if (known === undefined || !timingSafeEqual(known.secretHash, secretHash)) return null;
    this.#usedAtMs.set(id, this.#options.clock.nowMs());
    return known.key;
  }

  /** The next request asks the store: the keys were changed here. */
  forget(): void {
    this.#changes += 1;
    this.#keys = null;
  }

  /** Writes when keys were used, those not written within the last minute. Never rejects. */
  async flush(everyMs = 0): Promise<void> {
    const due = [...this.#usedAtMs].filter(
      ([id, atMs]) => atMs - (this.#markedAtMs.get(id) ?? Number.NEGATIVE_INFINITY) >= everyMs,
    );
    for (const [id, atMs] of due) {
      try {
        await this.#options.markUsed(id, atMs);
      } catch {
        // The store has logged it; the next round writes a later time.
        return;
      }
      this.#markedAtMs.set(id, atMs);
      if (this.#usedAtMs.get(id) === atMs) this.#usedAtMs.delete(id);
    }
  }

  /** Resolves when the background refresh has ended; it ends when the store closes. */
  async ended(): Promise<void> {
    await this.#refreshing;
  }

  /** One read serves all who wait, if it began after they came. */
  async #loadThenGet(id: string): Promise<StoredKey | undefined> {
    await this.#loading?.catch(() => {});
    this.#loading ??= this.#load().finally(() => {
      this.#loading = null;
    });
    await this.#loading;
    return this.#keys?.get(id);
  }

  async #load(): Promise<void> {
    const { clock, closing } = this.#options;
    const restMs = this.#loadedMonoMs + 1_000 / READS_PER_SECOND_MAX - clock.monotonicMs();
    if (this.#keys !== null && restMs > 0) await clock.sleep(restMs, closing);
    let keys: readonly StoredKey[];
    let changes: number;
    do {
      changes = this.#changes;
      keys = await this.#options.load();
    } while (changes !== this.#changes);
    this.#loadedMonoMs = clock.monotonicMs();
    this.#keys = new Map(keys.map((stored) => [stored.key.id, stored]));
    for (const id of this.#markedAtMs.keys()) if (!this.#keys.has(id)) this.#markedAtMs.delete(id);
  }

  /** Never rejects; ends when the store closes. */
  async #refreshForever(): Promise<void> {
    const { clock, closing } = this.#options;
    try {
      for (;;) {
        await clock.sleep(REFRESH_EVERY_MS, closing);
        await this.#load().catch(() => {
          // The store has logged it; the last good list goes on.
        });
        await this.flush(MARK_EVERY_MS);
      }
    } catch {
      // Closing: the only way out of the loop.
    }
  }
}
