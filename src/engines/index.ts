/** The drivers: the one place to add an engine. Its `kind` in the configuration is the key here. */
import type { DriverDefinition } from './driver.ts';
import { openaiCompatible } from './openai-compatible.ts';
import { vllm } from './vllm.ts';

export const DRIVERS = {
  vllm,
  'openai-compatible': openaiCompatible,
} as const satisfies Record<string, DriverDefinition>;

export type EngineKind = keyof typeof DRIVERS;
