/**
 * The desired document and the records of what it publishes, as this gateway knows them. Every question of a dialogue is
 * answered from here; a store that is down changes nothing, and what this gateway changed itself is known at once.
 */
import {
  type AdapterAbsence,
  type AdapterRecord,
  type AdapterReference,
  type AdapterStore,
  adapterId,
  type DesiredAdapters,
  engineNameOf,
  type PublishedAdapter,
  parseAdapterReference,
  type ResolvedAdapter,
} from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Logger } from '../core/runtime.ts';
import { NOTHING_DESIRED, publishedEntry, taggedVersion, tagsOf } from './desired.ts';

export interface KnownAdapter {
  readonly published: PublishedAdapter;
  readonly isTagged: boolean;
  /** Null until the registry has told it. */
  readonly record: AdapterRecord | null;
}

/** References come from personas and are few; a flood of other ones must not fill memory. */
const RESOLVED_MAX = 10_000;

export class DesiredSnapshot {
  readonly #store: Pick<AdapterStore, 'desired' | 'get'>;
  readonly #log: Logger;
  #desired: DesiredAdapters = NOTHING_DESIRED;
  #adapters = new Map<string, KnownAdapter>();
  /** By id. Immutable, so never asked for twice. */
  #records = new Map<string, AdapterRecord>();
  #resolved = new Map<string, ResolvedAdapter | AdapterAbsence>();
  #isStoreLost = false;
  #isCurrent = false;
  /** Rises with every document taken, so that an answer that was under way before is not mistaken for news. */
  #taken = 0;

  constructor(parts: { readonly store: Pick<AdapterStore, 'desired' | 'get'>; readonly log: Logger }) {
    this.#store = parts.store;
    this.#log = parts.log;
  }

  get desired(): DesiredAdapters {
    return this.#desired;
  }

  /** Whether the store told it, the last time it was asked: else another gateway may have published what we never saw. */
  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** By engine name. */
  get adapters(): ReadonlyMap<string, KnownAdapter> {
    return this.#adapters;
  }

  resolve(reference: string): ResolvedAdapter | AdapterAbsence {
    const known = this.#resolved.get(reference);
    if (known !== undefined) return known;
    const found = this.#find(reference);
    if (this.#resolved.size >= RESOLVED_MAX) this.#resolved.clear();
    this.#resolved.set(reference, found);
    return found;
  }

  /** Takes a document that this gateway has made or read itself. False when a newer one is known. */
  take(desired: DesiredAdapters): boolean {
    if (desired.revision <= this.#desired.revision) return false;
    this.#set(desired);
    return true;
  }

  /** Says what a record is, so that it need not be asked for. */
  learn(record: AdapterRecord): void {
    this.#records.set(adapterId(record), record);
    this.#index();
  }

  /** Asks the store; resolves to whether anything is new. A store that does not answer leaves all as it is. */
  async refresh(): Promise<boolean> {
    try {
      const taken = this.#taken;
      const desired = await this.#store.desired();
      // A store that was put back to an earlier state counts, too; an answer that another change overtook does not.
      const isNews = desired.revision !== this.#desired.revision && taken === this.#taken;
      if (isNews) this.#set(desired);
      const hasLearnt = await this.#fetchRecords();
      if (this.#isStoreLost) this.#log.info('adapter.store-back', { revision: this.#desired.revision });
      this.#isStoreLost = false;
      this.#isCurrent = true;
      return isNews || hasLearnt;
    } catch (error) {
      if (!this.#isStoreLost)
        this.#log.warn('adapter.store-lost', {
          reason: ServiceError.from(error).message,
          revision: this.#desired.revision,
          advice: 'adapters go on as they were; nothing can be published meanwhile',
        });
      this.#isStoreLost = true;
      this.#isCurrent = false;
      return false;
    }
  }

  async #fetchRecords(): Promise<boolean> {
    let hasLearnt = false;
    for (const { published, record } of [...this.#adapters.values()]) {
      if (record !== null) continue;
      const found = await this.#store.get(published.name, published.version);
      if (found === null || found.digest !== published.digest) continue;
      this.#records.set(adapterId(found), found);
      hasLearnt = true;
    }
    if (hasLearnt) this.#index();
    return hasLearnt;
  }

  #set(desired: DesiredAdapters): void {
    this.#taken += 1;
    this.#desired = desired;
    this.#resolved.clear();
    this.#index();
  }

  #index(): void {
    const records = new Map<string, AdapterRecord>();
    this.#adapters = new Map(
      this.#desired.published.map((published) => {
        const id = adapterId(published);
        const record = this.#records.get(id);
        const known = record?.digest === published.digest ? record : null;
        if (known !== null) records.set(id, known);
        return [
          engineNameOf(published),
          { published, isTagged: tagsOf(this.#desired, published).length > 0, record: known },
        ];
      }),
    );
    this.#records = records;
  }

  #find(text: string): ResolvedAdapter | AdapterAbsence {
    let reference: AdapterReference;
    try {
      reference = parseAdapterReference(text);
    } catch {
      return 'unknown';
    }
    const { name } = reference;
    const tagged = 'tag' in reference ? taggedVersion(this.#desired, name, reference.tag) : null;
    const version = 'version' in reference ? reference.version : tagged?.version;
    const published =
      version === undefined ? null : publishedEntry(this.#desired, adapterId({ name, version }));
    if (published === null)
      return this.#desired.published.some((each) => each.name === name) ? 'unpublished' : 'unknown';
    return {
      id: adapterId(published),
      engineName: engineNameOf(published),
      generation: tagged?.generation ?? published.generation,
    };
  }
}
