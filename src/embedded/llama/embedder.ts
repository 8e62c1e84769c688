/** Vectors of texts, by a context of its own. */
import type { LlamaModel } from 'node-llama-cpp';
import { invariant } from '../../lib/invariant.ts';
import type { NativeContext } from './native.ts';

/** A context of its own for one text at a time. One owner drives it; calls never overlap. */
export interface Embedder extends AsyncDisposable {
  /** Whether the model reads forward, so that a text can be evaluated in parts; else it must come whole. */
  readonly readsForward: boolean;
  /** The tokens as the model wants them for a vector: some begin or end with one of its own. */
  prepare(tokens: readonly number[]): readonly number[];
  /**
   * Evaluates the tokens that stand at `position`; position 0 begins a new text. Resolves to the vector of the whole text,
   * not normalised, when this part is the last.
   */
  evaluate(tokens: readonly number[], position: number, isLast: boolean): Promise<readonly number[] | null>;
}

/** Pooling that needs no other token than the last (gguf specification, `<architecture>.pooling_type`). */
const FORWARD_POOLING: readonly unknown[] = [undefined, 0, 3];

export async function createEmbedder(
  model: LlamaModel,
  vocabularySize: number,
  options: { contextTokens: number; threads: number },
): Promise<Embedder> {
  const context = await model.createEmbeddingContext({
    contextSize: options.contextTokens,
    batchSize: options.contextTokens,
    threads: options.threads,
  });
  const internal = context as unknown as {
    readonly _llamaContext: { readonly _ctx: NativeContext };
    _prepareInput(tokens: number[]): void;
  };
  const native = internal._llamaContext._ctx;
  invariant(typeof native?.getEmbedding === 'function', 'node-llama-cpp has its embedding call');
  const LAST = new Uint32Array(1);
  const NONE = new Uint32Array(0);
  return {
    readsForward: readsForward(model),
    prepare: (tokens) => {
      const prepared = [...tokens];
      internal._prepareInput(prepared);
      return prepared;
    },
    async evaluate(tokens, position, isLast) {
      for (const token of tokens)
        invariant(token >= 0 && token < vocabularySize, `token ${token} is in the vocabulary`);
      invariant(
        tokens.length > 0 && position + tokens.length <= options.contextTokens,
        'a part fits the context',
      );
      if (position === 0) native.disposeSequence(0);
      native.initBatch(tokens.length);
      LAST[0] = tokens.length - 1;
      native.addToBatch(0, position, Uint32Array.from(tokens), isLast ? LAST : NONE);
      await native.decodeBatch();
      return isLast ? Array.from(native.getEmbedding(position + tokens.length)) : null;
    },
    [Symbol.asyncDispose]: () => context.dispose(),
  };
}

/** A causal model whose vector is that of its last token. */
function readsForward(model: LlamaModel): boolean {
  const { metadata } = model.fileInfo;
  const architecture = (metadata as unknown as Record<string, Record<string, unknown> | undefined>)[
    metadata.general.architecture
  ];
  const attention = architecture?.['attention'] as { readonly causal?: boolean } | undefined;
  return (
    !model.fileInsights.hasEncoder &&
    attention?.causal !== false &&
    FORWARD_POOLING.includes(architecture?.['pooling_type'])
  );
}
