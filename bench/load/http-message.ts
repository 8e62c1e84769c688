/**
 * HTTP/1.1 messages off a socket, for both ends of a load bench. A full HTTP stack would cost the mock and the client
 * more time than the gateways between them take, and on two cores that time is the gateways' own. Reads bodies with a
 * length, chunked ones, and those of a status line that end with the connection; anything else is an error, never a
 * guess.
 */

export interface MessageHead {
  /** The request line or status line as it came. */
  readonly start: string;
  /** Names in lower case; of repeated ones the last. */
  readonly headers: ReadonlyMap<string, string>;
}

export interface MessageHandler {
  onHead(head: MessageHead): void;
  onBody(part: Buffer): void;
  onEnd(): void;
}

/** Heads and chunk lines past this are an error. */
const LINE_BYTES_MAX = 16_384;
const HEAD_END = '\r\n\r\n';
const EMPTY = Buffer.alloc(0);

type State = 'head' | 'length' | 'until-close' | 'chunk-line' | 'chunk' | 'chunk-end' | 'trailer';

export class MessageReader {
  readonly #handler: MessageHandler;
  #state: State = 'head';
  #kept: Buffer = EMPTY;
  /** Body bytes that the present length or chunk still owes. */
  #owed = 0;

  constructor(handler: MessageHandler) {
    this.#handler = handler;
  }

  /** True between messages: nothing of the next one has come yet. */
  get isIdle(): boolean {
    return this.#state === 'head' && this.#kept.length === 0;
  }

  /** Takes the next bytes, in any cut, and calls the handler for what they complete. Throws on what is no HTTP. */
  push(bytes: Buffer): void {
    let input = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes]);
    this.#kept = EMPTY;
    while (input.length > 0) {
      const rest = this.#step(input);
      if (rest === null) {
        if (input.length > LINE_BYTES_MAX)
          throw new Error(`a ${this.#state} of over ${LINE_BYTES_MAX} bytes`);
        this.#kept = input;
        return;
      }
      input = rest;
    }
  }

  /** The connection has closed: a body that only this ends has ended. */
  close(): void {
    if (this.#state === 'until-close') this.#end(EMPTY);
  }

  /** What is left after one step; null when the step needs more bytes first. */
  #step(input: Buffer): Buffer | null {
    switch (this.#state) {
      case 'head':
        return this.#readHead(input);
      case 'length':
      case 'chunk':
        return this.#readBody(input);
      case 'until-close':
        this.#handler.onBody(input);
        return EMPTY;
      case 'chunk-line':
        return this.#readChunkLine(input);
      case 'chunk-end':
        if (input.length < 2) return null;
        this.#state = 'chunk-line';
        return input.subarray(2);
      case 'trailer':
        // No party of a bench sends trailers; the empty line that ends them is all that may come.
        if (input.length < 2) return null;
        if (input.toString('latin1', 0, 2) !== '\r\n') throw new Error('trailers are not read here');
        return this.#end(input.subarray(2));
    }
  }

  #readHead(input: Buffer): Buffer | null {
    const end = input.indexOf(HEAD_END);
    if (end === -1) return null;
    const [start = '', ...lines] = input.toString('latin1', 0, end).split('\r\n');
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    const rest = input.subarray(end + HEAD_END.length);
    const isChunked = headers.get('transfer-encoding')?.toLowerCase() === 'chunked';
    const length = Number(headers.get('content-length') ?? 0);
    // RFC 9112 §6.3: an answer that names neither a length nor chunks ends with the connection.
    const isUntilClose = !headers.has('content-length') && /^HTTP\/1\.[01] (?!1|204|304)/.test(start);
    if (!Number.isSafeInteger(length) || length < 0) throw new Error('a content-length that is no number');
    this.#handler.onHead({ start, headers });
    if (isChunked) this.#state = 'chunk-line';
    else if (isUntilClose) this.#state = 'until-close';
    else if (length === 0) return this.#end(rest);
    else {
      this.#state = 'length';
      this.#owed = length;
    }
    return rest;
  }

  #readBody(input: Buffer): Buffer {
    const taken = input.subarray(0, this.#owed);
    this.#owed -= taken.length;
    this.#handler.onBody(taken);
    const rest = input.subarray(taken.length);
    if (this.#owed > 0) return rest;
    if (this.#state === 'length') return this.#end(rest);
    this.#state = 'chunk-end';
    return rest;
  }

  #readChunkLine(input: Buffer): Buffer | null {
    const end = input.indexOf('\r\n');
    if (end === -1) return null;
    const line = input.toString('latin1', 0, end);
    if (!/^[0-9a-f]{1,8}(?:;|$)/i.test(line)) throw new Error(`no chunk size: ${line.slice(0, 40)}`);
    this.#owed = Number.parseInt(line, 16);
    this.#state = this.#owed === 0 ? 'trailer' : 'chunk';
    return input.subarray(end + 2);
  }

  #end(rest: Buffer): Buffer {
    this.#state = 'head';
    this.#handler.onEnd();
    return rest;
  }
}
