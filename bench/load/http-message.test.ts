/** The bench's own HTTP reader: the same messages however the network cuts the bytes. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { MessageReader } from './http-message.ts';

const CHUNKED =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n' +
  '8\r\ndata: 1\n\r\nA;note=x\r\ndata: 22\n\n\r\n0\r\n\r\n';
const WITH_LENGTH = 'POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\n\r\nhello';
const EMPTY_BODY = 'GET /health HTTP/1.1\r\nhost: a\r\n\r\n';

interface Message {
  start: string;
  body: string;
  ended: boolean;
}

function read(pieces: readonly Buffer[]): { messages: Message[]; isIdle: boolean } {
  const messages: Message[] = [];
  const reader = new MessageReader({
    onHead: ({ start }) => messages.push({ start, body: '', ended: false }),
    onBody: (part) => {
      const last = messages.at(-1);
      if (last !== undefined) last.body += part.toString('latin1');
    },
    onEnd: () => {
      const last = messages.at(-1);
      if (last !== undefined) last.ended = true;
    },
  });
  for (const piece of pieces) reader.push(piece);
  return { messages, isIdle: reader.isIdle };
}

test('messages on one connection are the same at every cut of their bytes', () => {
  const bytes = Buffer.from(CHUNKED + WITH_LENGTH + EMPTY_BODY, 'latin1');
  const whole = read([bytes]);
  assert.deepEqual(whole.messages, [
    { start: 'HTTP/1.1 200 OK', body: 'data: 1\ndata: 22\n\n', ended: true },
    { start: 'POST /v1/chat/completions HTTP/1.1', body: 'hello', ended: true },
    { start: 'GET /health HTTP/1.1', body: '', ended: true },
  ]);
  assert.equal(whole.isIdle, true);
  for (let cut = 1; cut < bytes.length; cut++)
    assert.deepEqual(read([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `cut at ${cut}`);
  assert.deepEqual(read([...bytes].map((byte) => Buffer.of(byte))), whole);
});

test('an answer that names no length ends with its connection, one without a body at once', () => {
  const bodies: string[] = [];
  let ends = 0;
  const reader = new MessageReader({
    onHead: () => {},
    onBody: (part) => bodies.push(part.toString('latin1')),
    onEnd: () => {
      ends += 1;
    },
  });
  reader.push(Buffer.from('HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\ndata: 1\n'));
  reader.push(Buffer.from('data: 2\n'));
  assert.equal(ends, 1);
  reader.close();
  assert.equal(ends, 2);
  assert.equal(bodies.join(''), 'data: 1\ndata: 2\n');
});

test('a message that stops half-way has not ended', () => {
  const { messages, isIdle } = read([Buffer.from(WITH_LENGTH.slice(0, -1), 'latin1')]);
  assert.equal(messages[0]?.ended, false);
  assert.equal(isIdle, false);
});

test('what is no HTTP is an error, and a head has a bound', () => {
  const chunkless = CHUNKED.replace('8\r\n', 'zz\r\n');
  assert.throws(() => read([Buffer.from(chunkless, 'latin1')]), /no chunk size/);
  assert.throws(() => read([Buffer.alloc(20_000, 'a')]), /over 16384 bytes/);
  assert.throws(() => read([Buffer.from('X\r\ncontent-length: -1\r\n\r\n')]), /no number/);
});
