/**
 * Replies of an engine, byte by byte: the broken ones that the ladder must survive, and a good one. Each writes one whole
 * HTTP response, or what it has in place of one.
 */
import type { ServerResponse } from 'node:http';
import { setImmediate as turnOfLoop } from 'node:timers/promises';

/** `closed` aborts when the gateway hangs up; `elsewhere` is another server's address. */
export type WireReply = (response: ServerResponse, closed: AbortSignal, elsewhere: string) => Promise<void>;

export const FIRST = 'The bell has not rung since the flood.';
export const SECOND = 'Ask the sexton who carried the ropes.';
export const LINE = 'The house is quiet tonight, and the candles keep their counsel.';
/** Characters of two, three and four bytes. */
export const UNICODE = ['Señora Émile keeps the crypt’s key — and the “Ångström” waltz — to herself.'];

const frame = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const words = (text: string) =>
  frame({ choices: [{ index: 0, delta: { content: text }, finish_reason: null }] });
const FINISH = frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
const USAGE = frame({ choices: [], usage: { prompt_tokens: 400, completion_tokens: 9 } });
const DONE = 'data: [DONE]\n\n';
const ERROR = frame({ error: { message: 'CUDA error: out of memory', type: 'server_error' } });
const EVENT_STREAM = { 'content-type': 'text/event-stream' };
const MEGABYTES_10 = 10_000_000;

/** The whole body at once. */
const saying =
  (...frames: readonly string[]): WireReply =>
  async (response) => {
    response.writeHead(200, EVENT_STREAM).end(frames.join(''));
  };

/** A good answer. */
export async function sayLine(response: ServerResponse): Promise<void> {
  response.writeHead(200, EVENT_STREAM).end(words(LINE) + FINISH + USAGE + DONE);
}

/** Writes until the gateway hangs up; a slow reader slows it. */
const forEver =
  (pieceOf: (count: number) => string): WireReply =>
  async (response, closed) => {
    response.writeHead(200, EVENT_STREAM);
    for (let count = 0; !closed.aborted; count += 1) {
      response.write(pieceOf(count));
      await turnOfLoop();
    }
  };

/** One event that never ends within `bytes`. */
const giant =
  (start: string): WireReply =>
  async (response, closed) => {
    response.writeHead(200, EVENT_STREAM).write(`${start}data: {"choices":[{"delta":{"content":"`);
    for (let sent = 0; sent < MEGABYTES_10 && !closed.aborted; sent += 100_000) {
      response.write('x'.repeat(100_000));
      await turnOfLoop();
    }
    response.end(`"}}]}\n\n${FINISH}${DONE}`);
  };

/** Past HTTP: these bytes and no others, then the connection ends. */
const raw =
  (bytes: string): WireReply =>
  async (response) => {
    response.socket?.end(bytes);
  };
const head = (more: string) => `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n${more}\r\n\r\n`;
const SPOKEN = words(`${FIRST} `) + words('And ');

export const REPLIES = {
  html: async (response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html><h1>Sign in</h1></html>');
  },
  /** A proxy that says it streams and does not. */
  'html-stream': saying('<html>\n\n<h1>Sign in</h1>\n\n</html>'),
  'event-of-10-mb': giant(''),
  'event-of-10-mb-late': giant(SPOKEN),
  'comments-for-ever': forEver(() => ': still here\n\n'),
  'nothing-for-ever': forEver(() => words('')),
  'words-for-ever': forEver((count) => words(`and night ${count} `)),
  'done-after-error': saying(ERROR, DONE),
  'done-after-late-error': saying(SPOKEN, ERROR, DONE),
  'no-finish': saying(SPOKEN),
  'no-finish-but-done': saying(SPOKEN, DONE),
  'everything-twice': saying(
    words(`${FIRST} `),
    words(`${FIRST} `),
    words(SECOND),
    FINISH,
    FINISH,
    USAGE,
    USAGE,
    DONE,
    DONE,
  ),
  'end-twice': saying(words(FIRST), FINISH, FINISH, USAGE, USAGE, DONE, DONE),
  'byte-by-byte': async (response, closed) => {
    response.writeHead(200, EVENT_STREAM);
    for (const byte of Buffer.from(words(UNICODE.join(' ')) + FINISH + USAGE + DONE)) {
      if (closed.aborted) return;
      response.write(Uint8Array.of(byte));
      await turnOfLoop();
    }
    response.end();
  },
  'no-utf-8': async (response) => {
    response.writeHead(200, EVENT_STREAM);
    response.end(
      Buffer.concat([Buffer.from('data: '), Buffer.of(0xc3, 0x28, 0xff, 0xfe), Buffer.from('\n\n')]),
    );
  },
  'length-too-long': raw(`${head('content-length: 9000')}${SPOKEN}`),
  'length-too-short': raw(`${head(`content-length: ${Buffer.byteLength(SPOKEN)}`)}${SPOKEN}${FINISH}${DONE}`),
  'length-of-nothing': raw(`${head('content-length: 0')}${words(FIRST)}${FINISH}${DONE}`),
  'lengths-two': raw(`${head('content-length: 5\r\ncontent-length: 6')}${words(FIRST)}${FINISH}${DONE}`),
  'no-http': raw('220 mail.example ESMTP\r\n'),
  'redirect-elsewhere': async (response, _closed, elsewhere) => {
    response.writeHead(307, { location: `${elsewhere}/v1/chat/completions` }).end();
  },
  'retry-before-now': async (response) => {
    response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '-3600' });
    response.end('{"error":{"message":"Rate limit reached","type":"rate_limit_error"}}');
  },
  'not-loaded': async (response) => {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end(
      '{"error":{"message":"The model `scripted` does not exist.","type":"NotFoundError","code":404}}',
    );
  },
  'no-usage': saying(words(FIRST), FINISH, DONE),
  'usage-of-nonsense': saying(
    words(FIRST),
    FINISH,
    frame({ choices: [], usage: { prompt_tokens: -5, completion_tokens: 'many' } }),
    DONE,
  ),
} as const satisfies Readonly<Record<string, WireReply>>;
