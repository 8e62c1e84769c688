/**
 * Google's Gemini API (engines.md §10.4), `v1beta`, looked at in the vendor's SDK 3.1.0 of November 2026. Without `alt=sse`
 * its stream would be one JSON array. Hanging up only ends the reading: what was under way may be billed.
 */
import { z } from 'zod';
import type { Engine, EngineProbe, GenerateRequest } from '../core/engine.ts';
import { Account, count } from './account.ts';
import { refuseAnyAdapter } from './adapter-errors.ts';
import { askJson, asNotReady } from './ask-json.ts';
import { type DriverParts, defineDriver } from './driver.ts';
import { GeminiReader, geminiRefusal } from './gemini-wire.ts';
import { messagesGoingOn } from './going-on.ts';
import { type Frame, streamReply } from './reply-stream.ts';
import { cutAtStop } from './stop-strings.ts';
import { estimateTokens } from './token-counter.ts';
import { asTurns } from './turns.ts';

/** More stop sequences are refused. */
const STOPS_MAX = 5;

const HARM_CATEGORIES = [
  'HARM_CATEGORY_HARASSMENT',
  'HARM_CATEGORY_HATE_SPEECH',
  'HARM_CATEGORY_SEXUALLY_EXPLICIT',
  'HARM_CATEGORY_DANGEROUS_CONTENT',
] as const;

export const geminiOptions = z.strictObject({
  thinking: z
    .enum(['off', 'minimal', 'unset'])
    .default('off')
    .describe(
      '"off" is a thinking budget of 0 (Gemini 2.5 Flash); "minimal" the least level (Gemini 3, which cannot be without); "unset" leaves it to the model.',
    ),
  thinkingTokensMax: z
    .int()
    .min(0)
    .max(65_536)
    .default(0)
    .describe(
      'Room for thoughts, which Gemini counts into the most tokens of an answer; for models that think.',
    ),
  safetyThreshold: z
    .enum(['OFF', 'BLOCK_NONE', 'BLOCK_ONLY_HIGH', 'BLOCK_MEDIUM_AND_ABOVE', 'BLOCK_LOW_AND_ABOVE'])
    .optional()
    .describe(
      'From which likelihood of harm on an answer is blocked, for all four kinds; left out: Google decides. A game with fights wants BLOCK_ONLY_HIGH.',
    ),
});

type GeminiOptions = z.infer<typeof geminiOptions>;

export const gemini = defineDriver({
  kind: 'gemini',
  title: 'Google Gemini API v1beta; looked at in 2026-11',
  defaultBaseUrl: 'https://generativelanguage.googleapis.com',
  isPaid: true,
  relaysOpenAi: false,
  options: geminiOptions,
  headers: (apiKey): Record<string, string> => (apiKey === null ? {} : { 'x-goog-api-key': apiKey }),
  create: (parts) => ({
    engine: createEngine(parts),
    probe: createProbe(parts),
    // Its `:countTokens` is a trip over the internet inside a player's deadline.
    counter: { count: async (text) => estimateTokens(text) },
  }),
});

function createEngine({ name, options, transport }: DriverParts<GeminiOptions>): Engine {
  return {
    name,
    kind: 'gemini',
    isWritten: false,
    capabilities: { continuesAssistant: false, structuredOutput: 'schema', honoursPriority: false },
    async *generate(request, signal) {
      signal.throwIfAborted();
      refuseAnyAdapter(name, 'gemini', request.adapter);
      const events = streamReply(
        {
          engine: name,
          transport: transport(),
          path: `/v1beta/${resource(request.model)}:streamGenerateContent?alt=sse`,
          body: generateBody(request, options),
          framing: 'sse',
          reader: new GeminiReader(name, new Account(request)),
          refused: (refused) => geminiRefusal(name, refused),
        },
        signal,
      );
      yield* cutAtStop(events, request.stop.slice(STOPS_MAX));
    },
  };
}

/** `gemini-3-flash`, or a name with its collection: `tunedModels/innkeeper`. */
function resource(model: string): string {
  const path = model.split('/').map(encodeURIComponent).join('/');
  return model.includes('/') ? path : `models/${path}`;
}

function generateBody(request: GenerateRequest, options: GeminiOptions): Record<string, unknown> {
  const { system, turns } = asTurns(messagesGoingOn(request, false));
  const stops = request.stop.slice(0, STOPS_MAX);
  const thinking = thinkingConfig(options);
  return {
    contents: turns.map(({ role, text }) => ({
      role: role === 'assistant' ? 'model' : 'user',
      parts: [{ text }],
    })),
    ...(system.length === 0 ? {} : { systemInstruction: { parts: system.map((text) => ({ text })) } }),
    generationConfig: {
      maxOutputTokens: request.maxTokens + options.thinkingTokensMax,
      temperature: request.temperature,
      ...(request.topP === undefined ? {} : { topP: request.topP }),
      ...(request.seed === undefined ? {} : { seed: request.seed }),
      ...(stops.length === 0 ? {} : { stopSequences: stops }),
      ...(request.responseSchema === undefined
        ? {}
        : { responseMimeType: 'application/json', responseJsonSchema: request.responseSchema }),
      ...(thinking === null ? {} : { thinkingConfig: thinking }),
    },
    ...(options.safetyThreshold === undefined
      ? {}
      : {
          safetySettings: HARM_CATEGORIES.map((category) => ({
            category,
            threshold: options.safetyThreshold,
          })),
        }),
  };
}

function thinkingConfig({ thinking }: GeminiOptions): Frame | null {
  if (thinking === 'off') return { thinkingBudget: 0 };
  return thinking === 'minimal' ? { thinkingLevel: 'MINIMAL' } : null;
}

function createProbe({ name, model, transport }: DriverParts<GeminiOptions>): EngineProbe {
  const get = (path: string, signal: AbortSignal) =>
    askJson(
      {
        engine: name,
        transport: transport(),
        method: 'GET',
        path,
        refused: (refused) => geminiRefusal(name, refused),
      },
      signal,
    );
  return {
    version: async () => 'unknown',
    models: async (signal) => {
      const { models } = (await get('/v1beta/models?pageSize=1000', signal)) as { models?: unknown };
      return (Array.isArray(models) ? (models as readonly Frame[]) : []).flatMap((card) => {
        const { name: id, inputTokenLimit } = card;
        if (typeof id !== 'string') return [];
        return { id: id.replace(/^models\//, ''), maxModelTokens: count(inputTokenLimit), parent: null };
      });
    },
    live: async (signal) => {
      await get('/v1beta/models?pageSize=1', signal);
    },
    // Costs nothing, and proves the key and the name.
    ready: async (signal) => {
      try {
        await get(`/v1beta/${resource(model)}`, signal);
      } catch (error) {
        throw asNotReady(error);
      }
    },
    load: async () => null,
  };
}
