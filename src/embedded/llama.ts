/**
 * The only home of node-llama-cpp: a model, its vocabulary, and a decode context driven batch by batch. The public
 * iterator API takes a lock and several promises per token and sequence, so the batch calls of its addon are used
 * directly; `nativePieces` checks at load that each exists, because they are internal and the version is pinned.
 * Invariant: every token id that reaches the addon was made by it or checked here; a wrong one ends the process.
 */
import type { Llama, LlamaContext, LlamaGrammar, LlamaModel } from 'node-llama-cpp';
import {
  getLlama,
  InsufficientMemoryError,
  LlamaGrammarEvaluationState,
  LlamaLogLevel,
} from 'node-llama-cpp';
import { ServiceError } from '../core/errors.ts';
import { invariant } from '../lib/invariant.ts';
import { grammarSchema } from './json-schema.ts';
import { literalPattern } from './literal-pattern.ts';

/** Parts of node-llama-cpp 3.22 that are not in its public types. */
interface NativeContext {
  initBatch(tokens: number): void;
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logits: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(logitIndex: number, sampler: NativeSampler): Promise<number>;
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
  disposeSequence(sequence: number): void;
  setThreads(threads: number): void;
  copySequenceStateFromOtherSequence?(target: number, source: number): Promise<number>;
  getEmbedding(inputTokens: number): Float64Array;
}

interface NativeSampler {
  applyConfig(config: Readonly<Record<string, unknown>>): void;
  dispose(): void;
}

interface NativeModel {
  tokenize(text: string, special: boolean): Uint32Array;
  detokenize(tokens: Uint32Array, special: boolean): string;
}

interface NativePieces {
  readonly model: NativeModel;
  readonly Sampler: new (model: NativeModel) => NativeSampler;
}

/** How the next token is chosen. Neutral values switch a rule off: topK 0, topP 1, minP 0, penalties 1 and 0. */
export interface SamplingSettings {
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  /** 32 bits. */
  readonly seed: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** Added to the logit of a token. */
  readonly tokenBias: ReadonlyMap<number, number>;
}

/** State of one line's sampling; dispose it when the line ends. */
export interface Sampler extends Disposable {
  readonly native: NativeSampler;
}

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
  /** Forgets what `sequence` holds from `length` on. False when the model cannot: then it holds nothing. */
  truncate(sequence: number, length: number): boolean;
}

export interface Grammar {
  readonly native: LlamaGrammar;
}

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

export interface LoadedModel extends AsyncDisposable {
  readonly trainContextTokens: number;
  readonly vocabularySize: number;
  /** The GGUF's own jinja template, or null. */
  readonly chatTemplate: string | null;
  readonly bosText: string;
  readonly eosText: string;
  /** The token to begin every prompt with, or null when the model wants none. */
  readonly bosToken: number | null;
  /** Text of each control token and its id: what may never come out of a player's words. */
  readonly controlTokens: ReadonlyMap<string, number>;
  readonly endTokens: readonly number[];
  /** `special` lets control-token texts become control tokens; off, they are plain characters. */
  tokenize(text: string, special: boolean): number[];
  /** Control tokens give nothing. An unfinished UTF-8 character shows as U+FFFD. */
  detokenize(tokens: readonly number[]): string;
  isEnd(token: number): boolean;
  createContext(options: {
    sequences: number;
    contextTokens: number;
    batchTokens: number;
    threads: number;
  }): Promise<DecodeContext>;
  createEmbedder(options: { contextTokens: number; threads: number }): Promise<Embedder>;
  /** Throws `bad_request` when the schema uses what the grammar cannot say. */
  jsonGrammar(schema: Readonly<Record<string, unknown>>): Promise<Grammar>;
  /** Any JSON object. */
  anyJsonGrammar(): Promise<Grammar>;
}

export interface LoadOptions {
  readonly modelPath: string;
  readonly gpu: false | 'auto' | 'cuda' | 'vulkan' | 'metal';
  readonly onProgress?: (ratio: number) => void;
}

const LOG_LINES_KEPT = 40;

/** The end of the root rule of a generated grammar, as text: `"\n\n\n\n" [\n]*`. */
const NEWLINE_TAIL = / "(?:\\n){4}" \[\\n\]\*(?=\n|$)/;

/** GGUF token types (gguf specification, tokenizer.ggml.token_type). */
const CONTROL_TOKEN = 3;
const USER_DEFINED_TOKEN = 4;

/**
 * Loads a GGUF file. Throws `model_invalid` with the native reason for a missing, truncated or foreign file and
 * `out_of_memory` when it does not fit; nothing is downloaded or compiled.
 */
export async function loadModel(options: LoadOptions): Promise<LoadedModel> {
  const lines: string[] = [];
  const llama = await getLlama({
    build: 'never',
    gpu: options.gpu,
    logLevel: LlamaLogLevel.warn,
    logger: (_level, message) => {
      lines.push(message.trim());
      if (lines.length > LOG_LINES_KEPT) lines.shift();
    },
  }).catch((error: unknown) => {
    throw new ServiceError(
      'engine_unavailable',
      `llama.cpp has no binary for gpu: ${String(options.gpu)} on this machine: ${messageOf(error)}. Set gpu: false or install the binary.`,
      { cause: error },
    );
  });
  try {
    const model = await llama.loadModel({
      modelPath: options.modelPath,
      ...(options.onProgress === undefined ? {} : { onLoadProgress: options.onProgress }),
    });
    return describe(llama, model);
  } catch (error) {
    const reason = await nativeReason(lines);
    await llama.dispose();
    throw loadFailure(options.modelPath, error, reason);
  }
}

/** Native lines arrive through the event loop; two turns are enough for all that were written before the failure. */
async function nativeReason(lines: readonly string[]): Promise<string> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
  const native = lines.filter((line) => !line.startsWith('Failed simulating'));
  const telling = native.filter((line) => /error|fail|invalid|corrupt|not within|magic|alloc/i.test(line));
  return (telling.length > 0 ? telling : native).slice(0, 3).join('; ').slice(0, 500);
}

function loadFailure(path: string, error: unknown, reason: string): ServiceError {
  const detail = reason === '' ? messageOf(error) : `${messageOf(error)}: ${reason}`;
  const code = isMemoryFailure(error, reason) ? 'out_of_memory' : 'model_invalid';
  return new ServiceError(code, `${path} cannot be loaded: ${detail}`, { cause: error, details: { path } });
}

function isMemoryFailure(error: unknown, reason: string): boolean {
  return (
    error instanceof InsufficientMemoryError ||
    /bad_alloc|out of memory|failed to allocate|cannot allocate|not enough memory/i.test(
      `${messageOf(error)} ${reason}`,
    )
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Reaches for the internals once, and says plainly when another version of the library does not have them. */
function nativePieces(llama: Llama, model: LlamaModel): NativePieces {
  const bindings = (llama as unknown as { _bindings?: { AddonSampler?: NativePieces['Sampler'] } })._bindings;
  const native = (model as unknown as { _model?: NativeModel })._model;
  if (bindings?.AddonSampler === undefined || native?.tokenize === undefined)
    throw new ServiceError(
      'internal',
      'node-llama-cpp changed its internals: the version in package-lock.json is the one that works; run npm ci',
    );
  return { model: native, Sampler: bindings.AddonSampler };
}

function describe(llama: Llama, model: LlamaModel): LoadedModel {
  const pieces = nativePieces(llama, model);
  const tokenizer = model.fileInfo.metadata.tokenizer as
    | {
        readonly chat_template?: string;
        readonly ggml?: { readonly tokens?: readonly string[]; readonly token_type?: readonly number[] };
      }
    | undefined;
  const texts = tokenizer?.ggml?.tokens ?? [];
  const types = tokenizer?.ggml?.token_type ?? [];
  const controlTokens = new Map<string, number>();
  const markers: string[] = [];
  for (const [id, text] of texts.entries()) {
    if (text === '') continue;
    if (types[id] === CONTROL_TOKEN) controlTokens.set(text, id);
    // llama.cpp turns user-defined tokens into tokens even with special parsing off; those that look like markup
    // (some files list <|im_start|> so) are cut apart before tokenising.
    else if (types[id] === USER_DEFINED_TOKEN && /^[<[]\S+[>\]]$/.test(text)) markers.push(text);
  }
  const markerPattern = literalPattern(markers);
  const endTokens = texts.flatMap((_text, id) => (model.isEogToken(id as never) ? [id] : []));
  const ends = new Set(endTokens);
  const bos = model.tokens.bos;
  let anyJson: Promise<Grammar> | null = null;
  return {
    trainContextTokens: model.trainContextSize,
    vocabularySize: texts.length,
    chatTemplate: tokenizer?.chat_template ?? null,
    bosText: model.tokens.bosString ?? '',
    eosText: model.tokens.eosString ?? '',
    bosToken: model.tokens.shouldPrependBosToken ? bos : null,
    controlTokens,
    endTokens,
    tokenize: (text, special) => {
      const wellFormed = text.toWellFormed();
      if (special || markerPattern === null) return Array.from(pieces.model.tokenize(wellFormed, special));
      return wellFormed
        .replace(markerPattern, (marker) => `${marker.charAt(0)}\u0000${marker.slice(1)}`)
        .split('\u0000')
        .flatMap((part) => Array.from(pieces.model.tokenize(part, false)));
    },
    detokenize: (tokens) =>
      tokens.length === 0 ? '' : pieces.model.detokenize(Uint32Array.from(tokens), false),
    isEnd: (token) => ends.has(token),
    createContext: (options) => createContext(model, pieces, texts.length, options),
    createEmbedder: (options) => createEmbedder(model, texts.length, options),
    jsonGrammar: (schema) => jsonGrammar(llama, schema),
    anyJsonGrammar: () => {
      anyJson ??= llama.getGrammarFor('json').then((native) => ({ native }));
      return anyJson;
    },
    [Symbol.asyncDispose]: async () => {
      await model.dispose();
      await llama.dispose();
    },
  };
}

async function createContext(
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
  const LAST = Uint32Array.of(0);
  const NONE = new Uint32Array(0);
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
    truncate(sequence, length) {
      if (length > 0 && native.removeTokenCellsFromSequence(sequence, length, -1)) return true;
      native.disposeSequence(sequence);
      return length === 0;
    },
    [Symbol.asyncDispose]: () => context.dispose(),
  };
}

/**
 * Rules that are off are left out of the chain: a top-k over the whole vocabulary would sort it for every token. The
 * repetition penalty counts prompt and answer, presence and frequency penalties the answer alone, as vLLM does; the
 * addon has one window for all three, so with both kinds set the window is the answer.
 */
function createSampler(
  model: LlamaModel,
  pieces: NativePieces,
  settings: SamplingSettings,
  line: { prompt: readonly number[]; grammar: Grammar | null; contextTokens: number },
): Sampler {
  const { presencePenalty, frequencyPenalty, repetitionPenalty } = settings;
  const penalised = presencePenalty !== 0 || frequencyPenalty !== 0 || repetitionPenalty !== 1;
  const window = presencePenalty === 0 && frequencyPenalty === 0 ? line.prompt : [];
  const native = new pieces.Sampler(pieces.model);
  native.applyConfig({
    temperature: settings.temperature,
    seed: settings.seed,
    ...(settings.topK > 0 ? { topK: settings.topK } : {}),
    ...(settings.topP < 1 ? { topP: settings.topP } : {}),
    ...(settings.minP > 0 ? { minP: settings.minP } : {}),
    ...(penalised
      ? {
          repeatPenalty: repetitionPenalty,
          repeatPenaltyTokens: Uint32Array.from(window),
          repeatPenaltyMaxTokens: line.contextTokens,
          repeatPenaltyPresencePenalty: presencePenalty,
          repeatPenaltyFrequencyPenalty: frequencyPenalty,
        }
      : {}),
    ...(settings.tokenBias.size > 0
      ? {
          tokenBiasKeys: Uint32Array.from(settings.tokenBias.keys()),
          tokenBiasValues: Float32Array.from(settings.tokenBias.values()),
        }
      : {}),
    ...(line.grammar === null
      ? {}
      : {
          grammarEvaluationState: (
            new LlamaGrammarEvaluationState({ model, grammar: line.grammar.native }) as unknown as {
              _state: unknown;
            }
          )._state,
        }),
  });
  return { native, [Symbol.dispose]: () => native.dispose() };
}

/** Pooling that needs no other token than the last (gguf specification, `<architecture>.pooling_type`). */
const FORWARD_POOLING: readonly unknown[] = [undefined, 0, 3];

async function createEmbedder(
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

async function jsonGrammar(llama: Llama, schema: Readonly<Record<string, unknown>>): Promise<Grammar> {
  const accepted = grammarSchema(schema);
  try {
    // The library's type follows literal schemas; ours comes from outside and was checked.
    const create = llama.createGrammarForJsonSchema.bind(llama) as (schema: unknown) => Promise<LlamaGrammar>;
    const { grammar } = await create(accepted);
    // The library ends its root with newlines for a stop trigger of its own; without them an answer that is whole can
    // only end.
    return { native: await llama.createGrammar({ grammar: grammar.replace(NEWLINE_TAIL, '') }) };
  } catch (error) {
    throw new ServiceError('bad_request', `the JSON schema cannot be made a grammar: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
