/**
 * What one engine does differently from the common dialect of chat completions (engines.md §2), as data, and the request
 * body that follows from it. The body is a whitelist: nothing is sent that the engine is not known to take.
 */

import type { AdapterAddress } from '../core/adapter.ts';
import type { Priority } from '../core/dialogue.ts';
import type { EngineCapabilities, GenerateRequest } from '../core/engine.ts';
import { messagesGoingOn } from './going-on.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The numbers of a request that shape the sampling, and what the engine calls each; one left out is not sent. */
export type SamplingNames = Readonly<
  Partial<Record<'temperature' | 'topP' | 'minP' | 'repetitionPenalty' | 'seed', string>>
>;

export interface StructuredOutput {
  /** How far the answer is held to the schema. */
  readonly level: EngineCapabilities['structuredOutput'];
  /** The fields that ask for it. */
  readonly fields: (schema: Fields) => Fields;
  /** Said after the prompt, where the engine knows only that it shall be JSON. */
  readonly instruction?: (schema: Fields) => string;
}

export interface Dialect {
  /** Whether the engine can go on from an assistant message. */
  readonly continuesAssistant: boolean;
  /** What says so, in the body and in the message itself. Left out: vLLM's `continue_final_message`. */
  readonly continuation?: { readonly body: Fields; readonly message: Fields };
  readonly honoursPriority: boolean;
  /** What `priority` is for each of ours: some put the smaller first, some the larger (engines.md §13.5). */
  readonly priorities?: Readonly<Record<Priority, number>>;
  /** Whether every chunk can carry usage (`continuous_usage_stats`), so that a line cut early is accounted exactly. */
  readonly reportsRunningUsage: boolean;
  /** Left out: `/v1/chat/completions`. */
  readonly chatPath?: string;
  /** Left out: `max_tokens`. */
  readonly maxTokensField?: string;
  /** Left out: temperature, top_p and seed. */
  readonly sampling?: SamplingNames;
  /** Left out: OpenAI's `json_schema`. */
  readonly structuredOutput?: StructuredOutput;
  /** Stop strings that it takes; further ones are cut on our side. Left out: all. */
  readonly stopsMax?: number;
  /** Beyond `include_usage`. */
  readonly streamOptions?: Fields;
  /** Beyond the common fields, in every request. */
  readonly body?: Fields;
  /** What asks for an adapter; stands over the fields of the base. Left out: it has none, and one is refused. */
  readonly addressing?: (adapter: AdapterAddress, model: string) => Fields;
}

export const COMMON_SAMPLING: SamplingNames = { temperature: 'temperature', topP: 'top_p', seed: 'seed' };

/** OpenAI's structured output, which vLLM, SGLang, llama-server and Azure take as well. */
export const JSON_SCHEMA: StructuredOutput = {
  level: 'schema',
  fields: (schema) => ({
    response_format: { type: 'json_schema', json_schema: { name: 'reply', schema, strict: true } },
  }),
};

export const NO_STRUCTURE: StructuredOutput = { level: 'none', fields: () => ({}) };

/** The model's own template switches thinking off; templates that do not know the word ignore it. */
export const WITHOUT_THINKING: Fields = { chat_template_kwargs: { enable_thinking: false } };

/** Most call an adapter as they call a model. */
export const NAMED_AS_MODEL: NonNullable<Dialect['addressing']> = ({ engineName }) => ({ model: engineName });

const CONTINUATION = {
  body: { continue_final_message: true, add_generation_prompt: false },
  message: {},
};

/** The stop strings that are for us to cut at, because the engine takes no more. */
export function stopsLeft(request: GenerateRequest, dialect: Dialect): readonly string[] {
  return dialect.stopsMax === undefined ? [] : request.stop.slice(dialect.stopsMax);
}

/** The body of one request. */
export function chatBody(request: GenerateRequest, dialect: Dialect): Fields {
  const stops = dialect.stopsMax === undefined ? request.stop : request.stop.slice(0, dialect.stopsMax);
  const structured = dialect.structuredOutput ?? JSON_SCHEMA;
  const isOpen = request.assistantPrefix !== '' && dialect.continuesAssistant;
  return {
    model: request.model,
    messages: chatMessages(request, dialect, structured),
    stream: true,
    stream_options: {
      include_usage: true,
      ...(dialect.reportsRunningUsage ? { continuous_usage_stats: true } : {}),
      ...dialect.streamOptions,
    },
    [dialect.maxTokensField ?? 'max_tokens']: request.maxTokens,
    ...samplingFields(request, dialect.sampling ?? COMMON_SAMPLING),
    ...(stops.length === 0 ? {} : { stop: stops }),
    ...(dialect.priorities === undefined ? {} : { priority: dialect.priorities[request.priority] }),
    ...(request.responseSchema === undefined ? {} : structured.fields(request.responseSchema)),
    ...(isOpen ? (dialect.continuation ?? CONTINUATION).body : {}),
    ...dialect.body,
    ...(request.adapter === undefined ? {} : dialect.addressing?.(request.adapter, request.model)),
  };
}

function chatMessages(
  request: GenerateRequest,
  dialect: Dialect,
  structured: StructuredOutput,
): readonly Fields[] {
  const { responseSchema } = request;
  const going: readonly Fields[] = messagesGoingOn(request, dialect.continuesAssistant).map((each) => ({
    ...each,
  }));
  const last = going.at(-1);
  const isOpen = request.assistantPrefix !== '' && dialect.continuesAssistant;
  const before = isOpen ? going.slice(0, -1) : going;
  const rest = isOpen && last !== undefined ? [{ ...last, ...dialect.continuation?.message }] : [];
  // After the prompt: what stands before it is the same for every player and stays in the engine's cache.
  const said =
    responseSchema === undefined || structured.instruction === undefined
      ? []
      : [{ role: 'system', content: structured.instruction(responseSchema) }];
  return [...before, ...said, ...rest];
}

function samplingFields(request: GenerateRequest, names: SamplingNames): Fields {
  const fields: Record<string, unknown> = {};
  for (const [ours, theirs] of Object.entries(names)) {
    const value = request[ours as keyof SamplingNames];
    if (value !== undefined) fields[theirs] = value;
  }
  return fields;
}
