import assert from 'node:assert/strict';
import type http from 'node:http';
import { test } from 'node:test';
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import type { Transport, WireRequest, WireResponse } from '../core/transport.ts';
import { startChatServer } from '../testing/chat-server.ts';
import { lineRequest } from '../testing/engine-conformance.ts';
import { createChatEngine } from './chat-engine.ts';
import { createTransport } from './transport.ts';

const dialect = { continuesAssistant: false, honoursPriority: false, reportsRunningUsage: false };

/** A transport that gives one reply; `sent` is what it was asked. */
function replying(reply: Partial<WireResponse> & { readonly text?: string }) {
  const sent: WireRequest[] = [];
  const transport: Transport = {
    exchange: async (request) => {
      sent.push(request);
      const body = (async function* () {
        yield Buffer.from(reply.text ?? '');
      })();
      return { status: 200, headers: {}, body, ...reply };
    },
    [Symbol.asyncDispose]: async () => {},
  };
  return { sent, transport };
}

async function generate(transport: Transport, changes = {}): Promise<GenerateEvent[]> {
  const engine = createChatEngine({
    name: 'cloud',
    kind: 'openai',
    transport: () => transport,
    dialect,
  });
  const events: GenerateEvent[] = [];
  for await (const event of engine.generate(lineRequest(changes), new AbortController().signal))
    events.push(event);
  return events;
}

test('what is no stream, and what is refused, is an error of the catalogue', async () => {
  const page = replying({ headers: { 'content-type': 'text/html' }, text: '<html>Sign in</html>' });
  await assert.rejects(generate(page.transport), /text\/html, expected text\/event-stream: <html>Sign in/);
  const busy = replying({
    status: 429,
    headers: { 'retry-after': '2' },
    text: '{"error":{"message":"slow"}}',
  });
  await assert.rejects(generate(busy.transport), (error) => {
    assert.ok(error instanceof ServiceError && error.code === 'overloaded');
    assert.deepEqual(error.details, { engine: 'cloud', status: 429, retryAfterMs: 2_000 });
    return true;
  });
});

test('a prompt that a content filter refused is an answer without words', async () => {
  const text = '{"error":{"message":"filtered","code":"content_filter"}}';
  assert.deepEqual(
    (await generate(replying({ status: 400, text }).transport)).map((event) =>
      event.type === 'finish' ? event.reason : event.type,
    ),
    ['content_filter'],
  );
});

test('a reply without a content type is read as a stream; capitals and charset do not matter', async () => {
  const text = 'data: {"choices":[{"delta":{"content":"Hm."},"finish_reason":"stop"}]}\n\n';
  for (const headers of [{}, { 'content-type': 'Text/Event-Stream; charset=utf-8' }])
    assert.equal((await generate(replying({ headers, text }).transport)).length, 3);
});

test('usage that the engine does not report is estimated from the prompt and the pieces', async () => {
  const text = 'data: {"choices":[{"delta":{"content":"Hm."},"finish_reason":"stop"}]}\n\n';
  const messages = [{ role: 'user' as const, content: 'x'.repeat(300) }];
  const finish = (await generate(replying({ text }).transport, { messages })).at(-1);
  assert.ok(finish?.type === 'finish');
  assert.equal(finish.usage.source, 'estimated');
  assert.equal(finish.usage.completionTokens, 1);
  assert.ok(finish.usage.promptTokens >= 75);
});

test('only the fields that every engine takes are sent', async () => {
  const { sent, transport } = replying({ status: 500 });
  await assert.rejects(generate(transport, { minP: 0.1, repetitionPenalty: 1.1, assistantPrefix: 'I' }));
  const [request] = sent;
  assert.equal(request?.path, '/v1/chat/completions');
  assert.deepEqual(Object.keys(JSON.parse(String(request.body)) as object).sort(), [
    'max_tokens',
    'messages',
    'model',
    'stream',
    'stream_options',
    'temperature',
  ]);
});

test('an engine that cannot continue a message is shown what was said, and asked for the rest', async () => {
  const { sent, transport } = replying({ status: 500 });
  await assert.rejects(generate(transport, { assistantPrefix: 'I sell', messages: [] }));
  const { messages } = JSON.parse(String(sent[0]?.body)) as { messages: { role: string; content: string }[] };
  assert.deepEqual(messages[0], { role: 'assistant', content: 'I sell' });
  assert.equal(messages[1]?.role, 'user');
  assert.match(messages[1]?.content ?? '', /Go on from exactly where you stopped/);
});

test('an engine that dies half-way is an engine_error', async () => {
  await using server = await startChatServer(async (_body, response: http.ServerResponse) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    await new Promise<void>((resolve) =>
      response.write('data: {"choices":[{"delta":{"content":"I was"}}]}\n\n', () => resolve()),
    );
    response.destroy();
  });
  await using transport = createTransport({
    baseUrl: server.origin,
    connections: 1,
    connectTimeoutMs: 5_000,
  });
  await assert.rejects(
    generate(transport),
    (error) => error instanceof ServiceError && error.code === 'engine_error' && /broke/.test(error.message),
  );
});
