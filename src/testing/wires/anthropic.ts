/**
 * A double of Anthropic's Messages API: events and errors as the vendor's SDK 1.11.0 (2026-11) reads them and
 * engines.md §10.3 writes them, words instead of a model. It refuses what the real one refuses: an unknown field, a blank
 * stop sequence, an assistant's last words that end in blanks, a talk that the user did not begin.
 */
import { startWireServer, type WireExchange, type WireHandler, type WireServer } from './wire-server.ts';
import { answerOf } from './words.ts';

const MODELS = ['m', 'claude-haiku-4-5'];
const VERSIONS = new Set(['2023-06-01', '2026-10-21']);
const FIELDS = new Set([
  'model',
  'max_tokens',
  'messages',
  'system',
  'stop_sequences',
  'stream',
  'thinking',
  'temperature',
  'output_config',
]);

/** `messages` replaces how it speaks, byte by byte. */
export function startAnthropicDouble(messages: WireHandler = speak): Promise<WireServer> {
  return startWireServer(async (exchange) => {
    const { method, path, headers, body } = exchange;
    // The API's own header, or the bearer that the SDK sends from 1.x on.
    if (headers['x-api-key'] !== 'test-key' && headers.authorization !== 'Bearer test-key')
      refuse(exchange, 401, 'authentication_error', 'invalid x-api-key');
    else if (!VERSIONS.has(String(headers['anthropic-version'])))
      refuse(exchange, 400, 'invalid_request_error', 'anthropic-version: header is required');
    else if (method === 'GET' && path === '/v1/models')
      exchange.json(200, { data: MODELS.map(card), has_more: false, first_id: 'm', last_id: MODELS.at(-1) });
    else if (method === 'GET' && path.startsWith('/v1/models/')) {
      const id = decodeURIComponent(path.slice('/v1/models/'.length));
      if (MODELS.includes(id)) exchange.json(200, card(id));
      else refuse(exchange, 404, 'not_found_error', `model: ${id}`);
    } else if (method !== 'POST' || path !== '/v1/messages')
      refuse(exchange, 404, 'not_found_error', 'Not Found');
    else if (!MODELS.includes(String(body['model'])))
      refuse(exchange, 404, 'not_found_error', `model: ${String(body['model'])}`);
    else {
      const wrong = whatIsWrong(body, String(headers['anthropic-version']));
      if (wrong === null) await messages(exchange);
      else refuse(exchange, 400, 'invalid_request_error', wrong);
    }
  });
}

export async function speak(exchange: WireExchange): Promise<void> {
  const { body, json, send, response, work, closed } = exchange;
  const { format } = (body['output_config'] ?? {}) as {
    format?: { schema: Readonly<Record<string, unknown>> };
  };
  const { pieces, end } = answerOf({
    said: 0,
    tokensMax: Number(body['max_tokens']),
    stops: (body['stop_sequences'] ?? []) as readonly string[],
    structure: format?.schema ?? null,
  });
  const stopReason = { limit: 'max_tokens', whole: 'end_turn', 'stop string': 'stop_sequence' }[end];
  const usage = { input_tokens: 3, cache_creation_input_tokens: 0, cache_read_input_tokens: 4 };
  const message = {
    id: 'msg_01XFDUDYJgAACzvnptvVoYEL',
    type: 'message',
    role: 'assistant',
    model: body['model'],
    stop_sequence: null,
  };
  if (body['stream'] !== true) {
    json(
      200,
      {
        ...message,
        content: [{ type: 'text', text: pieces.join('') }],
        stop_reason: stopReason,
        usage: { ...usage, output_tokens: pieces.length },
      },
      { 'request-id': 'req_018EeWyXxfu5pfWkrYcMdjWG' },
    );
    return;
  }
  exchange.begin('text/event-stream; charset=utf-8');
  const start = { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } };
  await send(event({ type: 'message_start', message: start }));
  await send(event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }));
  await send(event({ type: 'ping' }));
  for await (const text of work.run(pieces, closed)) await send(delta(text));
  await send(event({ type: 'content_block_stop', index: 0 }));
  await send(
    event({
      type: 'message_delta',
      delta: { stop_reason: stopReason, stop_sequence: null },
      usage: { output_tokens: pieces.length },
    }),
  );
  await send(event({ type: 'message_stop' }));
  response.end();
}

/** A named event, as the API writes it. */
export function event(data: { readonly type: string } & Readonly<Record<string, unknown>>): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function delta(text: string): string {
  return event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } });
}

export function refuse(
  exchange: WireExchange,
  status: number,
  type: string,
  message: string,
  extra = {},
): void {
  exchange.json(status, {
    type: 'error',
    error: { type, message, ...extra },
    request_id: 'req_011CSHoEeqs5C35K2UUqR7Fy',
  });
}

function whatIsWrong(body: WireExchange['body'], version: string): string | null {
  if (version === '2026-10-21' && body['temperature'] !== undefined)
    return 'temperature: Extra inputs are not permitted';
  const unknown = Object.keys(body).find((field) => !FIELDS.has(field));
  if (unknown !== undefined) return `${unknown}: Extra inputs are not permitted`;
  if (!Number.isSafeInteger(body['max_tokens'])) return 'max_tokens: Field required';
  const messages = body['messages'] as readonly { role: string; content: string }[];
  if (messages[0]?.role !== 'user') return 'messages: first message must use the "user" role';
  if (messages.some(({ content }) => content.length === 0))
    return 'messages: text content blocks must be non-empty';
  const last = messages.at(-1);
  if (last?.role === 'assistant' && /\s$/.test(last.content))
    return 'messages: final assistant content cannot end with trailing whitespace';
  const stops = (body['stop_sequences'] ?? []) as readonly string[];
  if (stops.some((stop) => stop.trim() === ''))
    return 'stop_sequences: each stop sequence must contain non-whitespace';
  return null;
}

function card(id: string) {
  return {
    type: 'model',
    id,
    display_name: id,
    created_at: '2026-08-01T00:00:00Z',
    deprecated_at: null,
    lifecycle: 'active',
    max_input_tokens: 200_000,
    max_tokens: 64_000,
  };
}
