import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { CHAT_CASES, openChatDouble } from '../testing/chat-doubles.ts';
import { lineRequest } from '../testing/engine-conformance.ts';
import { answerOver, replying, textOf, wireFaults } from '../testing/wire-faults.ts';
import type { DriverDefinition } from './driver.ts';
import { DRIVERS } from './index.ts';
import { createTransport } from './transport.ts';

// What can go wrong on the wire of each driver of the dialect, on the bytes of its engine; then what can go wrong below
// the bytes, on real sockets.

const never = new AbortController().signal;

const chunk = (delta: object, reason: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`;
const ACCOUNT = 'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\n\n';
const WORDS = chunk({ role: 'assistant', content: '' }) + chunk({ content: 'Grüß ' });

for (const { kind, options } of CHAT_CASES) {
  const definition: DriverDefinition = DRIVERS[kind];
  wireFaults(definition, options, {
    contentType: 'text/event-stream; charset=utf-8',
    answer: `: keep-alive\r\n\r\n${WORDS}${chunk({ content: 'dich 🧛' })}${chunk({}, 'stop')}${ACCOUNT}data: [DONE]\n\n`,
    text: 'Grüß dich 🧛',
    words: WORDS,
    failure: `data: {"error":{"message":"CUDA out of memory","type":"InternalServerError","code":500}}\n\ndata: [DONE]\n\n`,
    failureCode: 'engine_error',
    frameStart: 'data: {"choices":[{"delta":{"content":"',
    saysItsEnd: true,
  });
}

/** A socket that says these bytes to whoever asks anything, and then `end`s or stays. */
async function saying(bytes: string, after: 'end' | 'stay' | 'reset' = 'end') {
  let asked = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      asked += 1;
      socket.write(bytes, () => {
        if (after === 'end') socket.end();
        if (after === 'reset') socket.resetAndDestroy();
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    get asked() {
      return asked;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function answerOf(origin: string, signal = never) {
  await using transport = createTransport({ baseUrl: origin, connections: 2, connectTimeoutMs: 5_000 });
  const { engine } = DRIVERS.vllm.create({
    name: 'tested',
    model: 'm',
    options: DRIVERS.vllm.options.parse({}),
    transport: () => transport,
  });
  return await Array.fromAsync(engine.generate(lineRequest(), signal));
}

const head = (...lines: readonly string[]) =>
  `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;
const WHOLE = `${WORDS}${chunk({}, 'stop')}data: [DONE]\n\n`;
const isEngineError = (error: unknown) => error instanceof ServiceError && error.code === 'engine_error';

describe('below the bytes', () => {
  it('a body that is shorter than its length says is a broken stream before the finish', async () => {
    await using server = await saying(`${head('content-length: 9000')}${WORDS}`);
    await assert.rejects(answerOf(server.origin), isEngineError);
  });

  it('a body that is shorter than its length says is whole after the finish', async () => {
    await using server = await saying(`${head(`content-length: ${Buffer.byteLength(WHOLE) + 10}`)}${WHOLE}`);
    assert.equal((await answerOf(server.origin)).at(-1)?.type, 'finish');
  });

  it('a body that is longer than its length says is cut there, and what is cut is no answer', async () => {
    await using server = await saying(`${head(`content-length: ${Buffer.byteLength(WORDS)}`)}${WHOLE}`);
    await assert.rejects(answerOf(server.origin), isEngineError);
  });

  it('chunks of the transfer that are no chunks are a broken stream', async () => {
    await using server = await saying(`${head('transfer-encoding: chunked')}zz\r\n${WHOLE}`);
    await assert.rejects(answerOf(server.origin), isEngineError);
  });

  it('a connection that is reset half-way is a broken stream', async () => {
    await using server = await saying(`${head('transfer-encoding: chunked')}5\r\ndata:`, 'reset');
    await assert.rejects(answerOf(server.origin), (error) => error instanceof ServiceError);
  });

  it('what is no HTTP at all is an engine that is not there', async () => {
    await using server = await saying('220 mail.example ESMTP\r\n');
    await assert.rejects(
      answerOf(server.origin),
      (error) => error instanceof ServiceError && error.code === 'engine_unavailable',
    );
  });

  it('an engine that goes silent is left when the deadline passes', async () => {
    await using server = await saying(`${head('transfer-encoding: chunked')}`, 'stay');
    const deadline = new AbortController();
    const reason = new ServiceError('deadline_exceeded', 'too late');
    const answer = answerOf(server.origin, deadline.signal);
    while (server.asked === 0) await new Promise((resolve) => setImmediate(resolve));
    deadline.abort(reason);
    await assert.rejects(answer, (error) => error === reason);
  });

  it('a redirect to another host is not followed, and no key goes there', async () => {
    await using elsewhere = await saying(head() + WHOLE);
    await using server = await saying(
      `HTTP/1.1 307 Temporary Redirect\r\nlocation: ${elsewhere.origin}/v1\r\ncontent-length: 0\r\n\r\n`,
    );
    await assert.rejects(
      answerOf(server.origin),
      (error) =>
        isEngineError(error) &&
        error instanceof ServiceError &&
        error.message.includes(`redirect to ${elsewhere.origin}/v1`),
    );
    assert.equal(elsewhere.asked, 0);
  });
});

describe('an engine that says strange things', () => {
  const over = (text: string, headers = {}, status = 200) =>
    answerOver(DRIVERS.openai, {}, replying([text], { headers, status }).transport);

  it('may say its finish and its account twice', async () => {
    const events = await over(
      `${WORDS}${chunk({}, 'stop').repeat(2)}${ACCOUNT.repeat(2)}data: [DONE]\n\n`.concat('data: [DONE]\n\n'),
    );
    assert.equal(textOf(events), 'Grüß ');
    assert.equal(events.filter(({ type }) => type === 'finish').length, 1);
  });

  it('may leave out its account', async () => {
    const finish = (await over(`${WORDS}${chunk({}, 'stop')}`)).at(-1);
    assert.ok(finish?.type === 'finish' && finish.usage.source === 'estimated');
    assert.ok(finish.usage.promptTokens > 0 && finish.usage.completionTokens > 0);
  });

  it('may hint at a time before now, which is no hint', async () => {
    await assert.rejects(over('{"error":{"message":"slow"}}', { 'retry-after': '-7' }, 429), (error) => {
      assert.ok(error instanceof ServiceError && error.code === 'overloaded');
      assert.equal('retryAfterMs' in error.details, false);
      return true;
    });
  });

  it('may list a model that it has not loaded: the line fails as what it is', async () => {
    for (const chatCase of CHAT_CASES.filter(({ options }) => Object.keys(options).length === 0)) {
      await using opened = await openChatDouble(chatCase);
      opened.double.state.isLoaded = false;
      await assert.rejects(
        Array.fromAsync(opened.engine.generate(lineRequest({ model: opened.model }), never)),
        (error) => error instanceof ServiceError && ['overloaded', 'engine_error'].includes(error.code),
        chatCase.wire.title,
      );
    }
  });

  it('is cut at the stop strings that it does not take, and accounted', async () => {
    const stop = ['\u0001a', '\u0001b', '\u0001c', '\u0001d', 'dich'];
    const { transport } = replying([`${WORDS}${chunk({ content: 'di' })}${chunk({ content: 'ch.' })}`]);
    const events = await answerOver(DRIVERS.openai, {}, transport, () => {}, { stop });
    assert.equal(textOf(events), 'Grüß ');
    const finish = events.at(-1);
    assert.ok(finish?.type === 'finish' && finish.reason === 'stop' && finish.usage.completionTokens > 0);
  });
});
