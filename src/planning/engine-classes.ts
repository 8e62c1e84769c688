/**
 * Engine classes: how fast one machine of a kind is with one model, and what an hour of it costs. Every row says whether it
 * was measured by us or published by whom, and when. A machine for which nobody has published figures that tell reading from
 * speaking has no row; a studio gives its own (`engine:` in the plan file), from `vllm bench serve` at one and at more streams.
 */
import type { EnginePace } from './engine-model.ts';

export interface EngineClass {
  readonly name: string;
  /** The machine and the model that the figures are of. */
  readonly machine: string;
  readonly model: string;
  readonly pace: EnginePace;
  /** Lines under way at once that the gateway lets through: the knee of the published curve. */
  readonly maxInFlight: number;
  /** US dollars for an hour; null: nobody rents it, or its price was not found. */
  readonly usdPerHour: number | null;
  readonly priceSource: string;
  readonly paceSource: string;
  readonly origin: 'measured by us' | 'published';
}

const DEPLOYBASE = 'on demand, RunPod list of March 2026 (deploybase.ai/articles/runpod-gpu-pricing)';

/**
 * How the figures were read. Closed-loop curves give milliseconds per token and stream, T(C) = C / (tokens per second),
 * which are a line in C: its foot is `stepMs`, its slope is `stepMsPerSequence` + (prompt / answer) · `prefillMsPerToken`.
 * Times to the first token at one or two streams split the slope. bench:scale plays each curve back and prints the error.
 */
export const ENGINE_CLASSES: readonly EngineClass[] = [
  {
    name: 'laptop-cpu',
    machine: '2 cores of an AMD EPYC, no GPU',
    model: 'SmolLM2-135M-Instruct Q4_1',
    pace: {
      overheadMs: 5,
      prefillMsPerToken: 4.4,
      stepMs: 6,
      stepMsPerSequence: 4.2,
      sequencesMax: 16,
      // The embedded engine cuts reading so that a pass takes about 90 ms (embedded/options.ts, stepTargetMs): 18 of these.
      prefillTokensPerStep: 18,
      prefixTokens: 16_384,
    },
    maxInFlight: 8,
    usdPerHour: null,
    priceSource: 'none: it runs on what is there',
    paceSource: 'bench/results/engine.json, greenroom engine, 1 to 16 streams',
    origin: 'measured by us',
  },
  {
    name: 'l4',
    machine: 'NVIDIA L4 24 GB',
    model: 'Qwen2.5-0.5B-Instruct BF16',
    pace: {
      overheadMs: 17,
      prefillMsPerToken: 0.0185,
      stepMs: 5.03,
      stepMsPerSequence: 0.064,
      sequencesMax: 256,
      prefillTokensPerStep: 2_048,
      // 18 GB of cache at 12,288 bytes a token (24 layers, 2 key-value heads of 64, 16 bits).
      prefixTokens: 1_400_000,
    },
    maxInFlight: 32,
    usdPerHour: 0.78,
    priceSource: DEPLOYBASE,
    paceSource:
      'vLLM 0.23, 256/128 tokens, 1 to 32 streams, first token and gap medians (ai.wmx.dev/benchmarks)',
    origin: 'published',
  },
  {
    name: 'rtx-4090',
    machine: 'NVIDIA RTX 4090 24 GB',
    model: 'Mistral-7B-Instruct-v0.3 FP16',
    pace: {
      overheadMs: 5,
      prefillMsPerToken: 0.14,
      stepMs: 17.1,
      stepMsPerSequence: 0.125,
      sequencesMax: 256,
      prefillTokensPerStep: 2_048,
      prefixTokens: 50_000,
    },
    maxInFlight: 16,
    usdPerHour: 0.6,
    priceSource: DEPLOYBASE,
    paceSource:
      'vLLM, 256/128 tokens, 4 to 48 streams (mushfiqrahman.dev, Benchmarking Mistral-7B on RTX 4090)',
    origin: 'published',
  },
  {
    name: 'a100-40',
    machine: 'NVIDIA A100 40 GB',
    model: 'Llama-3.1-8B-Instruct BF16',
    pace: {
      overheadMs: 5,
      // Two points only, so the slope cannot be split: all of it is taken for reading, which dear prompts make dearer.
      prefillMsPerToken: 0.05,
      stepMs: 12.93,
      stepMsPerSequence: 0,
      sequencesMax: 256,
      prefillTokensPerStep: 2_048,
      prefixTokens: 155_000,
    },
    maxInFlight: 8,
    usdPerHour: 2.1,
    priceSource: `${DEPLOYBASE}; that of the 80 GB card, none was found for 40 GB`,
    paceSource:
      'vLLM 0.23, 1024/128 tokens: 75 tokens/s at 1 stream, 495 at 8 (johnmusgrave.com, vLLM throughput-latency sweep, 2026)',
    origin: 'published',
  },
];

/** The machines that a studio will ask for and that have no row, and why. */
export const LEFT_OUT: readonly string[] = [
  'a10g: one published point of a pair of cards under saturation',
  'l40s: no published curve found',
  'h100: the curves that were found do not say their prompt length',
];
