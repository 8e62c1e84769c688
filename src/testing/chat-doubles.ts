/**
 * Every driver of the common dialect beside the double of its engine, opened together: the table that the tests of the
 * drivers run over.
 */

import type { Driver, DriverDefinition } from '../engines/driver.ts';
import { DRIVERS, type EngineKind } from '../engines/index.ts';
import { createTransport } from '../engines/transport.ts';
import type { OpenedEngine } from './engine-conformance.ts';
import { type ChatDouble, DOUBLE_KEY, DOUBLE_MODEL, startChatDouble } from './wires/chat-double.ts';
import type { ChatWire } from './wires/chat-wire.ts';
import { LLAMA_SERVER_WIRE, LLAMA_SERVER_WITHOUT_METRICS } from './wires/llama-server.ts';
import { AZURE_WIRE, DEEPSEEK_WIRE, FOUNDRY_WIRE, OPENAI_WIRE, PLAIN_WIRE } from './wires/openai.ts';
import { SGLANG_WIRE } from './wires/sglang.ts';
import { TENSORRT_LLM_WIRE } from './wires/tensorrt-llm.ts';
import { TGI_WIRE } from './wires/tgi.ts';
import { VLLM_WIRE } from './wires/vllm.ts';

export interface ChatCase {
  readonly kind: EngineKind;
  readonly wire: ChatWire;
  /** As the configuration would have them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Behind the double's origin. */
  readonly basePath: string;
}

export const CHAT_CASES: readonly ChatCase[] = [
  { kind: 'vllm', wire: VLLM_WIRE, options: {}, basePath: '' },
  { kind: 'sglang', wire: SGLANG_WIRE, options: {}, basePath: '' },
  { kind: 'tensorrt-llm', wire: TENSORRT_LLM_WIRE, options: {}, basePath: '' },
  { kind: 'tgi', wire: TGI_WIRE, options: {}, basePath: '' },
  { kind: 'llama-server', wire: LLAMA_SERVER_WIRE, options: {}, basePath: '' },
  { kind: 'llama-server', wire: LLAMA_SERVER_WITHOUT_METRICS, options: {}, basePath: '' },
  { kind: 'openai', wire: OPENAI_WIRE, options: {}, basePath: '' },
  { kind: 'azure-openai', wire: AZURE_WIRE, options: {}, basePath: '/openai' },
  { kind: 'azure-openai', wire: FOUNDRY_WIRE, options: { maker: 'other' }, basePath: '/openai' },
  { kind: 'deepseek', wire: DEEPSEEK_WIRE, options: {}, basePath: '' },
  { kind: 'deepseek', wire: DEEPSEEK_WIRE, options: { continuesAssistant: true }, basePath: '' },
  { kind: 'openai-compatible', wire: PLAIN_WIRE, options: {}, basePath: '' },
];

export interface OpenedDouble extends OpenedEngine, Driver {
  readonly probe: Driver['probe'];
  readonly double: ChatDouble;
}

/** The driver of the list before its double. */
export function openChatDouble(
  { kind, wire, options, basePath }: ChatCase,
  parts: { readonly apiKey?: string } = {},
): Promise<OpenedDouble> {
  return openBefore(wire, DRIVERS[kind], { options, basePath, ...parts });
}

/** A driver on a real transport before a double of `wire`, as the conformance suite opens it. */
export async function openBefore(
  wire: ChatWire,
  driver: DriverDefinition,
  parts: {
    /** As the configuration would have them. */
    readonly options?: Readonly<Record<string, unknown>>;
    readonly basePath?: string;
    readonly apiKey?: string;
  } = {},
): Promise<OpenedDouble> {
  const double = await startChatDouble(wire);
  const { work } = double.state;
  const options = driver.options.parse(parts.options ?? {});
  const transport = createTransport({
    baseUrl: double.origin + (parts.basePath ?? ''),
    connections: 16,
    connectTimeoutMs: 5_000,
    headers: driver.headers(parts.apiKey ?? DOUBLE_KEY, options),
  });
  return {
    ...driver.create({ name: 'tested', model: DOUBLE_MODEL, options, transport: () => transport }),
    double,
    model: DOUBLE_MODEL,
    ignoresModel: !wire.checksModel,
    untilIdle: () => double.untilRunning(0),
    load: () => ({ running: work.running, waiting: work.waiting }),
    hold: async (phase) => {
      const held = work.hold(phase);
      return { [Symbol.asyncDispose]: async () => held[Symbol.dispose]() };
    },
    [Symbol.asyncDispose]: async () => {
      await transport[Symbol.asyncDispose]();
      await double[Symbol.asyncDispose]();
    },
  };
}
