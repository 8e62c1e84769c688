/** The registry in memory: what a store of one process does, without a file. It can be taken away and given back. */
import {
  type AdapterFingerprint,
  type AdapterPage,
  type AdapterRecord,
  type AdapterStore,
  adapterId,
  type DesiredAdapters,
} from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';

export class MemoryAdapterStore implements AdapterStore {
  readonly #records = new Map<string, AdapterRecord>();
  readonly #fingerprints = new Map<string, AdapterFingerprint>();
  #desired: DesiredAdapters = { revision: 0, published: [], tags: {}, failures: [], removing: [] };
  isDown = false;

  async add(record: AdapterRecord): Promise<'added' | 'known'> {
    await this.#reach();
    const known = this.#records.get(adapterId(record));
    if (known !== undefined && known.digest !== record.digest)
      throw new ServiceError(
        'adapter_conflict',
        `${adapterId(record)} stands for digest ${known.digest.slice(0, 12)}…; these bytes have ${record.digest.slice(0, 12)}…`,
      );
    if (known === undefined) this.#records.set(adapterId(record), record);
    return known === undefined ? 'added' : 'known';
  }

  async get(name: string, version: string): Promise<AdapterRecord | null> {
    await this.#reach();
    return this.#records.get(adapterId({ name, version })) ?? null;
  }

  async list(ask: {
    readonly name?: string;
    readonly after?: string;
    readonly limit: number;
  }): Promise<AdapterPage> {
    await this.#reach();
    const after = ask.after === undefined ? null : placeOf(ask.after);
    const all = [...this.#records.values()]
      .filter(({ name }) => ask.name === undefined || name === ask.name)
      .filter((record) => after === null || inOrder(record, after) > 0)
      .sort(inOrder);
    const records = all.slice(0, ask.limit);
    const last = records.at(-1);
    const next = last === undefined ? '' : `${last.name} ${last.version} ${last.addedAtMs}`;
    return { records, next: records.length < all.length ? next : null };
  }

  async count(): Promise<number> {
    await this.#reach();
    return this.#records.size;
  }

  async byDigest(digest: string): Promise<readonly AdapterRecord[]> {
    await this.#reach();
    return [...this.#records.values()].filter((record) => record.digest === digest);
  }

  async remove(name: string, version: string): Promise<boolean> {
    await this.#reach();
    return this.#records.delete(adapterId({ name, version }));
  }

  async desired(): Promise<DesiredAdapters> {
    await this.#reach();
    return this.#desired;
  }

  async replaceDesired(next: DesiredAdapters): Promise<boolean> {
    await this.#reach();
    if (this.#desired.revision !== next.revision - 1) return false;
    this.#desired = next;
    return true;
  }

  async fingerprint(digest: string, scope: string): Promise<AdapterFingerprint | null> {
    await this.#reach();
    return this.#fingerprints.get(`${digest} ${scope}`) ?? null;
  }

  async keepFingerprint(fingerprint: AdapterFingerprint): Promise<AdapterFingerprint> {
    await this.#reach();
    const key = `${fingerprint.digest} ${fingerprint.scope}`;
    const kept = this.#fingerprints.get(key) ?? fingerprint;
    this.#fingerprints.set(key, kept);
    return kept;
  }

  async #reach(): Promise<void> {
    await Promise.resolve();
    if (this.isDown) throw new ServiceError('store_unavailable', 'the store is down');
  }
}

type InList = Pick<AdapterRecord, 'name' | 'addedAtMs' | 'version'>;

/** By name, then by age. */
function inOrder(one: InList, other: InList): number {
  if (one.name !== other.name) return one.name < other.name ? -1 : 1;
  if (one.addedAtMs !== other.addedAtMs) return one.addedAtMs - other.addedAtMs;
  return one.version === other.version ? 0 : one.version < other.version ? -1 : 1;
}

/** The place in the list outlives the row that stood there. */
function placeOf(after: string): InList {
  const [, name, version, addedAtMs] = /^([^ ]+) ([^ ]+) (\d+)$/.exec(after) ?? [];
  if (name === undefined || version === undefined)
    throw new ServiceError('bad_request', `${JSON.stringify(after)} is no place in a list`);
  return { name, version, addedAtMs: Number(addedAtMs) };
}
