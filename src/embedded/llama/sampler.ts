/** How the next token of a line is chosen: the settings, and the native chain that they become. */
import type { LlamaModel } from 'node-llama-cpp';
import { LlamaGrammarEvaluationState } from 'node-llama-cpp';
import type { Grammar } from './grammar.ts';
import type { NativePieces, NativeSampler } from './native.ts';

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

/**
 * Rules that are off are left out of the chain: a top-k over the whole vocabulary would sort it for every token. The
 * repetition penalty counts prompt and answer, presence and frequency penalties the answer alone, as vLLM does; the
 * addon has one window for all three, so with both kinds set the window is the answer.
 */
export function createSampler(
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
