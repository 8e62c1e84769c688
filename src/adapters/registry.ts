/**
 * What adapters there are. An adapter comes in by being fetched, staged, checked against its base and recorded, in this
 * order, so that a record always has its files; it goes out by being marked, struck off the record, and its files deleted
 * when no other name has the same bytes. Invariant: while it is registered, a version never stands for other bytes, and what
 * is published is never removed.
 */
import {
  ADAPTER_NAME,
  ADAPTER_TAGS,
  ADAPTER_VERSION,
  type AdapterRecord,
  type AdapterStore,
  adapterId,
  parseAdapterReference,
} from '../core/adapter.ts';
import { ServiceError } from '../core/errors.ts';
import type { Clock, Logger, Random } from '../core/runtime.ts';
import { percent } from '../models/progress.ts';
import type { AdapterArtefact } from './artefact/artefact.ts';
import type { BaseDescription } from './artefact/base.ts';
import { verifyArtefact } from './artefact/describe.ts';
import { stageAdapter } from './artefact/stage.ts';
import { changeDesired, type DesiredChange, endRemoving, startRemoving, taggedVersion } from './desired.ts';
import type { AdaptersOptions } from './options.ts';
import { absoluteSource, describeSource, formatSource, parseSource } from './sources/address.ts';
import { type FetchedAdapter, fetchAdapter } from './sources/fetch.ts';
import type { FetchProgress } from './sources/fetched.ts';
import { StagedFiles } from './staged-files.ts';
import type { AdapterProgress } from './views.ts';

/** Models that adapters may be for. */
export interface KnownBases {
  /** As the configuration names them; the first is meant where none is named. */
  names(): readonly string[];
  /** Null: nobody knows it. Throws `model_invalid`, `model_unavailable` when its file cannot be read. */
  find(name: string, signal: AbortSignal): Promise<KnownBase | null>;
}

export interface KnownBase {
  readonly description: BaseDescription;
  /** SHA-256 of its file; null where it is not known. */
  readonly digest: string | null;
}

export interface AddAdapter {
  /** A path on the gateway's machine, or an address: see sources/address.ts. */
  readonly source: string;
  readonly name: string;
  readonly version: string;
  /** Null: the first base of the configuration. */
  readonly base: string | null;
  /** Of the weights file as it lies at the source. */
  readonly sha256: string | null;
  readonly licence: string | null;
  readonly notes: string | null;
  readonly trainingRun: string | null;
  readonly addedBy: string;
}

export interface AddedAdapter {
  readonly record: AdapterRecord;
  /** False: this very adapter was registered already. */
  readonly isNew: boolean;
  /** Other names of the same bytes. */
  readonly sameBytes: readonly string[];
}

export interface RegistryParts {
  readonly store: AdapterStore;
  /** The adapters directory, absolute. */
  readonly root: string;
  readonly options: Pick<AdaptersOptions, 'rankMax' | 'artefactBytesMax'>;
  readonly bases: KnownBases;
  /** What relative paths of sources start from. */
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export type OnAdapterProgress = (progress: AdapterProgress) => void;

/** Somebody may delete the files of a digest while another name of it is added; twice is no coincidence. */
const STAGE_ATTEMPTS = 3;
/** No publish is so slow that it began before as many removals. */
const REMOVED_MARKS_MAX = 256;

export class AdapterRegistry {
  readonly files: StagedFiles;
  readonly #parts: RegistryParts;
  #hasSwept = false;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.files = new StagedFiles(parts);
  }

  get store(): AdapterStore {
    return this.#parts.store;
  }

  /**
   * Looks at what can be seen without fetching. Throws `bad_request` for a name, version, source or digest that is none.
   */
  check(request: AddAdapter): void {
    const { name, version } = request;
    if (!ADAPTER_NAME.test(name))
      throw new ServiceError(
        'bad_request',
        `${JSON.stringify(name.slice(0, 80))} is no name of an adapter; expected 1..64 of a-z, 0-9, dot, dash and underscore, as in lich`,
      );
    if (!ADAPTER_VERSION.test(version) || ADAPTER_TAGS.some((tag) => tag === version))
      throw new ServiceError(
        'bad_request',
        `${JSON.stringify(version.slice(0, 80))} is no version of an adapter; expected 1..32 letters, digits, dots, dashes and underscores, as in 7 or 2026-05, and none of ${ADAPTER_TAGS.join(', ')}`,
      );
    if (request.sha256 !== null && !/^[0-9a-fA-F]{64}$/.test(request.sha256))
      throw new ServiceError('bad_request', 'sha256 must be 64 hexadecimal digits, of the weights file');
    parseSource(request.source);
  }

  /**
   * Brings an adapter in. Throws what `check` throws; `adapter_unavailable` (the source), `adapter_invalid`,
   * `digest_mismatch`, `adapter_incompatible` (another base), `adapter_conflict` (the name and version stand for other
   * bytes), `out_of_space`, `store_unavailable`. Then no record is left, and what was fetched is kept only where a next try
   * can go on from it. Aborting rejects with the signal's reason.
   */
  async add(request: AddAdapter, onProgress: OnAdapterProgress, signal: AbortSignal): Promise<AddedAdapter> {
    this.check(request);
    const baseName = request.base ?? this.#parts.bases.names()[0] ?? '';
    const base = await this.#base(baseName, signal);
    const { artefact, fetched, kept } = await this.#bring(request, base, onProgress, signal, (staged) =>
      this.#record(request, baseName, base, staged),
    );
    const { record, isNew } = kept;
    await this.#sweep(signal);
    const same = (await this.store.byDigest(artefact.digest)).map(adapterId);
    this.#parts.log.info('adapter.added', {
      adapter: adapterId(record),
      ...{ digest: artefact.digest, isNew, source: fetched.source.address, addedBy: request.addedBy },
    });
    return { record, isNew, sameBytes: same.filter((id) => id !== adapterId(record)) };
  }

  /** Throws `unknown_adapter` with the versions that there are. */
  async require(id: { readonly name: string; readonly version: string }): Promise<AdapterRecord> {
    const record = await this.store.get(id.name, id.version);
    if (record !== null) return record;
    const { records } = await this.store.list({ name: id.name, limit: 1_000 });
    const versions = records.slice(-5).map(adapterId).join(', ');
    throw new ServiceError(
      'unknown_adapter',
      `no adapter is registered as ${adapterId(id)}${versions === '' ? ` and none is called ${id.name}` : `; of ${id.name} there are ${versions}`}`,
    );
  }

  /**
   * The version that a reference stands for: `lich@7` as it is written, `lich@canary` and `lich` by their tag. Throws
   * `bad_request` for no reference, `unknown_adapter` for a tag that stands at no version.
   */
  async resolve(reference: string): Promise<{ readonly name: string; readonly version: string }> {
    const parsed = parseAdapterReference(reference);
    if ('version' in parsed) return parsed;
    const tagged = taggedVersion(await this.store.desired(), parsed.name, parsed.tag);
    if (tagged !== null) return { name: parsed.name, version: tagged.version };
    throw new ServiceError(
      'unknown_adapter',
      `${parsed.name}@${parsed.tag} stands at no version; name one, as in ${parsed.name}@7, or publish one with the tag ${parsed.tag}`,
    );
  }

  /**
   * Takes an adapter out. Throws `unknown_adapter`; `adapter_busy` while it is published, by this gateway or another. A
   * removal that broke off in the middle is ended by doing it again, or by the next start (`recover`).
   */
  async remove(id: { readonly name: string; readonly version: string }): Promise<void> {
    const record = await this.require(id);
    // A publish that was quicker refuses us; from here on every publish is refused, also one that looked the record up
    // before. The mark stays until the version is added anew.
    await changeDesired(this.store, markRemoved(adapterId(id)));
    await this.#strike(record);
  }

  /**
   * Reads every byte of the staged files and compares it with the digest. With `refetch`, files that are missing or damaged
   * are brought again from where they came from. Resolves to whether that was needed. Throws `unknown_adapter`,
   * `digest_mismatch`, `adapter_invalid` (with what is missing), and with `refetch` what `add` throws.
   */
  async verify(
    id: { readonly name: string; readonly version: string },
    options: { readonly refetch: boolean },
    onProgress: OnAdapterProgress,
    signal: AbortSignal,
  ): Promise<'whole' | 'mended'> {
    const record = await this.require(id);
    const key = adapterId(record);
    onProgress({ stage: 'verifying', detail: `reading the files of ${key}` });
    try {
      await this.#verifyFiles(record, signal);
      return 'whole';
    } catch (error) {
      if (!options.refetch || signal.aborted || !isFault(error)) throw error;
      onProgress({ stage: 'fetching', detail: `${error.message}; fetching it again` });
    }
    const base = await this.#base(record.base, signal);
    const { artefact } = await this.#bring({ ...record, sha256: null }, base, onProgress, signal, (staged) =>
      Promise.resolve(staged.digest === record.digest),
    );
    if (artefact.digest !== record.digest) {
      await this.#discard(artefact.digest);
      throw new ServiceError(
        'digest_mismatch',
        `${record.source} gives other bytes now: ${artefact.digest}, expected ${record.digest} for ${key}; bring the adapter back there, or add what is there now under a new version`,
        { details: { expected: record.digest, found: artefact.digest } },
      );
    }
    await this.#verifyFiles(record, signal);
    return 'mended';
  }

  /** Ends removals that a gateway left unfinished: for the start. Throws `store_unavailable`. */
  async recover(signal: AbortSignal): Promise<void> {
    const { removing } = await this.store.desired();
    for (const key of removing) {
      signal.throwIfAborted();
      const parsed = parseAdapterReference(key);
      if ('tag' in parsed) continue;
      const record = await this.store.get(parsed.name, parsed.version);
      const isMarked = record !== null && (await this.store.desired()).removing.includes(key);
      if (isMarked) await this.#strike(record);
    }
  }

  async #base(name: string, signal: AbortSignal): Promise<KnownBase> {
    const base = await this.#parts.bases.find(name, signal);
    if (base !== null) return base;
    const names = this.#parts.bases.names();
    throw new ServiceError(
      'bad_request',
      names.length === 0
        ? 'no engine of the configuration takes adapters, so there is no base model that one could be for; set `base` at an engine'
        : `no engine has the base model ${JSON.stringify(name.slice(0, 120))}; there is: ${names.join(', ')}`,
    );
  }

  /** Fetches, stages, and lets `keep` have it while its files are known to be there. */
  async #bring<T>(
    request: Pick<AddAdapter, 'source' | 'name' | 'version' | 'sha256'>,
    base: KnownBase,
    onProgress: OnAdapterProgress,
    signal: AbortSignal,
    keep: (artefact: AdapterArtefact) => Promise<T>,
  ): Promise<{ readonly artefact: AdapterArtefact; readonly fetched: FetchedAdapter; readonly kept: T }> {
    const { root, options, clock, random, environment } = this.#parts;
    const source = absoluteSource(parseSource(request.source), this.#parts.workingDirectory);
    await using incoming = await this.files.incoming(
      `${adapterId(request)}\n${formatSource(source)}`,
      signal,
    );
    const fetched = await fetchAdapter(
      source,
      {
        into: incoming.path,
        limits: { weightsBytesMax: options.artefactBytesMax },
        ...(request.sha256 === null ? {} : { expectedSha256: request.sha256 }),
        ...{ clock, environment },
        onProgress: (progress) => onProgress(fetching(progress)),
      },
      signal,
    ).catch(async (error: unknown) => {
      // What comes next time would be the same: nothing to go on from.
      if (isFault(error)) await incoming.discard();
      throw error;
    });
    onProgress({ stage: 'staging', detail: `checking and converting what ${fetched.source.address} gave` });
    try {
      for (let attempt = 1; ; attempt += 1) {
        const artefact = await stageAdapter(
          {
            ...{ from: fetched.path, root, base: base.description, clock, random },
            limits: { rankMax: options.rankMax, bytesMax: options.artefactBytesMax },
          },
          signal,
        );
        const kept = await keep(artefact);
        const missing = await this.files.missing(artefact.digest);
        if (missing.length === 0) {
          await incoming.discard();
          return { artefact, fetched, kept };
        }
        if (attempt === STAGE_ATTEMPTS)
          throw new ServiceError(
            'adapter_invalid',
            `${missing.join(', ')} of ${adapterId(request)} went away while it was added; somebody deletes files in ${root}`,
          );
      }
    } catch (error) {
      // Of what is whole a next try makes use; of what is refused, or fills the disk, it does not.
      const isWhole = error instanceof ServiceError && error.code === 'store_unavailable';
      if (!isWhole && !signal.aborted) await incoming.discard();
      throw error;
    }
  }

  async #record(
    request: AddAdapter,
    baseName: string,
    base: KnownBase,
    artefact: AdapterArtefact,
  ): Promise<{ readonly record: AdapterRecord; readonly isNew: boolean }> {
    const { name, version } = request;
    const source = absoluteSource(parseSource(request.source), this.#parts.workingDirectory);
    const record: AdapterRecord = {
      ...{ name, version, digest: artefact.digest, base: baseName, baseDigest: base.digest },
      ...{ architecture: artefact.architecture, layers: artefact.layers },
      ...{ rank: artefact.rank, alpha: artefact.alpha, targetModules: artefact.targetModules },
      ...{ bytes: artefact.bytes, ggufBytes: artefact.ggufBytes },
      ...{ licence: request.licence, trainingRun: request.trainingRun, notes: request.notes },
      source: describeSource(source),
      addedBy: request.addedBy,
      addedAtMs: this.#parts.clock.nowMs(),
    };
    try {
      const outcome = await this.store.add(record);
      // The mark of the one that was removed under this name would keep it from being published. Also where it is known: the
      // store may have been lost between the two, the last time.
      await changeDesired(this.store, endRemoving(adapterId(record)));
      if (outcome === 'added') return { record, isNew: true };
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'adapter_conflict')
        await this.#discard(artefact.digest);
      throw error;
    }
    const known = (await this.store.get(name, version)) ?? record;
    if (known.base !== baseName)
      throw new ServiceError(
        'adapter_conflict',
        `${adapterId(record)} is registered for the base ${known.base}, these same bytes are added for ${baseName}; add them under a new version`,
      );
    return { record: known, isNew: false };
  }

  async #verifyFiles(record: AdapterRecord, signal: AbortSignal): Promise<void> {
    const missing = await this.files.missing(record.digest);
    if (missing.length > 0)
      throw new ServiceError(
        'adapter_invalid',
        `${missing.join(', ')} of ${adapterId(record)} ${missing.length === 1 ? 'is' : 'are'} missing in ${this.files.folderOf(record.digest)}; fetch again from ${record.source}: greenroom adapters verify ${adapterId(record)} --refetch`,
        { details: { missing } },
      );
    await verifyArtefact(this.files.folderOf(record.digest), record.digest, signal);
  }

  /** Once in a process, when it has just written there itself: what others left is at least a day old. */
  async #sweep(signal: AbortSignal): Promise<void> {
    if (this.#hasSwept) return;
    this.#hasSwept = true;
    try {
      const folders = await this.files.sweep(signal);
      if (folders > 0) this.#parts.log.info('adapter.swept', { folders });
    } catch (error) {
      this.#parts.log.warn('adapter.not_swept', { reason: String(error) });
    }
  }

  async #strike(record: AdapterRecord): Promise<void> {
    await this.store.remove(record.name, record.version);
    this.#parts.log.info('adapter.removed', { adapter: adapterId(record) });
    await this.#discard(record.digest);
  }

  /** Files that cannot be deleted now are swept at a later start; the adapter is out in any case. */
  async #discard(digest: string): Promise<void> {
    await this.files.discard(digest).catch((error: unknown) => {
      this.#parts.log.warn('adapter.files_left', { digest, reason: String(error) });
    });
  }
}

function markRemoved(key: string): DesiredChange {
  return (desired) => {
    const next = startRemoving(key)(desired);
    if (next.removing.length <= REMOVED_MARKS_MAX) return next;
    return { ...next, removing: next.removing.slice(-REMOVED_MARKS_MAX) };
  };
}

/** The bytes themselves are wrong, wherever they lie. */
function isFault(error: unknown): error is ServiceError {
  return (
    error instanceof ServiceError && (error.code === 'adapter_invalid' || error.code === 'digest_mismatch')
  );
}

function fetching(progress: FetchProgress): AdapterProgress {
  const { stage, file, receivedBytes, totalBytes, bytesPerSecond } = progress;
  const done = percent(progress);
  const speed = bytesPerSecond > 0 ? `, ${(bytesPerSecond / 1e6).toFixed(1)} MB/s` : '';
  return {
    stage: 'fetching',
    detail:
      totalBytes > 0
        ? `${stage} ${file}, ${(receivedBytes / 1e6).toFixed(1)} of ${(totalBytes / 1e6).toFixed(1)} MB${speed}`
        : `${stage} ${file}`,
    ...(totalBytes > 0 ? { percent: done } : {}),
  };
}
