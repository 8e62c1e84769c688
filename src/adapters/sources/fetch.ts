/**
 * `fetchAdapter`: the raw files of one adapter in a folder, from wherever an operator says. The folder may hold what an
 * earlier, interrupted call for the same source left; then it goes on from there. What comes is not looked into here,
 * beyond its size and digest: that is the artefact's reader's work, and it trusts none of it.
 *
 * Addresses come from operators (the CLI, /admin, the config) and may point into the operator's own network, which is
 * where many keep their artefacts: no address is forbidden. Whoever opens `adapters add` to somebody else opens every
 * address that this process can reach to them.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ServiceError } from '../../core/errors.ts';
import type { Clock } from '../../core/runtime.ts';
import { linkSignals } from '../../lib/abort.ts';
import { StorageError, storageError } from '../../models/cache.ts';
import { type AdapterSource, describeSource } from './address.ts';
import { fetchBucket } from './bucket.ts';
import { forgetStates } from './fetch-file.ts';
import {
  CONFIG_FILE,
  type FetchContext,
  type Fetched,
  type FetchProgress,
  GGUF_FILE,
  PEFT_WEIGHTS_FILE,
  type RawFile,
  type RawFileName,
  unavailable,
} from './fetched.ts';
import { fetchHub } from './hub.ts';
import { DEFAULT_FETCH_LIMITS, type FetchLimits } from './limits.ts';
import { takeLocal } from './local.ts';
import { fetchWeb } from './web.ts';

export interface FetchAdapterOptions {
  /** An empty folder for the raw files, or one that an earlier call for the same source was given. Made when absent. */
  readonly into: string;
  readonly clock: Clock;
  /** Proxies, the hub's address and token, the object store's endpoint, region and keys. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly limits?: Partial<FetchLimits>;
  readonly onProgress?: (progress: FetchProgress) => void;
  /** SHA-256 of the weights file; must agree with the source's own `#sha256=` where both are given. */
  readonly expectedSha256?: string;
}

export interface FetchedAdapter {
  readonly format: 'peft' | 'gguf';
  /** The folder with `adapter_config.json` and `adapter_model.safetensors`, or the file `adapter.gguf`. */
  readonly path: string;
  readonly files: readonly RawFile[];
  /** Without secrets, to be kept: where it came from, and which state of that place it was. */
  readonly source: {
    readonly kind: AdapterSource['kind'];
    readonly address: string;
    readonly revision: string | null;
    readonly weightsSha256: string;
  };
}

/**
 * Brings the adapter. Throws `adapter_invalid` (there is none, or one that is refused), `adapter_unavailable` (the source
 * cannot be reached, refuses us, stops; the disk is full), `digest_mismatch`, `body_too_large`, `bad_request` (two digests
 * that differ). Aborting rejects with the signal's reason within a moment; what came stays for the next call.
 */
export async function fetchAdapter(
  source: AdapterSource,
  options: FetchAdapterOptions,
  signal: AbortSignal,
): Promise<FetchedAdapter> {
  const limits = { ...DEFAULT_FETCH_LIMITS, ...options.limits };
  const where = describeSource(source);
  const context: FetchContext = {
    into: options.into,
    limits,
    clock: options.clock,
    environment: options.environment,
    onProgress: options.onProgress ?? (() => {}),
    sha256: agreedDigest(source.sha256, options.expectedSha256 ?? null),
    where,
  };
  using link = linkSignals(signal);
  using _timer = options.clock.timer(limits.totalTimeoutMs, () =>
    link.abort(
      unavailable(where, `it was not here after ${limits.totalTimeoutMs / 1000} s; what came is kept`),
    ),
  );
  try {
    await mkdir(options.into, { recursive: true });
    const fetched = await fetchFrom(source, context, link.signal);
    await removeOthers(options.into, fetched.files);
    await forgetStates(
      options.into,
      fetched.files.map((file) => file.name),
    );
    return described(source, where, options.into, fetched);
  } catch (error) {
    throw translated(error, where, options.into);
  }
}

function fetchFrom(source: AdapterSource, context: FetchContext, signal: AbortSignal): Promise<Fetched> {
  switch (source.kind) {
    case 'local':
      return takeLocal(source, context, signal);
    case 'web':
      return fetchWeb(source, context, signal);
    case 'hub':
      return fetchHub(source, context, signal);
    case 'bucket':
      return fetchBucket(source, context, signal);
  }
}

function described(source: AdapterSource, where: string, into: string, fetched: Fetched): FetchedAdapter {
  const gguf = fetched.files.find((file) => file.name === GGUF_FILE);
  const weights = gguf ?? (fetched.files.find((file) => file.name === PEFT_WEIGHTS_FILE) as RawFile);
  return {
    format: gguf === undefined ? 'peft' : 'gguf',
    path: gguf === undefined ? into : join(into, GGUF_FILE),
    files: fetched.files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 })),
    source: {
      kind: source.kind,
      address: where,
      revision: fetched.revision,
      weightsSha256: weights.sha256,
    },
  };
}

/** A place that held the other format last time leaves nothing of it behind. */
async function removeOthers(into: string, files: readonly RawFile[]): Promise<void> {
  const all: readonly RawFileName[] = [CONFIG_FILE, PEFT_WEIGHTS_FILE, GGUF_FILE];
  for (const name of all) {
    if (files.some((file) => file.name === name)) continue;
    for (const end of ['', '.partial', '.state.json']) await rm(join(into, `${name}${end}`), { force: true });
  }
}

function agreedDigest(inSource: string | null, inOptions: string | null): string | null {
  const other = inOptions?.toLowerCase() ?? null;
  if (other !== null && !/^[0-9a-f]{64}$/.test(other))
    throw new ServiceError('bad_request', 'the expected SHA-256 must be 64 hexadecimal digits');
  if (inSource !== null && other !== null && inSource !== other)
    throw new ServiceError(
      'bad_request',
      `two digests are expected of one file: ${inSource} in the source and ${other} beside it`,
    );
  return inSource ?? other;
}

/** Disks that are full and folders that cannot be written, as this part calls them. */
function translated(error: unknown, where: string, into: string): unknown {
  const storage = storageError(error, into);
  if (!(storage instanceof StorageError)) return error;
  const why =
    storage.details['reason'] === 'disk_full'
      ? `the disk of ${into} is full: free some space, or move the adapters' folder; what came is kept`
      : `${into} cannot be written: mend its permissions, or move the adapters' folder`;
  return new ServiceError('adapter_unavailable', `${where}: ${why}`, {
    cause: error,
    details: storage.details,
  });
}
