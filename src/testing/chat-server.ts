/**
 * A small true engine for tests: an HTTP server on loopback that speaks chat completions over SSE word by word, with no
 * model behind it. It stops when the client hangs up, and says what runs; what it says can be replaced byte by byte.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turnOfLoop } from 'node:timers/promises';

export interface ChatServer extends AsyncDisposable {
  readonly origin: string;
  /** Replies that are being made now. */
  readonly running: number;
  /** Connections opened since the start. */
  readonly connections: number;
  /** Bodies of the requests, oldest first. */
  readonly asked: readonly Readonly<Record<string, unknown>>[];
  /** Resolves once as many replies are under way; rejects after half a minute. */
  untilRunning(count: number): Promise<void>;
}

/** Writes a whole reply; the default speaks. `closed` aborts when the client hangs up. */
export type ChatReply = (
  body: Readonly<Record<string, unknown>>,
  response: http.ServerResponse,
  closed: AbortSignal,
) => Promise<void>;

export async function startChatServer(reply: ChatReply = speak): Promise<ChatServer> {
  const asked: Record<string, unknown>[] = [];
  let running = 0;
  let connections = 0;
  const server = http.createServer((request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort(new Error('the client hung up')));
    running += 1;
    answer(request, response, gone.signal)
      .catch(() => response.destroy())
      .finally(() => {
        running -= 1;
      });
  });
  server.on('connection', () => {
    connections += 1;
  });
  async function answer(request: http.IncomingMessage, response: http.ServerResponse, closed: AbortSignal) {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    // A question without a body, such as GET /v1/models, is one without fields.
    const text = Buffer.concat(chunks).toString('utf8') || '{}';
    const body = JSON.parse(text) as Record<string, unknown>;
    asked.push(body);
    await reply(body, response, closed);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get running() {
      return running;
    },
    get connections() {
      return connections;
    },
    asked,
    untilRunning: async (count) => {
      const patience = AbortSignal.timeout(30_000);
      while (running !== count) {
        if (patience.aborted) throw new Error(`${running} replies are under way, expected ${count}`);
        await turnOfLoop();
      }
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** `word0 word1 …`, a chunk each, up to max_tokens, with vLLM's chunks around them; waits for a slow reader. */
export async function speak(
  body: Readonly<Record<string, unknown>>,
  response: http.ServerResponse,
  closed: AbortSignal,
): Promise<void> {
  const wordsMax = Number(body['max_tokens'] ?? 16);
  const send = async (value: unknown) => {
    if (!response.write(`data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`))
      await once(response, 'drain', { signal: closed });
    await turnOfLoop();
    closed.throwIfAborted();
  };
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  await send({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] });
  for (let word = 0; word < wordsMax; word += 1)
    await send({ choices: [{ index: 0, delta: { content: `word${word} ` }, finish_reason: null }] });
  await send({ choices: [{ index: 0, delta: {}, finish_reason: 'length' }] });
  await send({ choices: [], usage: { prompt_tokens: 7, completion_tokens: wordsMax } });
  await send('[DONE]');
  response.end();
}
