/**
 * What node-llama-cpp 3.22 does not show in its types. The public iterator API takes a lock and several promises per token
 * and sequence, so the batch calls of its addon are used directly; `nativePieces` checks at load that each exists, because
 * they are internal and the version is pinned.
 */
import type { Llama, LlamaModel } from 'node-llama-cpp';
import { InsufficientMemoryError } from 'node-llama-cpp';
import { ServiceError } from '../../core/errors.ts';

/** Parts of node-llama-cpp 3.22 that are not in its public types. */
export interface NativeContext {
  initBatch(tokens: number): void;
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logits: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(logitIndex: number, sampler: NativeSampler): Promise<number>;
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
  disposeSequence(sequence: number): void;
  setThreads(threads: number): void;
  copySequenceStateFromOtherSequence?(target: number, source: number): Promise<number>;
  getEmbedding(inputTokens: number): Float64Array;
  setLoras(loras: readonly NativeLora[], scales: readonly number[]): void;
  getStateSize(): number;
  /** Puts a copy back and cuts it behind the position; what the sequence held is gone, whether it succeeds or not. */
  restoreCheckpoint(checkpoint: NativeCheckpoint, lastPosition: number, sequence: number): Promise<boolean>;
}

/** A copy of what a sequence holds, in memory of its own. */
export interface NativeCheckpoint {
  init(context: NativeContext, sequence: number): Promise<void>;
  readonly size: number;
  dispose(): void;
}

/** Frees its weights on a worker thread; nobody may use it from then on. */
export interface NativeLora {
  dispose(): Promise<void>;
}

export interface NativeSampler {
  applyConfig(config: Readonly<Record<string, unknown>>): void;
  dispose(): void;
}

export interface NativeModel {
  tokenize(text: string, special: boolean): Uint32Array;
  detokenize(tokens: Uint32Array, special: boolean): string;
  loadLora(lora: NativeLora): Promise<void>;
}

export interface NativePieces {
  readonly model: NativeModel;
  readonly Sampler: new (model: NativeModel) => NativeSampler;
  readonly Lora: new (model: NativeModel, path: string) => NativeLora;
  readonly Checkpoint: new () => NativeCheckpoint;
}

/** Reaches for the internals once, and says plainly when another version of the library does not have them. */
export function nativePieces(llama: Llama, model: LlamaModel): NativePieces {
  const bindings = (
    llama as unknown as {
      _bindings?: {
        AddonSampler?: NativePieces['Sampler'];
        AddonModelLora?: NativePieces['Lora'];
        AddonContextSequenceCheckpoint?: NativePieces['Checkpoint'];
      };
    }
  )._bindings;
  const native = (model as unknown as { _model?: NativeModel })._model;
  if (
    bindings?.AddonSampler === undefined ||
    bindings.AddonModelLora === undefined ||
    bindings.AddonContextSequenceCheckpoint === undefined ||
    native?.tokenize === undefined ||
    native.loadLora === undefined
  )
    throw new ServiceError(
      'internal',
      'node-llama-cpp changed its internals: the version in package-lock.json is the one that works; run npm ci',
    );
  return {
    model: native,
    Sampler: bindings.AddonSampler,
    Lora: bindings.AddonModelLora,
    Checkpoint: bindings.AddonContextSequenceCheckpoint,
  };
}

const LINES_KEPT = 40;

/** The last words of the native side: the reason of a failure is there and nowhere else. */
export class NativeLog {
  readonly #lines: string[] = [];

  add(message: string): void {
    this.#lines.push(message.trim());
    if (this.#lines.length > LINES_KEPT) this.#lines.shift();
  }

  /** Forgets what was said before the work whose failure may have to be told. */
  clear(): void {
    this.#lines.length = 0;
  }

  /** Lines arrive through the event loop; two turns are enough for all that were written before the failure. */
  async reason(): Promise<string> {
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
    const native = this.#lines.filter((line) => !line.startsWith('Failed simulating'));
    const telling = native.filter((line) => /error|fail|invalid|corrupt|not within|magic|alloc/i.test(line));
    return (telling.length > 0 ? telling : native).slice(0, 3).join('; ').slice(0, 500);
  }
}

export function isMemoryFailure(error: unknown, reason: string): boolean {
  return (
    error instanceof InsufficientMemoryError ||
    /bad_alloc|out of memory|failed to allocate|cannot allocate|not enough memory/i.test(
      `${messageOf(error)} ${reason}`,
    )
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
