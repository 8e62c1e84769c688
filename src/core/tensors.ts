/**
 * The contract of an engine for short work: tensors in, tensors out (embeddings, vision, classifiers). It is apart from
 * `Engine` because nothing streams, nothing falls back to written lines, and it has its own lane (design §5).
 */
import type { Tensor } from '../lib/oip/tensor.ts';

/** A parameter of the Open Inference Protocol. Names that begin with `triton_` are the server's own. */
export type TensorParameter = string | number | boolean;

export interface InferRequest {
  readonly id?: string;
  /** The server's own name of the model. */
  readonly model: string;
  /** Absent: the server chooses, which for Triton is the newest. */
  readonly version?: string;
  readonly inputs: readonly Tensor[];
  /** Outputs wanted; absent or empty: all. */
  readonly outputs?: readonly WantedOutput[];
  readonly parameters?: Readonly<Record<string, TensorParameter>>;
  /** 1 goes first; absent: the server's default. Only a model with priority levels looks at it. */
  readonly priority?: number;
  /** How long the answer is of use, in milliseconds: the server's queue and, over gRPC, the call end with it. */
  readonly timeoutMs?: number;
}

export interface WantedOutput {
  readonly name: string;
  /** Such as `classification`: N gives the N best classes instead of the scores. */
  readonly parameters?: Readonly<Record<string, TensorParameter>>;
}

export interface InferReply {
  readonly id?: string;
  readonly model: string;
  /** The version that answered; null where the server does not say. */
  readonly version: string | null;
  readonly outputs: readonly Tensor[];
  readonly parameters: Readonly<Record<string, TensorParameter>>;
}

export interface TensorDescription {
  readonly name: string;
  readonly datatype: string;
  /** -1 is any count. */
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  /** Empty where the server does not say. */
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorDescription[];
  readonly outputs: readonly TensorDescription[];
}

export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

/** One model version in the server's repository; `state` is `READY`, `LOADING`, `UNLOADING`, `UNAVAILABLE` or empty. */
export interface RepositoryEntry {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  /** Why it is not ready, in the server's words. */
  readonly reason: string;
}

/**
 * Every method throws ServiceError: `engine_unavailable` (no reply), `overloaded`, `unknown_model`, `not_ready`,
 * `bad_request` (the server refused the tensors), `engine_error` (its reply is not to be trusted), or `signal.reason`.
 */
export interface TensorEngine extends AsyncDisposable {
  /** The name in the configuration. */
  readonly name: string;
  readonly kind: string;
  /** Aborting gives the work up: over gRPC the server stops, over HTTP Triton runs it to its end (engines.md §9.6). */
  infer(request: InferRequest, signal: AbortSignal): Promise<InferReply>;
  live(signal: AbortSignal): Promise<boolean>;
  ready(signal: AbortSignal): Promise<boolean>;
  /** False as well when there is no such model. */
  modelReady(model: string, version: string | undefined, signal: AbortSignal): Promise<boolean>;
  modelMetadata(model: string, version: string | undefined, signal: AbortSignal): Promise<ModelMetadata>;
  serverMetadata(signal: AbortSignal): Promise<ServerMetadata>;
  /** Everything the server's repository knows; versions that are not loaded may be missing. */
  repositoryIndex(signal: AbortSignal): Promise<readonly RepositoryEntry[]>;
  /** Loads, or loads anew. Only servers in explicit control mode take it. Resolves when the model is ready. */
  loadModel(model: string, signal: AbortSignal): Promise<void>;
  /** Resolves when the server has taken the order; memory may return later. */
  unloadModel(model: string, signal: AbortSignal): Promise<void>;
}
