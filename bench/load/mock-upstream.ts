/**
 * The engine of a gateway bench, a process of its own: OpenAI's chat completions, unary and streamed, as slow as it is
 * told and no slower. It reads every request whole and parses it, and answers what was asked: the orders stand in the
 * player's line (`bench nonce=7 delay=5 tokens=50 pace=20`), so they pass any gateway. Every token carries the nonce, its
 * number and the moment it was written to the socket, so that a reader sees lost, mixed and late ones.
 */
import { createServer, type Socket } from 'node:net';
import { machineMs } from './clock.ts';
import { MessageReader } from './http-message.ts';

interface Orders {
  readonly nonce: string;
  /** Milliseconds from the whole request to the first token. */
  readonly delayMs: number;
  readonly tokens: number;
  /** Milliseconds between tokens. */
  readonly paceMs: number;
}

interface ChatBody {
  readonly model?: unknown;
  readonly messages?: readonly { readonly role?: unknown; readonly content?: unknown }[];
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean } | null;
}

const BODY_BYTES_MAX = 1_000_000;
const TOKENS_MAX = 1_000;
const counts = { started: 0, completed: 0, abandoned: 0 };

const server = createServer({ noDelay: true }, (socket) => {
  let start = '';
  let parts: Buffer[] = [];
  let bytes = 0;
  let stop: (() => void) | null = null;
  const reader = new MessageReader({
    onHead: (head) => {
      start = head.start;
      parts = [];
      bytes = 0;
    },
    onBody: (part) => {
      bytes += part.length;
      if (bytes > BODY_BYTES_MAX) throw new Error('the body is too long');
      parts.push(part);
    },
    onEnd: () => {
      let isDone = false;
      const running = route(socket, start, Buffer.concat(parts).toString('utf8'), () => {
        isDone = true;
        stop = null;
      });
      // An answer may be out before it returns; then there is nothing left to stop, or to call abandoned.
      stop = isDone ? null : running;
    },
  });
  socket.on('data', (part: Buffer) => {
    try {
      reader.push(part);
    } catch (error) {
      socket.destroy(error instanceof Error ? error : undefined);
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    if (stop === null) return;
    counts.abandoned += 1;
    stop();
  });
});

/** Answers one request. What it returns stops an answer under way; null when the answer is already out. */
function route(socket: Socket, start: string, body: string, onDone: () => void): (() => void) | null {
  const [method = '', path = ''] = start.split(' ');
  if (method === 'POST' && path === '/v1/chat/completions') {
    const chat = parse(body);
    if (chat === null) {
      respond(socket, 400, {
        error: { message: 'no chat completion request', type: 'invalid_request_error' },
      });
      return null;
    }
    counts.started += 1;
    return answer(socket, chat, () => {
      counts.completed += 1;
      onDone();
    });
  }
  if (path === '/health') respond(socket, 200, {});
  else if (path === '/v1/models')
    respond(socket, 200, {
      object: 'list',
      data: [{ id: 'mock-model', object: 'model', owned_by: 'bench' }],
    });
  else if (path === '/counts') respond(socket, 200, counts);
  else respond(socket, 404, { error: { message: `nothing at ${path}`, type: 'not_found_error' } });
  return null;
}

function parse(body: string): ChatBody | null {
  try {
    const chat = JSON.parse(body) as ChatBody;
    return Array.isArray(chat.messages) && chat.messages.length > 0 && typeof chat.model === 'string'
      ? chat
      : null;
  } catch {
    return null;
  }
}

/** The orders in the last message; without any, eight tokens at once. */
function ordersIn(chat: ChatBody): Orders {
  const said = JSON.stringify(chat.messages?.at(-1)?.content ?? '');
  const number = (name: string, absent: number) =>
    Number(new RegExp(`\\b${name}=(\\d{1,9})`).exec(said)?.[1] ?? absent);
  return {
    nonce: String(number('nonce', 0)),
    delayMs: number('delay', 0),
    tokens: Math.min(number('tokens', 8), TOKENS_MAX),
    paceMs: number('pace', 0),
  };
}

const stamp = () => Math.round(machineMs() * 1_000);
const usage = (tokens: number) => ({
  prompt_tokens: 40,
  completion_tokens: tokens,
  total_tokens: 40 + tokens,
});

function answer(socket: Socket, chat: ChatBody, onDone: () => void): () => void {
  const orders = ordersIn(chat);
  const common = {
    id: `chatcmpl-${orders.nonce}`,
    created: Math.floor(Date.now() / 1_000),
    model: chat.model,
  };
  let timer: NodeJS.Timeout | undefined;
  const after = (waitMs: number, next: () => void) => {
    if (waitMs === 0) next();
    else timer = setTimeout(next, waitMs);
  };
  if (chat.stream !== true) {
    after(orders.delayMs, () => {
      const content = Array.from(
        { length: orders.tokens },
        (_none, index) => `${orders.nonce}:${index}:${stamp()} `,
      ).join('');
      onDone();
      respond(socket, 200, {
        ...common,
        object: 'chat.completion',
        choices: [
          { index: 0, message: { role: 'assistant', content }, finish_reason: 'stop', logprobs: null },
        ],
        usage: usage(orders.tokens),
      });
    });
    return () => clearTimeout(timer);
  }
  const event = (data: unknown) => {
    const text = `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
    socket.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
  };
  const chunk = (delta: Record<string, unknown>, finish: string | null) =>
    event({
      ...common,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, finish_reason: finish, logprobs: null }],
    });
  let next = 0;
  /** What is written at one moment leaves as one write. */
  const step = () => {
    socket.cork();
    token();
    socket.uncork();
  };
  const token = (): void => {
    chunk({ content: `${orders.nonce}:${next}:${stamp()} ` }, null);
    next += 1;
    if (next < orders.tokens) {
      after(orders.paceMs, step);
      return;
    }
    chunk({}, 'stop');
    if (chat.stream_options?.include_usage === true)
      event({ ...common, object: 'chat.completion.chunk', choices: [], usage: usage(orders.tokens) });
    event('[DONE]');
    onDone();
    socket.write('0\r\n\r\n');
  };
  socket.cork();
  socket.write(
    'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n',
  );
  chunk({ role: 'assistant', content: '' }, null);
  after(orders.delayMs, step);
  socket.uncork();
  return () => clearTimeout(timer);
}

function respond(socket: Socket, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  socket.write(
    `HTTP/1.1 ${status} ${status === 200 ? 'OK' : 'Refused'}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object') console.log(`listening on http://127.0.0.1:${address?.port}`);
});
// The bench owns this process: when its pipe closes, also by a crash, nothing stays behind.
process.stdin.on('end', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));
