/**
 * Server-Sent Events, both ways, as bytes. The decoder follows the WHATWG event stream rules under any chunking; bytes
 * are cut at a line end before they are decoded, so a character split over two chunks is whole again. It sits on the
 * path of every token: the usual chunk (whole events, line feeds only) costs one decode and two searches per line.
 * Invariant: one line, and the joined data of one event, never exceed `maxEventBytes`.
 */
import { Buffer } from 'node:buffer';
import { invariant } from './invariant.ts';

export interface SseEvent {
  /** `message` where the stream names none. */
  readonly event: string;
  readonly data: string;
  /** The last event id the stream has set, when it has set one. */
  readonly id?: string;
}

export interface SseLimits {
  /** Bytes of one line, and of the joined data of one event. */
  readonly maxEventBytes: number;
}

/** The stream broke `maxEventBytes`; nothing after this point of it can be trusted. */
export class SseTooLongError extends Error {
  constructor(maxEventBytes: number) {
    super(`an event of the stream is longer than ${maxEventBytes} bytes, which is the limit`);
    this.name = 'SseTooLongError';
  }
}

export interface SseEnd {
  /** The body ended inside an event: what had arrived of it was dropped, as the standard asks. */
  readonly endedInsideEvent: boolean;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = 0xfeff;
const NO_EVENTS: readonly SseEvent[] = [];

/**
 * Decodes a body into events; returns whether the body ended inside one. Throws SseTooLongError, which the caller
 * maps to its own error code, and passes on what `chunks` throws. Leaving the loop returns the iterator of `chunks`, which is how the socket behind it is closed.
 */
export async function* decodeSse(
  chunks: AsyncIterable<Uint8Array>,
  limits: SseLimits,
): AsyncGenerator<SseEvent, SseEnd> {
  const decoder = new SseDecoder(limits);
  for await (const chunk of chunks) yield* decoder.push(chunk);
  return { endedInsideEvent: decoder.isInsideEvent };
}

/** The decoder without the generator, for loops that read `isInsideEvent` or count every microtask. */
export class SseDecoder {
  readonly #limits: SseLimits;
  /** Bytes after the last line end, in pieces so that a long line in tiny chunks is not copied again and again. */
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #skipLineFeed = false;
  #started = false;
  #event = '';
  #data: string | null = null;
  #id = '';

  constructor(limits: SseLimits) {
    this.#limits = limits;
  }

  /** Whether some field of an event, or part of a line, has arrived that no blank line has closed yet. */
  get isInsideEvent(): boolean {
    return this.#data !== null || this.#event !== '' || this.#pendingBytes > 0;
  }

  /** Takes the next bytes; gives the events that they complete. `chunk` may be reused by the caller afterwards. */
  push(chunk: Uint8Array): readonly SseEvent[] {
    let bytes = chunk;
    if (this.#skipLineFeed && bytes.length > 0) {
      this.#skipLineFeed = false;
      if (bytes[0] === LINE_FEED) bytes = bytes.subarray(1);
    }
    const last = bytes.length - 1;
    const lineEnd =
      bytes[last] === LINE_FEED
        ? last
        : Math.max(bytes.lastIndexOf(LINE_FEED), bytes.lastIndexOf(CARRIAGE_RETURN));
    if (lineEnd === -1) {
      this.#keep(bytes);
      return NO_EVENTS;
    }
    this.#skipLineFeed = lineEnd === last && bytes[last] === CARRIAGE_RETURN;
    let text = this.#decode(bytes.subarray(0, lineEnd + 1));
    if (lineEnd < last) this.#keep(bytes.subarray(lineEnd + 1));
    if (!this.#started) {
      this.#started = true;
      if (text.charCodeAt(0) === BYTE_ORDER_MARK) text = text.slice(1);
    }
    if (text.includes('\r')) text = text.replace(/\r\n?/g, '\n');
    return this.#lines(text);
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes > this.#limits.maxEventBytes)
      throw new SseTooLongError(this.#limits.maxEventBytes);
    this.#pending.push(bytes.slice());
  }

  #decode(bytes: Uint8Array): string {
    if (this.#pendingBytes === 0) {
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
    }
    const whole = Buffer.concat([...this.#pending, bytes]);
    this.#pending = [];
    this.#pendingBytes = 0;
    return whole.toString('utf8');
  }

  #lines(text: string): readonly SseEvent[] {
    const events: SseEvent[] = [];
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      if (end === start) {
        if (this.#data !== null) events.push(this.#dispatch(this.#data));
        this.#data = null;
        this.#event = '';
      } else {
        this.#line(text, start, end);
      }
      start = end + 1;
    }
    return events;
  }

  #dispatch(data: string): SseEvent {
    const event = this.#event === '' ? 'message' : this.#event;
    return this.#id === '' ? { event, data } : { event, data, id: this.#id };
  }

  #line(text: string, start: number, end: number): void {
    if (exceeds(text, start, end, this.#limits.maxEventBytes))
      throw new SseTooLongError(this.#limits.maxEventBytes);
    if (text.startsWith('data:', start)) {
      this.#addData(text.slice(valueStart(text, start + 5), end));
      return;
    }
    const colon = text.slice(start, end).indexOf(':');
    if (colon === 0) return;
    const field = colon === -1 ? text.slice(start, end) : text.slice(start, start + colon);
    const value = colon === -1 ? '' : text.slice(valueStart(text, start + colon + 1), end);
    if (field === 'data') this.#addData(value);
    else if (field === 'event') this.#event = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
  }

  #addData(value: string): void {
    if (this.#data === null) {
      this.#data = value;
      return;
    }
    this.#data = `${this.#data}\n${value}`;
    if (exceeds(this.#data, 0, this.#data.length, this.#limits.maxEventBytes))
      throw new SseTooLongError(this.#limits.maxEventBytes);
  }
}

function valueStart(text: string, afterColon: number): number {
  return text.charCodeAt(afterColon) === 0x20 ? afterColon + 1 : afterColon;
}

/** Whether a part of `text` takes more than `maxBytes` in UTF-8; a UTF-16 unit takes one to three. */
function exceeds(text: string, start: number, end: number, maxBytes: number): boolean {
  const units = end - start;
  if (units * 3 <= maxBytes) return false;
  return units > maxBytes || Buffer.byteLength(text.slice(start, end)) > maxBytes;
}

/** One event as text, closed by its blank line. `data` may hold line ends; `event` and `id` may not. */
export function encodeSse(event: {
  readonly event?: string;
  readonly data: string;
  readonly id?: string;
}): string {
  let head = '';
  if (event.event !== undefined) head = field('event', event.event);
  if (event.id !== undefined) head += field('id', event.id);
  const data = /[\r\n]/.test(event.data) ? event.data.split(/\r\n|\r|\n/).join('\ndata: ') : event.data;
  return `${head}data: ${data}\n\n`;
}

/** A comment that keeps a connection awake and that every reader skips. */
export function encodeSseComment(comment: string): string {
  return `: ${comment.replace(/[\r\n]+/g, ' ')}\n\n`;
}

function field(name: string, value: string): string {
  invariant(!/[\r\n\0]/.test(value), `the ${name} of a server-sent event holds a line end`);
  return `${name}: ${value}\n`;
}
