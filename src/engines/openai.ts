/**
 * OpenAI's own API (engines.md §10.1): strict about fields, `max_completion_tokens`, four stop strings, and a 429 that
 * means an empty account as often as too many requests.
 */
import { z } from 'zod';
import { COMMON_SAMPLING, type Dialect } from './chat-dialect.ts';
import { bearer, createChatDriver } from './chat-driver.ts';
import { defineDriver } from './driver.ts';

/** Sent to the models of OpenAI, at OpenAI and at Azure alike. */
export const openaiModelOptions = {
  reasoningEffort: z
    .enum(['none', 'minimal', 'low', 'medium', 'high'])
    .optional()
    .describe(
      'For models that think: how much. none where the model knows it, else minimal: a player waits. Left out for models that do not think, which refuse the word.',
    ),
  sendsSampling: z
    .boolean()
    .default(true)
    .describe('Off for models that think, which refuse temperature, top_p and stop.'),
};

const modelOptionsSchema = z.object(openaiModelOptions);

export function openaiDialect({
  reasoningEffort,
  sendsSampling,
}: z.infer<typeof modelOptionsSchema>): Dialect {
  return {
    continuesAssistant: false,
    honoursPriority: false,
    reportsRunningUsage: false,
    maxTokensField: 'max_completion_tokens',
    sampling: sendsSampling ? COMMON_SAMPLING : {},
    stopsMax: sendsSampling ? 4 : 0,
    // Random padding against listeners that measure; it triples the bytes.
    streamOptions: { include_obfuscation: false },
    body: reasoningEffort === undefined ? {} : { reasoning_effort: reasoningEffort },
  };
}

export const openai = defineDriver({
  kind: 'openai',
  title: 'OpenAI chat completions; looked at in the API description of 2026-08',
  defaultBaseUrl: 'https://api.openai.com',
  isPaid: true,
  options: z.strictObject({
    ...openaiModelOptions,
    organization: z.string().min(1).optional().describe('Sent as OpenAI-Organization.'),
    project: z.string().min(1).optional().describe('Sent as OpenAI-Project.'),
  }),
  headers: (apiKey, { organization, project }) => ({
    ...bearer(apiKey),
    ...(organization === undefined ? {} : { 'openai-organization': organization }),
    ...(project === undefined ? {} : { 'openai-project': project }),
  }),
  create: (parts) =>
    createChatDriver(parts, {
      kind: 'openai',
      dialect: openaiDialect(parts.options),
      // The list costs nothing and tells whether the key holds and the model may be used.
      questions: { modelsPath: '/v1/models' },
    }),
});
