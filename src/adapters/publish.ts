/**
 * How a version comes to serve, and goes: registered and fitting → desired → loaded and verified where it must be → the tag
 * moves in one step → the version before drains and is given up. Until the tag moves nothing has changed for any line, and
 * a failure puts the document back; after it nothing can fail any more, only take its time.
 *
 * A gateway that dies in between leaves a version that is published and that no tag stands at. It harms nobody: no line
 * means it, it is loaded only by who names it, and publishing it again goes on from there.
 */
import {
  type AdapterRecord,
  type AdapterStore,
  type AdapterTag,
  adapterId,
  type DesiredAdapters,
  engineNameOf,
} from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger } from '../core/runtime.ts';
import {
  changeDesired,
  type DesiredChange,
  forgetFailure,
  inOrder,
  moveTag,
  noteFailure,
  pinVersion,
  publishedEntry,
  publishVersion,
  retireVersion,
  taggedVersion,
  tagsOf,
  unpublishVersion,
} from './desired.ts';
import type { Targets } from './holdings.ts';
import type { AdaptersOptions } from './options.ts';
import type { Residency } from './residency.ts';
import { withinTime } from './time-limit.ts';
import type { AdapterProgress } from './views.ts';

export interface PublisherParts {
  readonly residency: Residency;
  readonly store: AdapterStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly options: Pick<AdaptersOptions, 'pollMs'>;
}

type Version = Pick<AdapterRecord, 'name' | 'version'>;

export type OnProgress = (progress: AdapterProgress) => void;

/** Every try of a load and its verification, on several replicas one after the other. */
const VERIFIED_WITHIN_MS = 900_000;
/** Running lines end within their deadlines; who swaps does not wait longer for them than this. */
const DRAINED_WITHIN_MS = 60_000;

export class Publisher {
  readonly #parts: PublisherParts;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /**
   * Loads and verifies the version, then lets the tag stand at it: `tag`, or `stable` for the first version of a name; a
   * further one published without a tag is there for who names it. `pin` pins it; without it a pin stays as it is. Progress
   * `switching` is the moment from which new lines use it. Resolves when the version that the tag left has drained, or
   * after a minute. Throws `unknown_adapter`, `adapter_incompatible`, `no_room`, `not_ready`, `adapter_failed`,
   * `adapter_busy`, `store_unavailable`; then the tag has not moved. Aborting before it moves undoes all and rejects.
   */
  async publish(
    version: Version,
    options: { readonly tag?: AdapterTag | null; readonly pin?: boolean },
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const { residency, store, clock, log } = this.#parts;
    const startedMonoMs = clock.monotonicMs();
    const id = adapterId(version);
    const record = await this.#record(version);
    const known = await store.desired();
    residency.take(known);
    const tag = options.tag ?? (taggedVersion(known, record.name, 'stable') === null ? 'stable' : null);
    const leaving = tag === null ? null : await this.#leaving(known, record, tag);
    const servedAt = leaving === null ? [] : residency.residentAt(engineNameOf(leaving));
    // Wherever the version before answers at once, the next one must, too; and it must not make room for it.
    const targets = servedAt.length === 0 ? 'one' : servedAt;
    const wasPublished = publishedEntry(known, id) !== null;
    const publish = publishVersion(record, { isPinned: options.pin || undefined, atMs: clock.nowMs() });
    const done = { isDesired: false };
    let left: string | null = null;
    try {
      using _keepBefore = leaving === null ? null : residency.keep(leaving, servedAt);
      using _keep = residency.keep(record, targets);
      await residency.requireRoom(record);
      await this.#change(publish);
      done.isDesired = true;
      await this.#requireSame(record);
      await this.#verified(record, targets, onProgress, signal);
      signal.throwIfAborted();
      const move = tag === null ? publish : inOrder(publish, moveTag(record.name, tag, record.version));
      await this.#change((desired) => {
        left = tag === null ? null : (taggedVersion(desired, record.name, tag)?.version ?? null);
        return inOrder(move, forgetFailure(id))(desired);
      });
    } catch (error) {
      await this.#undo(record, done.isDesired && !wasPublished, error);
      throw error;
    }
    const readyMs = Math.round(clock.monotonicMs() - startedMonoMs);
    onProgress({ stage: 'switching', detail: tag === null ? `${id} is published` : `${tag} is ${id}` });
    log.info('adapter.published', { adapter: id, tag, before: left, readyMs });
    if (left !== null && left !== record.version)
      await this.#retire({ name: record.name, version: left }, onProgress, signal);
    onProgress({ stage: 'done', detail: `${id} serves` });
  }

  /** Publishes `to` and moves the tag from whatever it stands at. As `publish`. */
  swap(
    to: Version,
    { tag }: { readonly tag: AdapterTag },
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<void> {
    return this.publish(to, { tag }, onProgress, signal);
  }

  /** Throws `unknown_adapter` when it is not published. */
  async pin(version: Version, isPinned: boolean): Promise<void> {
    await this.#change(pinVersion(adapterId(version), isPinned));
  }

  /**
   * It is served no longer; lines that speak with it end. Resolves when it has drained, after a minute at most: the rest is
   * done without anybody's waiting. Throws `adapter_busy` when a tag stands at it and `force` is not set.
   */
  async unpublish(
    version: Version,
    { force }: { readonly force: boolean },
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const id = adapterId(version);
    const entry = publishedEntry(await this.#parts.store.desired(), id);
    await this.#change(unpublishVersion(id, { force }));
    if (entry !== null) await this.#drain(entry, onProgress, signal);
    onProgress({ stage: 'done', detail: `${id} is not served any more` });
  }

  async #record(version: Version): Promise<AdapterRecord> {
    const record = await this.#parts.store.get(version.name, version.version);
    if (record !== null) return record;
    throw new ServiceError('unknown_adapter', `${adapterId(version)} is not registered; add it first`);
  }

  /**
   * What is published cannot be removed; until then another gateway may have removed it, and added other bytes under its
   * name. Throws `unknown_adapter`, `adapter_conflict`.
   */
  async #requireSame(record: AdapterRecord): Promise<void> {
    const { digest } = await this.#record(record);
    if (digest === record.digest) return;
    throw new ServiceError(
      'adapter_conflict',
      `${adapterId(record)} was removed and added with other bytes while it was published; publish it again`,
      { details: { known: digest, given: record.digest } },
    );
  }

  /** The version that the tag will leave; null when there is none, or it is this one. */
  async #leaving(
    desired: DesiredAdapters,
    record: AdapterRecord,
    tag: AdapterTag,
  ): Promise<AdapterRecord | null> {
    const version = taggedVersion(desired, record.name, tag)?.version;
    if (version === undefined || version === record.version) return null;
    return await this.#parts.store.get(record.name, version);
  }

  async #verified(
    record: AdapterRecord,
    targets: Targets,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const where = targets === 'one' ? 'one engine' : targets.join(', ');
    onProgress({ stage: 'loading', detail: `loading and verifying on ${where}` });
    const limit = { what: `loading and verifying ${adapterId(record)}`, timeoutMs: VERIFIED_WITHIN_MS };
    await withinTime(this.#parts.clock, limit, signal, (within) =>
      this.#parts.residency.whenResident(record, targets, within),
    );
  }

  /**
   * What the tag left goes, once every gateway has seen that it did: until then some resolve to it. Never throws: lines
   * speak with the new one already.
   */
  async #retire(version: Version, onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    const { residency, clock, options, log } = this.#parts;
    const id = adapterId(version);
    try {
      onProgress({ stage: 'draining', detail: `${id} speaks its last lines` });
      await clock.sleep(2 * options.pollMs, signal).catch(() => {});
      const entry = publishedEntry(residency.desired, id);
      const desired = await this.#change(retireVersion(id));
      if (entry !== null && publishedEntry(desired, id) === null)
        await this.#drain(entry, onProgress, signal);
    } catch (error) {
      log.warn('adapter.not-retired', {
        adapter: id,
        reason: ServiceError.from(error).message,
        advice: 'it stays published without a tag; unload it by hand',
      });
    }
  }

  /** Never throws: lines that still run are not cut, and are waited for without us. */
  async #drain(
    entry: Pick<AdapterRecord, 'name' | 'version' | 'digest'>,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const id = adapterId(entry);
    onProgress({ stage: 'draining', detail: `${id} is unloaded when its last line has ended` });
    const limit = { what: `draining ${id}`, timeoutMs: DRAINED_WITHIN_MS };
    try {
      await withinTime(this.#parts.clock, limit, signal, (within) =>
        this.#parts.residency.whenGone(engineNameOf(entry), within),
      );
    } catch (error) {
      const reason = ServiceError.from(error).message;
      this.#parts.log.info('adapter.drains-on', { adapter: id, reason });
      onProgress({ stage: 'draining', detail: `${id} still speaks; it goes when its last line has ended` });
    }
  }

  /** Takes back what this call published, and notes why. Nothing stops it but the store. */
  async #undo(record: AdapterRecord, isOurs: boolean, error: unknown): Promise<void> {
    const id = adapterId(record);
    const reason = ServiceError.from(error).message;
    const { clock, log } = this.#parts;
    log.warn('adapter.publish-failed', { adapter: id, reason });
    const takeBack: DesiredChange = (desired) =>
      // Another publish of the same version may have come to its end meanwhile: then a tag stands at it.
      isOurs && tagsOf(desired, record).length === 0
        ? unpublishVersion(id, { force: false })(desired)
        : desired;
    await this.#change(inOrder(takeBack, noteFailure({ id, reason, atMs: clock.nowMs() }))).catch(
      (cause: unknown) =>
        log.error('adapter.publish-not-undone', {
          adapter: id,
          reason: ServiceError.from(cause).message,
          advice: 'it stays published without a tag; unload it when the store is back',
        }),
    );
  }

  /** Changes the document and lets this gateway know at once. */
  async #change(change: DesiredChange): Promise<DesiredAdapters> {
    const desired = await changeDesired(this.#parts.store, change);
    this.#parts.residency.take(desired);
    return desired;
  }
}
