/**
 * Any server of the common dialect that has no driver of its own. Only what all of them take is sent (engines.md §2.1);
 * what this one takes beyond it, and where it differs, is told in the configuration.
 */
import { z } from 'zod';
import { JSON_SCHEMA, NO_STRUCTURE, type StructuredOutput } from './chat-dialect.ts';
import { bearer, createChatDriver } from './chat-driver.ts';
import { defineDriver } from './driver.ts';

/** Servers that know no schema, and refuse the word json unless the prompt has it (engines.md §10.5). */
export const JSON_OBJECT: StructuredOutput = {
  level: 'json',
  fields: () => ({ response_format: { type: 'json_object' } }),
  instruction: (schema) =>
    `Answer with one json object and nothing else. It follows this JSON schema: ${JSON.stringify(schema)}`,
};

const STRUCTURES = { schema: JSON_SCHEMA, json: JSON_OBJECT, none: NO_STRUCTURE } as const;

export const openaiCompatible = defineDriver({
  kind: 'openai-compatible',
  title: 'Any server that speaks chat completions; nothing is sent beyond what all of them take',
  defaultBaseUrl: null,
  isPaid: false,
  options: z.strictObject({
    apiPath: z
      .string()
      .regex(/^(?:\/[\w.-]+)*$/)
      .default('/v1')
      .describe('What stands between baseUrl and /chat/completions; empty when baseUrl holds it.'),
    maxTokensField: z
      .enum(['max_tokens', 'max_completion_tokens'])
      .default('max_tokens')
      .describe('What it calls the limit of the answer.'),
    structuredOutput: z
      .enum(['schema', 'json', 'none'])
      .default('schema')
      .describe('schema: takes response_format json_schema. json: only json_object. none: neither.'),
    stopsMax: z
      .int()
      .min(0)
      .max(64)
      .default(4)
      .describe('Stop strings that it takes; further ones are cut on our side.'),
  }),
  headers: bearer,
  create: (parts) => {
    const { apiPath, maxTokensField, structuredOutput, stopsMax } = parts.options;
    return createChatDriver(parts, {
      kind: 'openai-compatible',
      dialect: {
        continuesAssistant: false,
        honoursPriority: false,
        reportsRunningUsage: false,
        chatPath: `${apiPath}/chat/completions`,
        maxTokensField,
        structuredOutput: STRUCTURES[structuredOutput],
        stopsMax,
      },
      questions: { modelsPath: `${apiPath}/models` },
    });
  },
});
