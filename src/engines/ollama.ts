/**
 * Ollama's native API (engines.md §6), looked at in the source of 0.33.0-rc2, 2026-08-21. Its `/v1` knows neither `num_ctx` nor
 * `keep_alive` and loses errors in a stream, so it is not used. Invariant: the options that shape its runner are the same
 * in every request for a model, because a change of any of them reloads the model.
 */
import type { Engine, EngineProbe, GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { Account } from './account.ts';
import { withAdapter } from './adapter-errors.ts';
import { askJson } from './ask-json.ts';
import { type DriverParts, defineDriver } from './driver.ts';
import { messagesGoingOn } from './going-on.ts';
import { createOllamaAdapters, isAdapterOf, ollamaAdapterName } from './ollama-adapters.ts';
import { createOllamaModels, isSameModel } from './ollama-models.ts';
import { type OllamaOptions, ollamaOptions, runnerOptions } from './ollama-options.ts';
import { OllamaReader } from './ollama-wire.ts';
import { streamReply } from './reply-stream.ts';
import { estimateTokens } from './token-counter.ts';

export const ollama = defineDriver({
  kind: 'ollama',
  title: 'Ollama, native API; looked at in 0.33.0-rc2 (2026-08)',
  defaultBaseUrl: 'http://127.0.0.1:11434',
  isPaid: false,
  options: ollamaOptions,
  // Ollama itself knows no keys; a proxy before it may.
  headers: (apiKey) => (apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
  create: (parts) => ({
    engine: createEngine(parts),
    probe: createProbe(parts),
    // There is no endpoint that counts. What it counted itself comes back with each answer.
    counter: { count: async (text) => estimateTokens(text) },
    prepare: (signal) => createOllamaModels(parts).load(signal),
    adapters: createOllamaAdapters(parts),
  }),
});

function createEngine({ name, options, transport }: DriverParts<OllamaOptions>): Engine {
  return {
    name,
    kind: 'ollama',
    isWritten: false,
    capabilities: {
      continuesAssistant: options.continuesAssistant,
      structuredOutput: 'schema',
      honoursPriority: false,
    },
    async *generate(request, signal) {
      signal.throwIfAborted();
      try {
        yield* streamReply(
          {
            engine: name,
            transport: transport(),
            path: '/api/chat',
            body: chatBody(request, options),
            framing: 'ndjson',
            reader: new OllamaReader(name, new Account(request)),
          },
          signal,
        );
      } catch (error) {
        throw withAdapter(error, request.adapter);
      }
    },
  };
}

/**
 * `truncate: false` turns a prompt that is too long into a 400; without it Ollama drops the oldest messages and says
 * nothing. Old versions, and models on its engine for Apple silicon, cut all the same: `promptTokens` of the answer
 * then is well below a count of what was sent. `shift` is not sent: it shapes the runner, and other programs send none.
 */
function chatBody(request: GenerateRequest, options: OllamaOptions): Record<string, unknown> {
  return {
    model:
      request.adapter === undefined
        ? request.model
        : ollamaAdapterName(request.adapter.engineName, request.model),
    messages: messagesGoingOn(request, options.continuesAssistant),
    stream: true,
    think: false,
    truncate: false,
    keep_alive: options.keepAlive,
    ...(request.responseSchema === undefined ? {} : { format: request.responseSchema }),
    options: {
      ...runnerOptions(options),
      num_predict: request.maxTokens,
      temperature: request.temperature,
      ...(request.topP === undefined ? {} : { top_p: request.topP }),
      ...(request.minP === undefined ? {} : { min_p: request.minP }),
      ...(request.repetitionPenalty === undefined ? {} : { repeat_penalty: request.repetitionPenalty }),
      ...(request.seed === undefined ? {} : { seed: request.seed }),
      ...(request.stop.length === 0 ? {} : { stop: request.stop }),
    },
  };
}

function createProbe(parts: DriverParts<OllamaOptions>): EngineProbe {
  const { name, model, options, transport } = parts;
  const models = createOllamaModels(parts);
  const notReady = (message: string) =>
    new ServiceError('not_ready', `${name}: ${message}`, { details: { engine: name, model } });
  return {
    version: async (signal) => {
      const answer = await askJson(
        { engine: name, transport: transport(), method: 'GET', path: '/api/version' },
        signal,
      );
      const version = answer['version'];
      return typeof version === 'string' ? version : 'unknown';
    },
    // Our own is listed as the configuration names it, with the context that we ask for.
    models: async (signal) =>
      (await models.list(signal)).map((each) => {
        const isOurs = isSameModel(each.name, model);
        return {
          id: isOurs ? model : each.name,
          maxModelTokens: isOurs ? options.numCtx : null,
          parent: each.parent,
        };
      }),
    live: async (signal) => {
      await askJson({ engine: name, transport: transport(), method: 'GET', path: '/api/version' }, signal);
    },
    ready: async (signal) => {
      // The base and its adapters have one place between them: whichever of them is there, the weights are.
      const loaded = (await models.loaded(signal)).find(
        (each) => isSameModel(each.name, model) || isAdapterOf(each.name, model),
      );
      if (loaded === undefined)
        throw notReady(
          `${model} is not in memory; a load brings it there, \`ollama pull ${model}\` fetches it`,
        );
      if (loaded.contextTokens !== null && loaded.contextTokens < options.numCtx)
        throw notReady(
          `${model} is in memory with a context of ${loaded.contextTokens} tokens, ours is ${options.numCtx}: the next request would load it anew; align numCtx with the other programs that use it, or with what the model was trained for`,
        );
      if (loaded.isPartlyOffloaded && !options.allowPartialOffload)
        throw notReady(
          `only ${loaded.gpuBytes} of ${loaded.bytes} bytes of ${model} are on the GPU, which makes it slow; use a smaller model or context, or set allowPartialOffload`,
        );
    },
    load: async () => null,
  };
}
