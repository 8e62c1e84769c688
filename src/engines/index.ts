/** The drivers: the one place to add an engine. Its `kind` in the configuration is the key here. */
import { anthropic } from './anthropic.ts';
import { azureOpenai } from './azure-openai.ts';
import { deepseek } from './deepseek.ts';
import type { DriverDefinition } from './driver.ts';
import { gemini } from './gemini.ts';
import { llamaServer } from './llama-server.ts';
import { ollama } from './ollama.ts';
import { openai } from './openai.ts';
import { openaiCompatible } from './openai-compatible.ts';
import { sglang } from './sglang.ts';
import { tensorrtLlm } from './tensorrt-llm.ts';
import { tgi } from './tgi.ts';
import { tritonText } from './triton-text.ts';
import { vllm } from './vllm.ts';

export const DRIVERS = {
  vllm,
  sglang,
  'tensorrt-llm': tensorrtLlm,
  tgi,
  'llama-server': llamaServer,
  openai,
  'azure-openai': azureOpenai,
  deepseek,
  'openai-compatible': openaiCompatible,
  ollama,
  anthropic,
  gemini,
  'triton-text': tritonText,
} as const satisfies Record<string, DriverDefinition>;

export type EngineKind = keyof typeof DRIVERS;
