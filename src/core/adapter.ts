/**
 * The nouns of LoRA adapters: what is registered, what should serve, what an engine is asked for, and what a dialogue asks
 * of their keeper. An adapter is an immutable `name@version`; what moves is a tag. The name that an engine hears carries
 * the digest, so that no engine ever meets other weights under a name it knows.
 *
 *     registered → staged → loading → verifying → resident → draining → gone          failed: with a reason, in the end
 */
import { ServiceError } from './errors.ts';

/** What a persona may name instead of a version. A tag is never a version. */
export const ADAPTER_TAGS = ['stable', 'canary'] as const;
export type AdapterTag = (typeof ADAPTER_TAGS)[number];

export const ADAPTER_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
export const ADAPTER_VERSION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

/** `lich@7`, `lich@canary`, or `lich`, which is `lich@stable`. */
export type AdapterReference =
  | { readonly name: string; readonly version: string }
  | { readonly name: string; readonly tag: AdapterTag };

/** Throws `bad_request` with what was expected. */
export function parseAdapterReference(text: string): AdapterReference {
  const [name = '', version, ...more] = text.split('@');
  if (
    !ADAPTER_NAME.test(name) ||
    more.length > 0 ||
    (version !== undefined && !ADAPTER_VERSION.test(version))
  )
    throw new ServiceError(
      'bad_request',
      `${JSON.stringify(text.slice(0, 120))} is no adapter; expected name@version, name@canary or name, as in lich@7`,
    );
  if (version === undefined) return { name, tag: 'stable' };
  const tag = ADAPTER_TAGS.find((each) => each === version);
  return tag === undefined ? { name, version } : { name, tag };
}

/** One registered adapter. Nothing of it ever changes. */
export interface AdapterRecord {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of its canonical form, 64 hex digits: the same weights give the same digest whatever file they came in. */
  readonly digest: string;
  /** The base model that it was trained on, as engines of the configuration name their `base`. */
  readonly base: string;
  /** SHA-256 of that base's file where it is known. */
  readonly baseDigest: string | null;
  readonly architecture: string;
  readonly layers: number;
  readonly rank: number;
  readonly alpha: number;
  /** As PEFT names them, sorted: `q_proj`. */
  readonly targetModules: readonly string[];
  /** Of the canonical safetensors file. */
  readonly bytes: number;
  /** Of the GGUF file. */
  readonly ggufBytes: number;
  readonly licence: string | null;
  readonly trainingRun: string | null;
  readonly notes: string | null;
  /** Where it came from: a path or address without credentials. */
  readonly source: string;
  /** Who added it: the label of an API key, or `local`. */
  readonly addedBy: string;
  /** Epoch milliseconds. */
  readonly addedAtMs: number;
}

/** `lich@7`: unique in the registry. */
export function adapterId({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}@${version}`;
}

/** `lich@7-3fa9c1d2`: what engines are told. */
export function engineNameOf(record: Pick<AdapterRecord, 'name' | 'version' | 'digest'>): string {
  return `${adapterId(record)}-${record.digest.slice(0, 8)}`;
}

/** A version that should be served. */
export interface PublishedAdapter {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
  /** Never evicted for another one. */
  readonly isPinned: boolean;
  readonly publishedAtMs: number;
  /** The revision of the desired state with which it was published. */
  readonly generation: number;
}

export interface TaggedVersion {
  readonly version: string;
  /** The revision of the desired state at which the tag came to this version: rises with every move. */
  readonly generation: number;
}

/** Why a publish or a swap did not come to its end. */
export interface AdapterFailure {
  /** `lich@7`. */
  readonly id: string;
  readonly reason: string;
  readonly atMs: number;
}

/** What all gateways of one store should serve: one document, changed as a whole or not at all. */
export interface DesiredAdapters {
  /** Rises by one with every change. 0: nothing was ever published. */
  readonly revision: number;
  readonly published: readonly PublishedAdapter[];
  /** By adapter name. */
  readonly tags: Readonly<Record<string, Readonly<Partial<Record<AdapterTag, TaggedVersion>>>>>;
  /** The latest, newest first, at most 50. */
  readonly failures: readonly AdapterFailure[];
  /** Ids on their way out of the registry; they cannot be published any more. */
  readonly removing: readonly string[];
}

/** The text that an adapter gave to the probes when it was first published on engines of one kind. */
export interface AdapterFingerprint {
  readonly digest: string;
  /** Engines that must agree: kind and model, `embedded/smollm2-135m-instruct-q4_1`. */
  readonly scope: string;
  /** One greedy answer a probe. */
  readonly answers: readonly string[];
}

export interface AdapterPage {
  readonly records: readonly AdapterRecord[];
  /** Pass it as `after` for the next page; null at the end. */
  readonly next: string | null;
}

/** The registry as it is kept. Every method throws `store_unavailable` when the store cannot be reached. */
export interface AdapterStore {
  /**
   * `known`: this very adapter is registered already. Throws `adapter_conflict` when the name and version stand for another
   * digest, and nothing is changed.
   */
  add(record: AdapterRecord): Promise<'added' | 'known'>;
  get(name: string, version: string): Promise<AdapterRecord | null>;
  /** By name, then by time of addition. `limit` 1..1000. */
  list(ask: {
    readonly name?: string;
    readonly after?: string;
    readonly limit: number;
  }): Promise<AdapterPage>;
  /** How many there are. */
  count(): Promise<number>;
  /** Records of the same digest under whatever name, the oldest first, at most 1000. */
  byDigest(digest: string): Promise<readonly AdapterRecord[]>;
  /** False when it was not there. The caller has made sure that it is not published (`removing`). */
  remove(name: string, version: string): Promise<boolean>;
  desired(): Promise<DesiredAdapters>;
  /** Replaces the document if its revision is still `next.revision - 1`; false when another was quicker. */
  replaceDesired(next: DesiredAdapters): Promise<boolean>;
  fingerprint(digest: string, scope: string): Promise<AdapterFingerprint | null>;
  /** Keeps the first one for ever and resolves to the one that is kept. */
  keepFingerprint(fingerprint: AdapterFingerprint): Promise<AdapterFingerprint>;
}

/** An adapter as one engine is asked for it. */
export interface AdapterAddress {
  /** `lich@7-3fa9c1d2`. */
  readonly engineName: string;
  /** For wires that know adapters by number: from the digest, 1..2^31-1, never reused for other weights. */
  readonly number: number;
  /** The artefact's folder as this engine sees it. */
  readonly path: string;
  /** The same folder on this machine: for wires that take the file's bytes. */
  readonly localPath: string;
  readonly rank: number;
}

/** What a wire can do with adapters (engines.md §13.2). Decisions ask this, never the engine's name. */
export interface AdapterTraits {
  /** By a call; by the first request that names it; or only when the server starts. */
  readonly loads: 'call' | 'first-use' | 'start';
  readonly unloads: 'call' | 'never';
  /** Whether lines of several adapters run side by side. */
  readonly mixesInBatch: boolean;
  /** Whether KV of one adapter is never used under another, by the engine's own doing. */
  readonly isCacheIsolated: boolean;
  /** Whether loading holds up the lines that run (engines.md §3.6): then loads are spread over time. */
  readonly stallsWhileLoading: boolean;
}

export interface AdapterCapacity {
  /** Adapters that can be resident at once; null where the engine does not say. */
  readonly slots: number | null;
  /** null where the engine does not say. */
  readonly rankMax: number | null;
}

/** What an engine holds now. */
export interface HeldAdapters {
  /** Engine names, of those asked about. */
  readonly held: readonly string[];
  /** Engine names in our form (`x@y-01234567`) that were not asked about: left over from another life. */
  readonly stale: readonly string[];
  /** Adapters that somebody else loaded; they take slots and are left alone. */
  readonly foreign: number;
}

/**
 * An engine's side of adapters. Each throws ServiceError: `engine_unavailable`, `adapter_failed` (the engine refused it;
 * details `isPermanent` when trying again is of no use), `no_room` (it has no slot).
 */
export interface EngineAdapters {
  readonly traits: AdapterTraits;
  capacity(signal: AbortSignal): Promise<AdapterCapacity>;
  /** Resolves when the engine says that it has it, or has it already. Says nothing of its being right: see the probe. */
  load(adapter: AdapterAddress, signal: AbortSignal): Promise<void>;
  /** Resolves when the engine gave it up, or never had it. */
  unload(adapter: Pick<AdapterAddress, 'engineName' | 'number'>, signal: AbortSignal): Promise<void>;
  list(known: readonly AdapterAddress[], signal: AbortSignal): Promise<HeldAdapters>;
}

/** Why a line was spoken without the adapter that its persona names. */
export const ADAPTER_ABSENCES = [
  'unknown',
  'unpublished',
  'loading',
  'no_room',
  'failed',
  'unsupported',
] as const;
export type AdapterAbsence = (typeof ADAPTER_ABSENCES)[number];

/** What a reference means at one moment. */
export interface ResolvedAdapter {
  /** `lich@7`. */
  readonly id: string;
  readonly engineName: string;
  /** The generation of the tag, or of the publication when a version was named. */
  readonly generation: number;
}

/** The right to use an adapter at one replica: it is not unloaded before every lease is given back. */
export interface AdapterLease extends Disposable {
  readonly address: AdapterAddress;
  readonly adapter: ResolvedAdapter;
  /** The engine said that it does not know it: nobody is sent there with it before it was loaded anew. */
  lost(): void;
}

/** How much a line wants its adapter. */
export interface AdapterWish {
  readonly priority: 'interactive' | 'ambient' | 'hint';
  /** 1..4; higher tiers keep their places longer. */
  readonly tier: number;
}

/** What a dialogue asks of whoever keeps the adapters. */
export interface AdapterKeeper {
  /** By the snapshot in memory. */
  resolve(reference: string): ResolvedAdapter | AdapterAbsence;
  /**
   * Waits until the adapter is resident at one of these replicas, at most `waitMs`; at once when it is, or when waiting is
   * of no use. Tells the demand in any case. Null: it is there; else why it is not.
   */
  want(
    adapter: ResolvedAdapter,
    replicas: readonly string[],
    wish: AdapterWish & { readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<AdapterAbsence | null>;
  /** Null when it is not resident there now. */
  lease(adapter: ResolvedAdapter, replica: string): AdapterLease | null;
}
