/**
 * Any server of the common dialect that has no driver of its own. Only what all of them take is sent (engines.md §2.1);
 * what this one takes beyond it, and where it differs, is told in the configuration.
 */
import { z } from 'zod';
import type { EngineModel } from '../core/engine.ts';
import { heldOf } from './adapter-list.ts';
import { JSON_SCHEMA, NAMED_AS_MODEL, NO_STRUCTURE, type StructuredOutput } from './chat-dialect.ts';
import { bearer, createChatDriver } from './chat-driver.ts';
import type { Driver } from './driver.ts';
import { defineDriver } from './driver.ts';
import { createStartedAdapters } from './started-adapters.ts';

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
    adapters: z
      .enum(['none', 'models'])
      .default('none')
      .describe(
        'models: adapters that it was started with stand in its model list under the names that engines are told, such as lich@7-3fa9c1d2, and are asked for as models. none: it has no adapters.',
      ),
  }),
  headers: bearer,
  create: (parts) => {
    const { apiPath, maxTokensField, structuredOutput, stopsMax, adapters } = parts.options;
    const driver: Driver = createChatDriver(parts, {
      kind: 'openai-compatible',
      dialect: {
        continuesAssistant: false,
        honoursPriority: false,
        reportsRunningUsage: false,
        chatPath: `${apiPath}/chat/completions`,
        maxTokensField,
        structuredOutput: STRUCTURES[structuredOutput],
        stopsMax,
        ...(adapters === 'models' ? { addressing: NAMED_AS_MODEL } : {}),
      },
      questions: { modelsPath: `${apiPath}/models` },
    });
    if (adapters === 'none') return driver;
    return {
      ...driver,
      adapters: createStartedAdapters({
        engine: parts.name,
        // Who serves adapters as models is mostly vLLM behind something.
        traits: { mixesInBatch: true, isCacheIsolated: true },
        list: async (known, signal) => ({
          ...heldOf(known, asListed(await driver.probe.models(signal))),
          // A model of another name is no adapter.
          foreign: 0,
        }),
        howToStart: ({ engineName, path }) => `an adapter of the name ${engineName} from ${path}`,
      }),
    };
  },
});

function asListed(models: readonly EngineModel[]): readonly { readonly name: string; readonly path: null }[] {
  return models.map(({ id }) => ({ name: id, path: null }));
}
