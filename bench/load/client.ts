/**
 * The load client: chat requests on sockets of its own, stamped when the bytes leave and when they arrive. It never waits
 * for a free connection, it opens one more; so a slow gateway cannot slow the arrivals and hide its queue. Each answer
 * is checked token by token against what the mock was told to say.
 */
import { machineMs } from './clock.ts';
import { Connection, type Exchange } from './connection.ts';

export interface Target {
  readonly name: string;
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly origin: string;
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The process that serves it. */
  readonly pid: number | undefined;
}

export interface Ask {
  readonly isStream: boolean;
  readonly tokens: number;
  /** Milliseconds the mock waits before the first token. */
  readonly delayMs: number;
  /** Milliseconds the mock waits between tokens. */
  readonly paceMs: number;
}

/** All times in milliseconds from the moment the request was handed to the socket. */
export interface Answer {
  readonly firstTokenMs: number;
  readonly totalMs: number;
  /** For each token: from the mock's write to our read. */
  readonly transitsMs: readonly number[];
}

const CONNECTIONS_MAX = 512;
const ANSWER_TIMEOUT_MS = 10_000;
const TOKEN = /"content":\s*"((?:\d+:\d+:\d+ )+)"/g;

let lastNonce = 0;

export class LoadClient implements Disposable {
  readonly #target: Target;
  readonly #host: string;
  readonly #port: number;
  readonly #idle: Connection[] = [];
  readonly #open = new Set<Connection>();

  constructor(target: Target) {
    this.#target = target;
    const { hostname, port } = new URL(target.origin);
    this.#host = hostname;
    this.#port = Number(port);
  }

  /**
   * One chat. Rejects when the status is not 200, the answer is not exactly the tokens asked for, the connection breaks,
   * or nothing has ended in ten seconds.
   */
  ask(ask: Ask): Promise<Answer> {
    lastNonce += 1;
    const nonce = String(lastNonce);
    const request = this.#request(ask, nonce);
    return new Promise((resolve, reject) => {
      let connection: Connection | null = null;
      const fail = (error: Error) => {
        clearTimeout(timer);
        connection?.close();
        reject(new Error(`${this.#target.name}: ${error.message}`));
      };
      const timer = setTimeout(() => fail(new Error('no whole answer in 10 s')), ANSWER_TIMEOUT_MS);
      const check = new AnswerCheck(ask, nonce);
      let sentMs = 0;
      const exchange: Exchange = {
        onHead: (status) => check.onHead(status),
        onBody: (part, atMs) => check.onBody(part.toString('utf8'), atMs),
        onEnd: (atMs) => {
          const wrong = check.wrong();
          if (wrong !== null) return fail(new Error(wrong));
          clearTimeout(timer);
          resolve({
            firstTokenMs: check.firstTokenAtMs - sentMs,
            totalMs: atMs - sentMs,
            transitsMs: check.transitsMs,
          });
        },
        onFailure: fail,
      };
      try {
        connection = this.#idle.pop() ?? this.#connect();
        sentMs = machineMs();
        connection.send(request, exchange);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  /**
   * Hangs up in the middle of a stream: resolves when `afterTokens` have come and the socket is closed. Rejects when the
   * answer ended before that or nothing came in ten seconds.
   */
  leave(ask: Ask, afterTokens: number): Promise<void> {
    lastNonce += 1;
    const nonce = String(lastNonce);
    return new Promise((resolve, reject) => {
      const connection = this.#connect();
      const settle = (error: Error | null) => {
        clearTimeout(timer);
        connection.close();
        if (error === null) resolve();
        else reject(new Error(`${this.#target.name}: ${error.message}`));
      };
      const timer = setTimeout(() => settle(new Error('too few tokens in 10 s')), ANSWER_TIMEOUT_MS);
      const check = new AnswerCheck(ask, nonce);
      connection.send(this.#request(ask, nonce), {
        onHead: (status) => check.onHead(status),
        onBody: (part, atMs) => {
          check.onBody(part.toString('utf8'), atMs);
          if (check.transitsMs.length >= afterTokens) settle(null);
        },
        onEnd: () => settle(new Error('the answer ended before the client could leave')),
        onFailure: settle,
      });
    });
  }

  /** Opens `count` connections and asks something on each, so that no measured request pays for connecting. */
  async warm(count: number): Promise<void> {
    const ask = { isStream: false, tokens: 1, delayMs: 0, paceMs: 0 };
    await Promise.all(Array.from({ length: count }, () => this.ask(ask)));
  }

  [Symbol.dispose](): void {
    for (const connection of this.#open) connection.close();
  }

  #request(ask: Ask, nonce: string): string {
    const body = JSON.stringify({
      model: this.#target.model,
      messages: [
        { role: 'system', content: 'You keep the gate of Ashmarket and answer in one sentence.' },
        {
          role: 'user',
          content: `bench nonce=${nonce} delay=${ask.delayMs} tokens=${ask.tokens} pace=${ask.paceMs}`,
        },
      ],
      max_tokens: 256,
      temperature: 0.7,
      stream: ask.isStream,
    });
    const headers = {
      host: `${this.#host}:${this.#port}`,
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      ...this.#target.headers,
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return `POST /v1/chat/completions HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
  }

  #connect(): Connection {
    if (this.#open.size >= CONNECTIONS_MAX)
      throw new Error(`over ${CONNECTIONS_MAX} connections: it falls behind the arrivals`);
    const connection = new Connection(this.#host, this.#port, {
      onIdle: () => this.#idle.push(connection),
      onClose: () => {
        this.#open.delete(connection);
        const index = this.#idle.indexOf(connection);
        if (index !== -1) this.#idle.splice(index, 1);
      },
    });
    this.#open.add(connection);
    return connection;
  }
}

/** Reads the tokens of one answer as they come, and says at the end what is wrong with it. */
class AnswerCheck {
  readonly transitsMs: number[] = [];
  firstTokenAtMs = Number.NaN;
  readonly #ask: Ask;
  readonly #nonce: string;
  #status = 0;
  /** The body from the last whole line on. */
  #tail = '';
  #said = '';
  #wrong: string | null = null;
  #isFinished = false;
  #isDone = false;

  constructor(ask: Ask, nonce: string) {
    this.#ask = ask;
    this.#nonce = nonce;
  }

  onHead(status: number): void {
    this.#status = status;
  }

  onBody(text: string, atMs: number): void {
    this.#tail += text;
    if (this.#said.length < 300) this.#said += text;
    // Only whole lines are read in a stream; a unary answer is one line that ends with the body.
    const end = this.#tail.lastIndexOf('\n') + 1;
    if (end === 0) return;
    this.#read(this.#tail.slice(0, end), atMs);
    this.#tail = this.#tail.slice(end);
  }

  /** What is wrong with the whole answer, or null. Call once, at the end of the body. */
  wrong(): string | null {
    this.#read(this.#tail, machineMs());
    if (this.#status !== 200) return `status ${this.#status}: ${this.#said.slice(0, 300)}`;
    if (this.#wrong !== null) return this.#wrong;
    if (this.transitsMs.length !== this.#ask.tokens)
      return `${this.transitsMs.length} of ${this.#ask.tokens} tokens: ${this.#said.slice(0, 300)}`;
    if (!this.#isFinished) return 'no finish reason';
    return this.#ask.isStream && !this.#isDone ? 'the stream ended without [DONE]' : null;
  }

  #read(text: string, atMs: number): void {
    for (const [, content = ''] of text.matchAll(TOKEN)) {
      for (const token of content.trimEnd().split(' ')) {
        const [nonce, index, stamp] = token.split(':');
        if (nonce !== this.#nonce) this.#wrong ??= `token ${token} belongs to another answer`;
        else if (Number(index) !== this.transitsMs.length) this.#wrong ??= `token ${token} is out of order`;
        if (this.transitsMs.length === 0) this.firstTokenAtMs = atMs;
        this.transitsMs.push(atMs - Number(stamp) / 1_000);
      }
    }
    if (/"finish_reason":\s*"stop"/.test(text)) this.#isFinished = true;
    if (text.includes('data: [DONE]')) this.#isDone = true;
  }
}
