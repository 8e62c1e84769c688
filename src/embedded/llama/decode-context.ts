/**
 * One context with many sequences, driven batch by batch. All adapters of a model share it: a pass is computed under one
 * of them or under none. A change makes llama.cpp plan its graph anew, so passes are grouped (adapter-turns.ts).
 * Invariant: every token id that reaches the addon was made by it or checked here; a wrong one ends the process.
 */
import type { LlamaContext, LlamaModel } from 'node-llama-cpp';
import { ServiceError } from '../../core/errors.ts';
import { invariant } from '../../lib/invariant.ts';
import type { Grammar } from './grammar.ts';
import type { Lora } from './lora.ts';
import type { NativeContext, NativePieces } from './native.ts';
import { messageOf } from './native.ts';
import type { Sampler, SamplingSettings } from './sampler.ts';
import { createSampler } from './sampler.ts';
import { type SequenceCopy, sequenceCopies } from './sequence-copies.ts';

export interface BatchItem {
  readonly sequence: number;
  /** Position in the sequence of the first of `tokens`. */
  readonly position: number;
  readonly tokens: readonly number[];
  /** Whether the next token after the last of `tokens` will be sampled. */
  readonly wantsLogits: boolean;
}

/** One context with many sequences. One owner drives it; calls never overlap. */
export interface DecodeContext extends AsyncDisposable {
  readonly contextTokens: number;
  /**
   * Evaluates the items in one pass. Items must stand in ascending order of sequence: llama.cpp merges only ascending
   * contiguous ids into one micro-batch. Resolves to the logit index per item, -1 where none was wanted.
   */
  decode(items: readonly BatchItem[]): Promise<number[]>;
  /**
   * What the next passes are computed under; null is the base alone. Costs nothing when it is what it was. The caller keeps
   * the adapter alive until another took its place.
   */
  useLora(lora: Lora | null): void;
  /** Threads of the next decode, 1..the count given at creation. */
  setThreads(threads: number): void;
  /** The next token at a logit index of the last decode; throws `engine_error` when no token is possible. */
  sample(logitIndex: number, sampler: Sampler): Promise<number>;
  createSampler(settings: SamplingSettings, prompt: readonly number[], grammar: Grammar | null): Sampler;
  /**
   * Makes `target` hold the first `length` tokens of `source` without evaluating them. False when this build or model
   * cannot: then `target` is empty and the caller evaluates.
   */
  copyPrefix(source: number, target: number, length: number): Promise<boolean>;
  /** A copy of what `sequence` holds; null when this model's state cannot be copied whole. */
  saveSequence(sequence: number): Promise<SequenceCopy | null>;
  /**
   * Makes `sequence` hold the first `length` tokens of a copy, at least one. False when it could not: then `sequence` is
   * empty.
   */
  restoreSequence(copy: SequenceCopy, sequence: number, length: number): Promise<boolean>;
  /** Forgets what `sequence` holds from `length` on. False when the model cannot: then it holds nothing. */
  truncate(sequence: number, length: number): boolean;
}

export async function createContext(
  model: LlamaModel,
  pieces: NativePieces,
  vocabularySize: number,
  options: { sequences: number; contextTokens: number; batchTokens: number; threads: number },
): Promise<DecodeContext> {
  let context: LlamaContext;
  try {
    context = await model.createContext({
      sequences: options.sequences,
      contextSize: options.contextTokens,
      batchSize: options.batchTokens,
      threads: options.threads,
      swaFullCache: true,
      failedCreationRemedy: false,
    });
  } catch (error) {
    throw new ServiceError(
      'out_of_memory',
      `no memory for ${options.sequences} sequences of ${options.contextTokens} tokens: ${messageOf(error)}. Lower sequences, prefixSequences or contextTokens.`,
      { cause: error, details: { sequences: options.sequences, contextTokens: options.contextTokens } },
    );
  }
  const native = (context as unknown as { _ctx: NativeContext })._ctx;
  invariant(typeof native?.decodeBatch === 'function', 'node-llama-cpp has its batch calls');
  invariant(typeof native.setLoras === 'function', 'node-llama-cpp has its call for adapters');
  const LAST = Uint32Array.of(0);
  const NONE = new Uint32Array(0);
  let current: Lora | null = null;
  const copies = await sequenceCopies(native, pieces);
  return {
    contextTokens: options.contextTokens,
    async decode(items) {
      let total = 0;
      let before = -1;
      for (const item of items) {
        invariant(item.sequence > before && item.tokens.length > 0, 'batch items ascend by sequence');
        for (const token of item.tokens)
          invariant(token >= 0 && token < vocabularySize, `token ${token} is in the vocabulary`);
        before = item.sequence;
        total += item.tokens.length;
      }
      native.initBatch(total);
      const logits = items.map((item) => {
        if (item.wantsLogits) LAST[0] = item.tokens.length - 1;
        const indexes = native.addToBatch(
          item.sequence,
          item.position,
          Uint32Array.from(item.tokens),
          item.wantsLogits ? LAST : NONE,
        );
        return indexes[0] ?? -1;
      });
      await native.decodeBatch();
      return logits;
    },
    useLora(lora) {
      if (lora === current) return;
      native.setLoras(lora === null ? [] : [lora.native], lora === null ? [] : [1]);
      current = lora;
    },
    setThreads: (threads) => native.setThreads(Math.max(1, Math.min(options.threads, threads))),
    async sample(logitIndex, sampler) {
      const token = await native.sampleToken(logitIndex, sampler.native);
      if (token < 0) throw new ServiceError('engine_error', 'no token is possible here under the grammar');
      return token;
    },
    createSampler: (settings, prompt, grammar) =>
      createSampler(model, pieces, settings, { prompt, grammar, contextTokens: options.contextTokens }),
    async copyPrefix(source, target, length) {
      invariant(source !== target, 'a prefix is copied between two sequences');
      if (native.copySequenceStateFromOtherSequence !== undefined) {
        const last = await native.copySequenceStateFromOtherSequence(target, source);
        if (last + 1 >= length && native.removeTokenCellsFromSequence(target, length, -1)) return true;
      }
      native.disposeSequence(target);
      return false;
    },
    saveSequence: (sequence) => copies.save(sequence),
    restoreSequence: (copy, sequence, length) => copies.restore(copy, sequence, length),
    truncate(sequence, length) {
      if (length > 0 && native.removeTokenCellsFromSequence(sequence, length, -1)) return true;
      native.disposeSequence(sequence);
      return length === 0;
    },
    [Symbol.asyncDispose]: () => context.dispose(),
  };
}
