/**
 * Text from Triton's language models over its generate extension (engines.md §7.7, §9.1): the tensorrtllm backend in both
 * its forms, and the vLLM backend. A prompt goes in as one text, tokens come as SSE, the end of the body is the end of the
 * answer. What the tensors are called is the model's own affair, so every name is an option.
 */
import type { Engine, EngineProbe, GenerateRequest } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { readBody } from '../core/transport.ts';
import { Account } from './account.ts';
import { refuseAnyAdapter } from './adapter-errors.ts';
import { askJson, asNotReady } from './ask-json.ts';
import { type DriverParts, defineDriver } from './driver.ts';
import { promptText, templateEnds } from './prompt-template.ts';
import { type Frame, readRefusal, streamReply } from './reply-stream.ts';
import { cutAtStop } from './stop-strings.ts';
import { estimateTokens } from './token-counter.ts';
import {
  fieldsOf,
  type TritonFields,
  type TritonTextOptions,
  tritonTextOptions,
} from './triton-text-options.ts';
import { TritonTextReader } from './triton-text-wire.ts';

export const tritonText = defineDriver({
  kind: 'triton-text',
  title: 'Triton generate extension (tensorrtllm, vLLM backends); looked at in 26.08',
  defaultBaseUrl: 'http://127.0.0.1:8000',
  isPaid: false,
  relaysOpenAi: false,
  options: tritonTextOptions,
  // Triton itself knows no keys; a proxy before it may.
  headers: (apiKey): Record<string, string> => (apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
  create: (parts) => ({
    engine: createEngine(parts),
    probe: createProbe(parts),
    // It has no tokenizer of its own to ask.
    counter: { count: async (text) => estimateTokens(text) },
  }),
});

function createEngine({ name, options, transport }: DriverParts<TritonTextOptions>): Engine {
  const fields = fieldsOf(options);
  return {
    name,
    kind: 'triton-text',
    isWritten: false,
    // The prompt is one text: it goes on from wherever it ends.
    capabilities: { continuesAssistant: true, structuredOutput: 'none', honoursPriority: false },
    async *generate(request, signal) {
      signal.throwIfAborted();
      refuseAnyAdapter(name, 'triton-text', request.adapter);
      const account = new Account(request);
      const events = streamReply(
        {
          engine: name,
          transport: transport(),
          path: `${modelPath(request.model, options)}/generate_stream`,
          body: generateBody(request, options, fields),
          framing: 'sse',
          reader: new TritonTextReader(name, account, fields, request.maxTokens),
          refused: ({ status, body }) => tritonRefusal(name, status, body),
        },
        signal,
      );
      // Backends differ in whether a stop string is left in the text; a model may say its own end mark.
      yield* cutAtStop(events, [...request.stop, ...templateEnds(options.template)]);
    },
  };
}

function modelPath(model: string, { modelVersion }: TritonTextOptions): string {
  const path = `/v2/models/${encodeURIComponent(model)}`;
  return modelVersion === undefined ? path : `${path}/versions/${encodeURIComponent(modelVersion)}`;
}

/** A model that is not there is a 404, or a 400 with these words, by version. */
function tritonRefusal(engine: string, status: number, body: Frame): ServiceError | null {
  const { error } = body as { error?: unknown };
  if (status !== 400 || !/unknown model|is not found|is not ready/i.test(String(error))) return null;
  return new ServiceError('unknown_model', `${engine} answered ${status}: ${String(error).slice(0, 1_000)}`, {
    details: { engine, status },
  });
}

function generateBody(
  request: GenerateRequest,
  options: TritonTextOptions,
  fields: TritonFields,
): Record<string, unknown> {
  const sampling: Record<string, unknown> = {};
  const put = (field: string | null, value: unknown) => {
    if (field !== null && value !== undefined) sampling[field] = value;
  };
  put(fields.maxTokens, request.maxTokens);
  put(fields.temperature, request.temperature);
  put(fields.topP, request.topP);
  put(fields.minP, request.minP);
  put(fields.repetitionPenalty, request.repetitionPenalty);
  put(fields.seed, request.seed);
  put(fields.stop, request.stop.length === 0 ? undefined : request.stop);
  return {
    [fields.prompt]: promptText(options.template, request.messages, request.assistantPrefix),
    [fields.stream]: true,
    ...options.inputs,
    ...fields.constants,
    ...(fields.samplingJson === null ? sampling : { [fields.samplingJson]: JSON.stringify(sampling) }),
  };
}

function createProbe({ name, model, options, transport }: DriverParts<TritonTextOptions>): EngineProbe {
  /** Triton answers health with an empty body, 200 or 400. */
  const isOk = async (path: string, signal: AbortSignal): Promise<void> => {
    const reply = await transport().exchange({ method: 'GET', path, headers: {} }, signal);
    if (reply.status === 200) {
      await readBody(reply.body, 10_000);
      return;
    }
    const failure = await readRefusal(name, reply);
    signal.throwIfAborted();
    throw failure.code === 'bad_request'
      ? new ServiceError('not_ready', `${name}: ${path} answered 400, which means no`, {
          details: { engine: name, path },
        })
      : failure;
  };
  return {
    version: async (signal) => {
      const { version } = (await askJson(
        { engine: name, transport: transport(), method: 'GET', path: '/v2' },
        signal,
      )) as { version?: unknown };
      return typeof version === 'string' ? version : 'unknown';
    },
    // The repository index answers with a list, not an object, and may be switched off; the model of the configuration is known.
    models: async (signal) => {
      await askJson(
        { engine: name, transport: transport(), method: 'GET', path: modelPath(model, options) },
        signal,
      );
      return [{ id: model, maxModelTokens: null, parent: null }];
    },
    live: (signal) => isOk('/v2/health/live', signal),
    ready: async (signal) => {
      try {
        await isOk(`${modelPath(model, options)}/ready`, signal);
      } catch (error) {
        throw asNotReady(error);
      }
    },
    // Its counts are on another port (8002).
    load: async () => null,
  };
}
