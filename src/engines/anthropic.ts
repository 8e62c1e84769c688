/**
 * Anthropic's Messages API (engines.md §10.3), looked at in the vendor's SDK 1.11.0 of November 2026. What differs from
 * model to model (sampling, prefill, thinking) is an option, not a list of names that ages.
 */
import { z } from 'zod';
import type { Engine, EngineProbe, GenerateRequest } from '../core/engine.ts';
import { Account, count } from './account.ts';
import { refuseAnyAdapter } from './adapter-errors.ts';
import { AnthropicReader, anthropicRefusal } from './anthropic-wire.ts';
import { askJson, asNotReady } from './ask-json.ts';
import { type DriverParts, defineDriver } from './driver.ts';
import { messagesGoingOn } from './going-on.ts';
import { type Frame, streamReply } from './reply-stream.ts';
import { cutAtStop } from './stop-strings.ts';
import { estimateTokens } from './token-counter.ts';
import { asTurns } from './turns.ts';

/** The version of 2026-10-21 refuses temperature, top_p and top_k for every model; the one before leaves it to the model. */
const API_VERSION = { drop: '2026-10-21', send: '2023-06-01' } as const;

export const anthropicOptions = z.strictObject({
  promptCache: z
    .enum(['off', '5m', '1h'])
    .default('5m')
    .describe(
      'How long the stable prefix of a prompt is kept at Anthropic. Writing it costs 1.25 times (5m) or twice (1h) the input price, reading it a tenth; short prefixes are not kept at all.',
    ),
  sampling: z
    .enum(['drop', 'send'])
    .default('drop')
    .describe(
      'Whether temperature is sent, which asks for API version 2023-06-01 instead of 2026-10-21. Models after Claude Opus 4.6 refuse it; top_p is never sent, since many models refuse both together.',
    ),
  continuesAssistant: z
    .boolean()
    .default(false)
    .describe(
      'Whether the model takes a last assistant message to go on from (prefill). Models from Claude Opus 4.6 on refuse it; then a broken line is gone on with by a written instruction.',
    ),
  thinking: z
    .enum(['disabled', 'unset'])
    .default('disabled')
    .describe(
      '"disabled" says so in each request; "unset" leaves it to the model, for models that refuse the field.',
    ),
});

type AnthropicOptions = z.infer<typeof anthropicOptions>;

export const anthropic = defineDriver({
  kind: 'anthropic',
  title: 'Anthropic Messages API; looked at in 2026-11',
  defaultBaseUrl: 'https://api.anthropic.com',
  isPaid: true,
  relaysOpenAi: false,
  options: anthropicOptions,
  headers: (apiKey, options) => ({
    'anthropic-version': API_VERSION[options.sampling],
    ...(apiKey === null ? {} : { 'x-api-key': apiKey }),
  }),
  create: (parts) => ({
    engine: createEngine(parts),
    probe: createProbe(parts),
    // Its `/v1/messages/count_tokens` is a trip over the internet inside a player's deadline, with a rate limit.
    counter: { count: async (text) => estimateTokens(text) },
  }),
});

function createEngine({ name, options, transport }: DriverParts<AnthropicOptions>): Engine {
  return {
    name,
    kind: 'anthropic',
    isWritten: false,
    capabilities: {
      continuesAssistant: options.continuesAssistant,
      structuredOutput: 'schema',
      honoursPriority: false,
    },
    async *generate(request, signal) {
      signal.throwIfAborted();
      refuseAnyAdapter(name, 'anthropic', request.adapter);
      const reader = new AnthropicReader(name, new Account(request), {
        // What the trailing blanks of the prefix were would else be said twice.
        dropLeadingBlanks: options.continuesAssistant && /\s$/.test(request.assistantPrefix),
      });
      const events = streamReply(
        {
          engine: name,
          transport: transport(),
          path: '/v1/messages',
          body: messagesBody(request, options),
          framing: 'sse',
          reader,
          refused: (refused) => anthropicRefusal(name, refused),
        },
        signal,
      );
      yield* cutAtStop(events, request.stop.filter(isBlank));
    },
  };
}

/** A stop string of nothing but blanks is refused with 400. */
function isBlank(text: string): boolean {
  return text.trim() === '';
}

function messagesBody(request: GenerateRequest, options: AnthropicOptions): Record<string, unknown> {
  const { system, turns } = asTurns(messagesGoingOn(request, options.continuesAssistant));
  const stops = request.stop.filter((stop) => !isBlank(stop));
  return {
    model: request.model,
    max_tokens: request.maxTokens,
    messages: turns.map(({ role, text }, index) => ({
      role,
      // An assistant message at the end may not end in blanks.
      content: role === 'assistant' && index === turns.length - 1 ? text.trimEnd() : text,
    })),
    ...(system.length === 0 ? {} : { system: systemBlocks(system, options) }),
    ...(stops.length === 0 ? {} : { stop_sequences: stops }),
    stream: true,
    ...(options.thinking === 'disabled' ? { thinking: { type: 'disabled' } } : {}),
    // Its scale ends at 1.
    ...(options.sampling === 'send' ? { temperature: Math.min(1, request.temperature) } : {}),
    ...(request.responseSchema === undefined
      ? {}
      : { output_config: { format: { type: 'json_schema', schema: request.responseSchema } } }),
  };
}

/** One block a message; the mark on the last one lets Anthropic keep all of them. */
function systemBlocks(system: readonly string[], { promptCache }: AnthropicOptions): readonly Frame[] {
  return system.map((text, index) => ({
    type: 'text',
    text,
    ...(promptCache !== 'off' && index === system.length - 1
      ? { cache_control: { type: 'ephemeral', ttl: promptCache } }
      : {}),
  }));
}

function createProbe({ name, model, transport }: DriverParts<AnthropicOptions>): EngineProbe {
  const get = (path: string, signal: AbortSignal) =>
    askJson(
      {
        engine: name,
        transport: transport(),
        method: 'GET',
        path,
        refused: (refused) => anthropicRefusal(name, refused),
      },
      signal,
    );
  return {
    version: async () => 'unknown',
    models: async (signal) => {
      const { data } = (await get('/v1/models?limit=1000', signal)) as { data?: unknown };
      return (Array.isArray(data) ? (data as readonly Frame[]) : []).flatMap((card) => {
        const { id, max_input_tokens, lifecycle } = card;
        if (typeof id !== 'string' || lifecycle === 'retired') return [];
        return { id, maxModelTokens: count(max_input_tokens), parent: null };
      });
    },
    live: async (signal) => {
      await get('/v1/models?limit=1', signal);
    },
    // Costs nothing, and proves the key and that the account may use the model.
    ready: async (signal) => {
      try {
        await get(`/v1/models/${encodeURIComponent(model)}`, signal);
      } catch (error) {
        throw asNotReady(error);
      }
    },
    load: async () => null,
  };
}
