/**
 * API keys. A token is `gr_<id>_<secret>`; the id finds the key, the secret proves it. Of the secret only SHA-256 is
 * kept: it is 256 random bits, not a password, so nobody can guess it from the hash and a slow hash would only make
 * each request slow. Requests are judged from memory (`key-ring.ts`), so this file runs seldom.
 */
import { createHash } from 'node:crypto';
import { ServiceError } from '../core/errors.ts';
import type { Random } from '../core/runtime.ts';
import { type ApiKey, KEY_SCOPES, type KeyScope, type KeyStore } from '../core/store.ts';
import type { Access } from './access.ts';
import { KeyRing, type StoredKey } from './key-ring.ts';
import { storable } from './storable.ts';
import type { ApiKeysTable } from './tables.ts';

const SECRET_BYTES = 32;
/** 40 bits are plenty to tell keys apart, and short enough to read aloud; the primary key refuses a collision. */
const ID_BYTES = 5;
const TOKEN = /^gr_([0-9a-f]{10})_([0-9a-f]{64})$/;
const LABEL_LENGTH_MAX = 100;
/** Every valid key is held in memory and read again every few seconds. */
const KEYS_MAX = 10_000;

export class StoredKeys implements KeyStore {
  readonly #access: Access;
  readonly #random: Random;
  readonly #ring: KeyRing;

  constructor(access: Access, random: Random) {
    this.#access = access;
    this.#random = random;
    this.#ring = new KeyRing({
      clock: access.clock,
      log: access.log,
      closing: access.closing,
      load: () => this.#loadActive(),
      markUsed: (id, atMs) => this.#markUsed(id, atMs),
    });
  }

  async create(options: {
    readonly label: string;
    readonly scopes: readonly KeyScope[];
  }): Promise<{ readonly key: ApiKey; readonly token: string }> {
    const label = storable(options.label.trim());
    if (label === '' || label.length > LABEL_LENGTH_MAX)
      throw new ServiceError(
        'bad_request',
        `the label of a key has ${label.length} characters; expected 1..${LABEL_LENGTH_MAX}, such as the name of the game server`,
      );
    const scopes = KEY_SCOPES.filter((scope) => options.scopes.includes(scope));
    if (scopes.length === 0)
      throw new ServiceError('bad_request', `a key needs a scope; expected ${KEY_SCOPES.join(' or ')}`);
    const active = await this.#access.run('count_keys', (db) =>
      db
        .selectFrom('api_keys')
        .select((row) => row.fn.countAll<number>().as('count'))
        .where('revoked_at_ms', 'is', null)
        .executeTakeFirstOrThrow(),
    );
    if (active.count >= KEYS_MAX)
      throw new ServiceError(
        'bad_request',
        `there are ${active.count} valid keys, which is the limit; revoke those that are not used (\`greenroom keys list\`)`,
      );
    const secret = hex(this.#random.bytes(SECRET_BYTES));
    const row: ApiKeysTable = {
      id: hex(this.#random.bytes(ID_BYTES)),
      secret_hash: hashOf(secret).toString('hex'),
      scopes_json: JSON.stringify(scopes),
      label,
      created_at_ms: this.#access.clock.nowMs(),
      last_used_at_ms: null,
      revoked_at_ms: null,
    };
    await this.#access.run('create_key', (db) => db.insertInto('api_keys').values(row).execute());
    this.#ring.forget();
    return { key: asKey(row), token: `gr_${row.id}_${secret}` };
  }

  async list(): Promise<readonly ApiKey[]> {
    const rows = await this.#access.run('list_keys', (db) =>
      db.selectFrom('api_keys').selectAll().orderBy('created_at_ms').orderBy('id').execute(),
    );
    return rows.map(asKey);
  }

  async revoke(id: string): Promise<boolean> {
    const result = await this.#access.run('revoke_key', (db) =>
      db
        .updateTable('api_keys')
        .set((row) => ({
          revoked_at_ms: row.fn.coalesce('revoked_at_ms', row.val(this.#access.clock.nowMs())),
        }))
        .where('id', '=', storable(id))
        .executeTakeFirst(),
    );
    this.#ring.forget();
    return result.numUpdatedRows > 0n;
  }

  async hasActive(): Promise<boolean> {
    const row = await this.#access.run('find_key', (db) =>
      db.selectFrom('api_keys').select('id').where('revoked_at_ms', 'is', null).limit(1).executeTakeFirst(),
    );
    return row !== undefined;
  }

  async authenticate(token: string): Promise<ApiKey | null> {
    const [, id, secret] = TOKEN.exec(token) ?? [];
    if (id === undefined || secret === undefined) return null;
    return await this.#ring.find(id, hashOf(secret));
  }

  /** Writes what is only in memory: when keys were used last. */
  async flush(): Promise<void> {
    await this.#ring.flush();
  }

  /** Resolves when nothing of this runs in the background; to be awaited after the store closed. */
  async ended(): Promise<void> {
    await this.#ring.ended();
  }

  async #loadActive(): Promise<readonly StoredKey[]> {
    const rows = await this.#access.run('load_keys', (db) =>
      db
        .selectFrom('api_keys')
        .selectAll()
        .where('revoked_at_ms', 'is', null)
        .orderBy('created_at_ms', 'desc')
        .limit(KEYS_MAX)
        .execute(),
    );
    return rows.map((row) => ({ key: asKey(row), secretHash: Buffer.from(row.secret_hash, 'hex') }));
  }

  async #markUsed(id: string, atMs: number): Promise<void> {
    await this.#access.run('mark_key_used', (db) =>
      db.updateTable('api_keys').set({ last_used_at_ms: atMs }).where('id', '=', id).execute(),
    );
  }
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function asKey(row: ApiKeysTable): ApiKey {
  const scopes: unknown = JSON.parse(row.scopes_json);
  return {
    id: row.id,
    label: row.label,
    scopes: KEY_SCOPES.filter((scope) => Array.isArray(scopes) && scopes.includes(scope)),
    createdAtMs: row.created_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
    revokedAtMs: row.revoked_at_ms,
  };
}
