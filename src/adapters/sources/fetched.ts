/**
 * What every kind of source gives and takes: the raw files of one adapter under fixed names in one folder, and where they
 * came from in words that may be kept. Invariant: nothing a source says becomes a file name here.
 */
import { ServiceError } from '../../core/errors.ts';
import type { Clock } from '../../core/runtime.ts';
import type { ModelProgress } from '../../models/progress.ts';
import type { FetchLimits } from './limits.ts';

export const CONFIG_FILE = 'adapter_config.json';
export const PEFT_WEIGHTS_FILE = 'adapter_model.safetensors';
export const GGUF_FILE = 'adapter.gguf';

export type RawFileName = typeof CONFIG_FILE | typeof PEFT_WEIGHTS_FILE | typeof GGUF_FILE;

export interface FetchProgress extends ModelProgress {
  readonly file: RawFileName;
}

export interface RawFile {
  readonly name: RawFileName;
  readonly bytes: number;
  readonly sha256: string;
}

/** What a kind of source gives back. */
export interface Fetched {
  readonly files: readonly RawFile[];
  /** The hub's commit, or the weights' ETag: which state of a moving place this was; null where it has none. */
  readonly revision: string | null;
}

export interface FetchContext {
  /** Absolute; exists. Where the files go. */
  readonly into: string;
  readonly limits: FetchLimits;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onProgress: (progress: FetchProgress) => void;
  /** Of the weights file, lower-case hexadecimal; null when nobody said. */
  readonly sha256: string | null;
  /** The source for errors. */
  readonly where: string;
}

/** The source is there and does not hold an adapter, or holds a hostile one. */
export function invalid(where: string, message: string, details: Record<string, unknown> = {}): ServiceError {
  return new ServiceError('adapter_invalid', `${where}: ${message}`, { details });
}

/** The source cannot be asked, or not now. */
export function unavailable(where: string, message: string, cause?: unknown): ServiceError {
  return new ServiceError('adapter_unavailable', `${where}: ${message}`, { cause });
}
