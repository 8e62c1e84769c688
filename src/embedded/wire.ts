/**
 * vLLM's wire as data (engines.md §2, §3): request schemas, defaults and bounds; replies and errors in OpenAI's shape.
 * Unknown fields are ignored, as vLLM does. What changes the answer and is not supported is refused by name.
 */
import { z } from 'zod';
import type { ErrorCode } from '../core/errors.ts';
import { ERRORS, ServiceError } from '../core/errors.ts';
import type { TemplateMessage } from './chat-template.ts';

const MESSAGES_MAX = 512;
const STOPS_MAX = 32;
const BIAS_MAX = 1_024;
const INPUTS_MAX = 256;

const textPart = z.object({ type: z.literal('text'), text: z.string() });

const message = z
  .object({
    role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
    content: z.union([z.string(), z.array(textPart)]).nullish(),
  })
  .transform(
    ({ role, content }): TemplateMessage => ({
      role: role === 'developer' ? 'system' : role,
      content: typeof content === 'string' ? content : (content ?? []).map((part) => part.text).join(''),
    }),
  );

/** A field that would change the answer: absent or empty passes, anything else is refused with the reason. */
const refused = (reason: string) => z.unknown().refine(isNothing, { message: reason }).optional();

function isNothing(value: unknown): boolean {
  return (
    value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0)
  );
}

const sampling = {
  model: z.string().max(512).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .object({ include_usage: z.boolean().nullish(), continuous_usage_stats: z.boolean().nullish() })
    .nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  seed: z.number().refine(Number.isInteger, { message: 'must be an integer' }).nullish(),
  max_tokens: z.int().min(1).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(STOPS_MAX)]).nullish(),
  include_stop_str_in_output: z.boolean().nullish(),
  ignore_eos: z.boolean().nullish(),
  logit_bias: z.record(z.string().regex(/^\d{1,7}$/), z.number().min(-100).max(100)).nullish(),
  priority: z.int().min(-1_000_000).max(1_000_000).nullish(),
  n: z.literal(1, { message: 'must be 1: this engine gives one choice' }).nullish(),
  response_format: z
    .union([
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json_object') }),
      z.object({
        type: z.literal('json_schema'),
        json_schema: z.object({ schema: z.record(z.string(), z.unknown()) }),
      }),
    ])
    .nullish(),
};

export const chatRequestSchema = z.object({
  ...sampling,
  messages: z.array(message).min(1).max(MESSAGES_MAX),
  max_completion_tokens: z.int().min(1).nullish(),
  add_generation_prompt: z.boolean().nullish(),
  continue_final_message: z.boolean().nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  tools: refused('are not supported by this engine; describe the actions in the prompt'),
  logprobs: refused('are not supported by this engine'),
});

export const completionRequestSchema = z.object({
  ...sampling,
  prompt: z.union([z.string(), z.array(z.int().min(0)).min(1)]),
  echo: refused('is not supported by this engine'),
  suffix: refused('is not supported by this engine'),
  logprobs: refused('are not supported by this engine'),
});

export const embeddingsRequestSchema = z.object({
  model: z.string().max(512).nullish(),
  input: z.union([z.string(), z.array(z.string()).min(1).max(INPUTS_MAX)]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: refused('is not supported by this engine'),
});

export const tokenizeRequestSchema = z.object({
  model: z.string().max(512).nullish(),
  prompt: z.string().optional(),
  messages: z.array(message).min(1).max(MESSAGES_MAX).optional(),
  add_generation_prompt: z.boolean().nullish(),
  continue_final_message: z.boolean().nullish(),
  add_special_tokens: z.boolean().nullish(),
});

export type SamplingRequest = z.output<z.ZodObject<typeof sampling>>;
export type ChatRequest = z.output<typeof chatRequestSchema>;
export type CompletionRequest = z.output<typeof completionRequestSchema>;

export { BIAS_MAX };

/** Parses with a schema; throws `bad_request` naming the field, the value's fault and what was expected. */
export function parseRequest<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.map(String).join('.') ?? '';
  throw new ServiceError(
    'bad_request',
    `${field === '' ? 'the body' : field}: ${issue?.message ?? 'is not valid'}`,
    {
      details: { param: field === '' ? null : field },
    },
  );
}

/** vLLM's `type` for a status (engines.md §3.4). */
const VLLM_TYPE: Readonly<Record<number, string>> = {
  400: 'BadRequestError',
  404: 'NotFoundError',
  413: 'BadRequestError',
  500: 'InternalServerError',
};

/** Errors that vLLM answers with another status than our own doors do. */
const WIRE_CODES: Readonly<Partial<Record<ErrorCode, ErrorCode>>> = {
  engine_error: 'internal',
  adapter_failed: 'internal',
  adapter_incompatible: 'adapter_invalid',
};

export interface WireError {
  readonly status: number;
  readonly body: { readonly error: Readonly<Record<string, unknown>> };
}

/** An error as `{"error": {message, type, param, code}}`; `code` is the HTTP status, as vLLM gives it. */
export function wireError(error: unknown): WireError {
  const failure = ServiceError.from(error);
  const code = WIRE_CODES[failure.code] ?? failure.code;
  const { status, openai } = ERRORS[code];
  const param =
    failure.code === 'unknown_model' ? 'model' : ((failure.details['param'] as string | undefined) ?? null);
  return {
    status,
    body: {
      error: {
        message: failure.message,
        type: failure.details['type'] ?? VLLM_TYPE[status] ?? openai,
        param,
        code: status,
      },
    },
  };
}

export interface WireUsage {
  readonly prompt_tokens: number;
  readonly total_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

export function wireUsage(counts: {
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number;
}): WireUsage {
  return {
    prompt_tokens: counts.promptTokens,
    total_tokens: counts.promptTokens + counts.completionTokens,
    completion_tokens: counts.completionTokens,
    prompt_tokens_details: { cached_tokens: counts.cachedTokens },
  };
}
