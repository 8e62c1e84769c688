/**
 * Answers that must be given once. The insert of the record is the lock: of many equal requests at one instant, in one
 * process or several, one gets the right to answer and the others wait for its answer. The right is a lease that its
 * holder renews; the record of a process that was killed is taken over when the lease ends.
 *
 *   absent ── claim ──▶ in_progress ── complete ──▶ done ── 10 minutes ──▶ absent
 *     ▲                   │     ▲  └─ lease ended: claim by another (takeover)
 *     └──── abandon ──────┘     └─ renew
 *
 * Leases are compared by each process's own clock, so processes that share a PostgreSQL must agree on the time within a
 * few seconds; where they do not, an answer may be made twice, never lost.
 */
import { sql } from 'kysely';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Random } from '../core/runtime.ts';
import type {
  IdempotencyClaim,
  IdempotencyOutcome,
  IdempotencyStore,
  IdempotentRequest,
} from '../core/store.ts';
import { abortable, linkSignals } from '../lib/abort.ts';
import { invariant } from '../lib/invariant.ts';
import type { Access } from './access.ts';
import { storable } from './storable.ts';

/** How long an answer is kept (design §4). */
export const KEEP_MS = 10 * 60_000;
/** A killed holder delays its retry by at most this. */
const LEASE_MS = 10_000;
const RENEW_EVERY_MS = 3_000;
/** How often a waiter looks for an answer made by another process; one made here wakes it at once. */
const LOOK_EVERY_MS = 50;
const LOOK_EVERY_MAX_MS = 500;
const KEY_LENGTH_MAX = 255;
/** A reply has at most 512 tokens of text; anything near this is a mistake of ours. */
const REPLY_LENGTH_MAX = 1024 * 1024;

type Attempt =
  | { readonly kind: 'claimed' }
  | { readonly kind: 'done'; readonly replyJson: string }
  | { readonly kind: 'running' };

export class StoredIdempotency implements IdempotencyStore {
  readonly #access: Access;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Waiters of this process, woken when a claim of this process is settled. */
  readonly #waiters = new Map<string, Set<() => void>>();

  constructor(access: Access, random: Random) {
    this.#access = access;
    this.#clock = access.clock;
    this.#random = random;
  }

  async claim(request: IdempotentRequest, signal: AbortSignal): Promise<IdempotencyOutcome> {
    signal.throwIfAborted();
    const { length } = request.key;
    if (length === 0 || length > KEY_LENGTH_MAX)
      throw new ServiceError(
        'bad_request',
        `Idempotency-Key has ${length} characters; expected 1..${KEY_LENGTH_MAX}`,
      );
    const owner = this.#random.id('claim');
    for (let waitMs = LOOK_EVERY_MS; ; waitMs = Math.min(waitMs * 2, LOOK_EVERY_MAX_MS)) {
      const attempt = await this.#attempt(request, owner);
      if (attempt.kind === 'done') return { kind: 'replay', replyJson: attempt.replyJson };
      if (attempt.kind === 'claimed') {
        const claim = this.#holder(request, owner);
        if (!signal.aborted) return { kind: 'run', claim };
        await claim.abandon();
      }
      signal.throwIfAborted();
      await this.#settledOr(identity(request), waitMs, signal);
    }
  }

  async #attempt(request: IdempotentRequest, owner: string): Promise<Attempt> {
    const nowMs = this.#clock.nowMs();
    const apiKeyId = storable(request.apiKeyId);
    const clientKey = storable(request.key);
    return await this.#access.run('claim_idempotency', async (db): Promise<Attempt> => {
      const claimed = await sql<{ owner: string }>`
        insert into idempotency (api_key_id, client_key, body_digest, state, owner, lease_until_ms, reply_json, expires_at_ms)
        values (${apiKeyId}, ${clientKey}, ${request.bodyDigest}, 'in_progress', ${owner}, ${nowMs + LEASE_MS}, null, ${nowMs + KEEP_MS})
        on conflict (api_key_id, client_key) do update set
          body_digest = excluded.body_digest, state = excluded.state, owner = excluded.owner,
          lease_until_ms = excluded.lease_until_ms, reply_json = null, expires_at_ms = excluded.expires_at_ms
        where idempotency.expires_at_ms <= ${nowMs}
          or (idempotency.state = 'in_progress' and idempotency.lease_until_ms <= ${nowMs}
            and idempotency.body_digest = excluded.body_digest)
        returning owner`.execute(db);
      if (claimed.rows.length > 0) return { kind: 'claimed' };
      const record = await db
        .selectFrom('idempotency')
        .select(['body_digest', 'state', 'reply_json'])
        .where('api_key_id', '=', apiKeyId)
        .where('client_key', '=', clientKey)
        .executeTakeFirst();
      // Abandoned between the two statements: the next look claims it.
      if (record === undefined) return { kind: 'running' };
      if (record.body_digest !== request.bodyDigest)
        throw new ServiceError(
          'idempotency_conflict',
          'this Idempotency-Key came with another body in the last 10 minutes; send a new key with a new request',
        );
      return record.state === 'done' && record.reply_json !== null
        ? { kind: 'done', replyJson: record.reply_json }
        : { kind: 'running' };
    });
  }

  /** The right to answer: renews its lease until it is settled or the store closes. */
  #holder(request: IdempotentRequest, owner: string): IdempotencyClaim {
    const link = linkSignals(this.#access.closing);
    const renewing = this.#renew(owner, request, link.signal);
    const settle = async <T>(write: () => Promise<T>): Promise<T> => {
      invariant(!link.signal.aborted || this.#access.closing.aborted, 'an idempotency claim is settled once');
      link.abort(new ServiceError('internal', 'the claim is settled'));
      link[Symbol.dispose]();
      await renewing;
      try {
        return await write();
      } finally {
        this.#wake(identity(request));
      }
    };
    return {
      complete: (replyJson) => settle(() => this.#complete(request, owner, replyJson)),
      abandon: () => settle(() => this.#abandon(request, owner)),
    };
  }

  async #complete(request: IdempotentRequest, owner: string, replyJson: string): Promise<boolean> {
    invariant(
      replyJson.length <= REPLY_LENGTH_MAX,
      `a reply of ${replyJson.length} characters is kept for its Idempotency-Key; the limit is ${REPLY_LENGTH_MAX}`,
    );
    const result = await this.#access.run('complete_idempotency', (db) =>
      db
        .updateTable('idempotency')
        .set({
          state: 'done',
          reply_json: storable(replyJson),
          expires_at_ms: this.#clock.nowMs() + KEEP_MS,
        })
        .where('api_key_id', '=', storable(request.apiKeyId))
        .where('client_key', '=', storable(request.key))
        .where('owner', '=', owner)
        .executeTakeFirst(),
    );
    return result.numUpdatedRows > 0n;
  }

  async #abandon(request: IdempotentRequest, owner: string): Promise<void> {
    await this.#access.run('abandon_idempotency', (db) =>
      db
        .deleteFrom('idempotency')
        .where('api_key_id', '=', storable(request.apiKeyId))
        .where('client_key', '=', storable(request.key))
        .where('owner', '=', owner)
        .where('state', '=', 'in_progress')
        .execute(),
    );
  }

  /** Never rejects: a lease that cannot be renewed is only lost, and `complete` then says so. */
  async #renew(owner: string, request: IdempotentRequest, settled: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#clock.sleep(RENEW_EVERY_MS, settled);
        await this.#access
          .run('renew_idempotency', (db) =>
            db
              .updateTable('idempotency')
              .set({ lease_until_ms: this.#clock.nowMs() + LEASE_MS })
              .where('api_key_id', '=', storable(request.apiKeyId))
              .where('client_key', '=', storable(request.key))
              .where('owner', '=', owner)
              .execute(),
          )
          .catch((error: unknown) => {
            this.#access.log.warn('idempotency.renew_failed', { reason: String(error) });
          });
      }
    } catch {
      // Settled or closing: the only way out of the loop.
    }
  }

  /** Resolves when a claim of this process on `id` is settled, or after `waitMs`. Rejects when the signal aborts. */
  async #settledOr(id: string, waitMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiters = this.#waiters.get(id) ?? new Set();
    this.#waiters.set(id, waiters.add(resolve));
    using _timer = this.#clock.timer(waitMs, resolve);
    try {
      await abortable(promise, signal);
    } finally {
      waiters.delete(resolve);
      if (waiters.size === 0 && this.#waiters.get(id) === waiters) this.#waiters.delete(id);
    }
  }

  #wake(id: string): void {
    for (const resolve of this.#waiters.get(id) ?? []) resolve();
  }
}

function identity(request: IdempotentRequest): string {
  return JSON.stringify([request.apiKeyId, request.key]);
}
