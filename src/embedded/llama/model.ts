/** A model and its vocabulary: the door to llama.cpp. This folder is the only home of node-llama-cpp. */
import type { Llama, LlamaModel } from 'node-llama-cpp';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { ServiceError } from '../../core/errors.ts';
import { literalPattern } from '../literal-pattern.ts';
import type { DecodeContext } from './decode-context.ts';
import { createContext } from './decode-context.ts';
import type { Embedder } from './embedder.ts';
import { createEmbedder } from './embedder.ts';
import type { Grammar } from './grammar.ts';
import { jsonGrammar } from './grammar.ts';
import type { Lora } from './lora.ts';
import { loadLora } from './lora.ts';
import { isMemoryFailure, messageOf, NativeLog, nativePieces } from './native.ts';

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
  /** Whether a copy of a sequence is likely to be whole; the context tries it. */
  readonly copiesWhole: boolean;
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
  /**
   * Loads an adapter's file, which must have been checked. No pass may run meanwhile. Throws `adapter_failed` with the
   * native reason.
   */
  loadLora(path: string): Promise<Lora>;
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

/** GGUF token types (gguf specification, tokenizer.ggml.token_type). */
const CONTROL_TOKEN = 3;
const USER_DEFINED_TOKEN = 4;

/**
 * Loads a GGUF file. Throws `model_invalid` with the native reason for a missing, truncated or foreign file and
 * `out_of_memory` when it does not fit; nothing is downloaded or compiled.
 */
export async function loadModel(options: LoadOptions): Promise<LoadedModel> {
  const log = new NativeLog();
  const llama = await getLlama({
    build: 'never',
    gpu: options.gpu,
    logLevel: LlamaLogLevel.warn,
    logger: (_level, message) => log.add(message),
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
    return describe(llama, model, log);
  } catch (error) {
    const reason = await log.reason();
    await llama.dispose();
    throw loadFailure(options.modelPath, error, reason);
  }
}

function loadFailure(path: string, error: unknown, reason: string): ServiceError {
  const detail = reason === '' ? messageOf(error) : `${messageOf(error)}: ${reason}`;
  const code = isMemoryFailure(error, reason) ? 'out_of_memory' : 'model_invalid';
  return new ServiceError(code, `${path} cannot be loaded: ${detail}`, { cause: error, details: { path } });
}

function describe(llama: Llama, model: LlamaModel, log: NativeLog): LoadedModel {
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
    copiesWhole:
      model.fileInsights.swaSize === undefined &&
      !model.fileInsights.isRecurrent &&
      !model.fileInsights.isHybrid,
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
    loadLora: (path) => loadLora(pieces, path, log),
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
