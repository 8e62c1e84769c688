/**
 * Azure OpenAI and Microsoft Foundry through their v1 API (engines.md §10.2), deployments of DeepSeek, Llama and others
 * among them: the model is the name of the deployment, the key has a header of its own, and a content filter speaks in
 * chunks without choices.
 */
import { z } from 'zod';
import { COMMON_SAMPLING, type Dialect } from './chat-dialect.ts';
import { bearer, createChatDriver } from './chat-driver.ts';
import { expect200 } from './chat-probe.ts';
import { defineDriver } from './driver.ts';
import { openaiDialect, openaiModelOptions } from './openai.ts';

/** Deployments of other makers' models take the older names, and no field of OpenAI's own. */
const FOUNDRY: Dialect = {
  continuesAssistant: false,
  honoursPriority: false,
  reportsRunningUsage: false,
  sampling: COMMON_SAMPLING,
  stopsMax: 4,
};

export const azureOpenai = defineDriver({
  kind: 'azure-openai',
  title: 'Azure OpenAI and Foundry deployments, v1 API (since 2025-08), DeepSeek among them',
  // https://{resource}.openai.azure.com/openai
  defaultBaseUrl: null,
  isPaid: true,
  options: z.strictObject({
    maker: z
      .enum(['openai', 'other'])
      .default('openai')
      .describe('Whose model is deployed: other for DeepSeek, Llama, Mistral, Grok.'),
    auth: z
      .enum(['api-key', 'bearer'])
      .default('api-key')
      .describe('bearer: the key is an Entra token, which somebody has to renew.'),
    ...openaiModelOptions,
  }),
  headers: (apiKey, { auth }) =>
    auth === 'bearer' ? bearer(apiKey) : apiKey === null ? {} : { 'api-key': apiKey },
  create: (parts) =>
    createChatDriver(parts, {
      kind: 'azure-openai',
      dialect: parts.options.maker === 'openai' ? openaiDialect(parts.options) : FOUNDRY,
      questions: {
        modelsPath: '/v1/models',
        // The list names models, not deployments: it proves the address and the key, no more.
        ready: async (ask, _model, signal) => {
          await expect200(parts.name, await ask('/v1/models', signal));
        },
      },
    }),
});
