/**
 * A double of Google's Gemini API, v1beta and v1 (the SDK's default since 3.0): responses and errors as the vendor's SDK 3.1.0 (2026-11) reads them and
 * engines.md §10.4 writes them, words instead of a model. Like the real one it refuses unknown fields, roles out of turn
 * and more than five stop sequences.
 */
import { startWireServer, type WireExchange, type WireHandler, type WireServer } from './wire-server.ts';
import { answerOf } from './words.ts';

const MODELS = ['models/m', 'models/gemini-3-flash'];
const FIELDS = new Set(['contents', 'systemInstruction', 'generationConfig', 'safetySettings']);
const GENERATION_FIELDS = new Set([
  'maxOutputTokens',
  'temperature',
  'topP',
  'topK',
  'seed',
  'stopSequences',
  'responseMimeType',
  'responseJsonSchema',
  'thinkingConfig',
]);

interface GenerateBody {
  readonly contents?: readonly {
    readonly role?: string;
    readonly parts: readonly { readonly text: string }[];
  }[];
  readonly generationConfig?: {
    readonly maxOutputTokens?: number;
    readonly stopSequences?: readonly string[];
    readonly responseJsonSchema?: Readonly<Record<string, unknown>>;
  };
}

/** `generate` replaces how it speaks, byte by byte. */
export function startGeminiDouble(generate: WireHandler = speak): Promise<WireServer> {
  return startWireServer(async (exchange) => {
    const { method, path, headers, body, json } = exchange;
    if (headers['x-goog-api-key'] !== 'test-key') {
      refuse(exchange, 400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.', [
        { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' },
      ]);
      return;
    }
    if (method === 'GET' && /^\/v1(?:beta)?\/models$/.test(path)) {
      json(200, { models: MODELS.map(card) });
      return;
    }
    const [, model = '', verb = ''] = /^\/v1(?:beta)?\/(models\/[^/:]+)(?::(\w+))?$/.exec(path) ?? [];
    if (!MODELS.includes(model))
      refuse(exchange, 404, 'NOT_FOUND', `${model} is not found for API version v1beta`);
    else if (method === 'GET' && verb === '') json(200, card(model));
    else if (method !== 'POST' || !/^(?:streamG|g)enerateContent$/.test(verb))
      refuse(exchange, 404, 'NOT_FOUND', 'Not Found');
    else {
      const wrong = whatIsWrong(body);
      if (wrong === null) await generate(exchange);
      else refuse(exchange, 400, 'INVALID_ARGUMENT', wrong);
    }
  });
}

export async function speak(exchange: WireExchange): Promise<void> {
  const { body, path, query, json, send, response, work, closed } = exchange;
  const { generationConfig = {} } = body as GenerateBody;
  const { pieces, end } = answerOf({
    said: 0,
    tokensMax: generationConfig.maxOutputTokens ?? 16,
    stops: generationConfig.stopSequences ?? [],
    structure: generationConfig.responseJsonSchema ?? null,
  });
  const finishReason = end === 'limit' ? 'MAX_TOKENS' : 'STOP';
  if (!path.endsWith(':streamGenerateContent')) {
    json(200, said(pieces.join(''), finishReason, pieces.length));
    return;
  }
  const isSse = query.get('alt') === 'sse';
  exchange.begin(isSse ? 'text/event-stream' : 'application/json; charset=UTF-8');
  let spoken = 0;
  const next = (reply: unknown) =>
    send(isSse ? event(reply) : `${spoken === 1 ? '[' : ',\r\n'}${JSON.stringify(reply)}`);
  for await (const piece of work.run(pieces, closed)) {
    spoken += 1;
    await next(said(piece, null, spoken));
  }
  spoken += 1;
  await next(said('', finishReason, pieces.length));
  response.end(isSse ? '' : ']');
}

/** Its lines end with a carriage return. */
export function event(reply: unknown): string {
  return `data: ${JSON.stringify(reply)}\r\n\r\n`;
}

export function said(text: string, finishReason: string | null, candidatesTokenCount = 1, more = {}) {
  return {
    candidates: [
      {
        content: { parts: [{ text }], role: 'model' },
        index: 0,
        ...(finishReason === null ? {} : { finishReason }),
      },
    ],
    usageMetadata: {
      promptTokenCount: 7,
      candidatesTokenCount,
      totalTokenCount: 7 + candidatesTokenCount,
      promptTokensDetails: [{ modality: 'TEXT', tokenCount: 7 }],
      ...more,
    },
    modelVersion: 'm',
    responseId: 'mAbCaPq0NYyOmtkP4ey28Ac',
  };
}

export function errorBody(code: number, status: string, message: string, details: readonly unknown[] = []) {
  return { error: { code, message, status, ...(details.length === 0 ? {} : { details }) } };
}

export function refuse(
  { json }: WireExchange,
  code: number,
  status: string,
  message: string,
  details: readonly unknown[] = [],
): void {
  json(code, errorBody(code, status, message, details));
}

function whatIsWrong(body: WireExchange['body']): string | null {
  const { contents = [], generationConfig = {} } = body as GenerateBody;
  const unknown =
    Object.keys(body).find((field) => !FIELDS.has(field)) ??
    Object.keys(generationConfig).find((field) => !GENERATION_FIELDS.has(field));
  if (unknown !== undefined)
    return `Invalid JSON payload received. Unknown name "${unknown}": Cannot find field.`;
  if (contents.length === 0) return '* GenerateContentRequest.contents: contents is not specified';
  if (contents.some(({ role }, index) => role !== (index % 2 === 0 ? 'user' : 'model')))
    return 'Please ensure that multiturn requests alternate between user and model.';
  if (contents.some(({ parts }) => parts.some(({ text }) => text === '')))
    return '* GenerateContentRequest.contents[0].parts[0].data: required oneof field must have one initialized field';
  if ((generationConfig.stopSequences?.length ?? 0) > 5) return 'stop_sequences: at most 5';
  return null;
}

function card(name: string) {
  return {
    name,
    version: '001',
    displayName: name,
    inputTokenLimit: 1_048_576,
    outputTokenLimit: 65_536,
    supportedGenerationMethods: ['generateContent', 'countTokens'],
  };
}
